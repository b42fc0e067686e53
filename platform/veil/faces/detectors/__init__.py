"""Face detectors, one file each; each registers `(device="cpu") -> Detector` under its name."""
