"""Readers of face datasets, one file per layout; each registers `(root) -> Dataset` under the dataset's name."""
