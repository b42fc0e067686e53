"""Operating points that carry everything they need: rebuilt from their own folder, without a study or a download."""

from veil.serving.point import OperatingPoint, PointDescription

__all__ = ["OperatingPoint", "PointDescription"]
