"""Identity embedders: torch modules with gradients towards the input, one file each."""

from veil.recognizers.loading import load_recognizer

__all__ = ["load_recognizer"]
