"""Weights and data by name: the only part of Veil that downloads anything."""

from veil.assets.store import AssetStatus, cache_folder, fetch, statuses

__all__ = ["AssetStatus", "cache_folder", "fetch", "statuses"]
