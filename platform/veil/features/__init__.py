"""Nets whose features and distances judge realism; none of them takes part in making an image."""

from veil.features.loading import load_feature_net, load_perceptual_distance

__all__ = ["load_feature_net", "load_perceptual_distance"]
