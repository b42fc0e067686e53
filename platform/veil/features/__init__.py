"""Nets whose features and distances judge realism; the distance may also be a term of a training's loss."""

from veil.features.loading import load_feature_net, load_perceptual_distance

__all__ = ["load_feature_net", "load_perceptual_distance"]
