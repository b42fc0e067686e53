"""From a frontier to one operating point: chosen, rescored on sealed people, registered."""

from veil.picking.budget import Budget
from veil.picking.operating_point import pick_point
from veil.sealed import SealedLook, sealed_looks

__all__ = ["Budget", "SealedLook", "pick_point", "sealed_looks"]
