"""Weights and data by name: the only part of Veil that downloads anything."""

from veil.assets.scopes import assets_only_from, watch_assets
from veil.assets.store import AssetStatus, cache_folder, fetch, own_file, statuses

__all__ = ["AssetStatus", "assets_only_from", "cache_folder", "fetch", "own_file", "statuses", "watch_assets"]
