"""Face detectors, one file each; each registers `() -> Detector` under its name."""
