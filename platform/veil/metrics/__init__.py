"""Pure functions that turn scores, posteriors and images into numbers; no models, no files."""
