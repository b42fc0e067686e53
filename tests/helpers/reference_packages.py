"""Pure Python packages that a net is compared with and that Veil itself does not need: fetched, never installed."""

import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from veil.assets import fetch
from veil.assets.registry import AssetRegistry
from veil.errors import AssetError

WHEELS = {
    "facenet_pytorch": (
        "facenet-pytorch==2.6.0",
        "facenet_pytorch-2.6.0-py3-none-any.whl",
        "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
        1881930,
    ),
    "frbench": (
        "frbench==1.1.3",
        "frbench-1.1.3-py3-none-any.whl",
        "0086740cbd70b79a6da728f0dff52cc0004829a817e87399dc5df6eabb40a64d",
        134656,
    ),
    "syne_tune": (
        "syne-tune==0.16.0",
        "syne_tune-0.16.0-py3-none-any.whl",
        "c67d8f0790640f7765d0cbee93514d1a46e833231e7f99d18e03f695b3a54d3f",
        253749,
    ),
    "torch_fidelity": (
        "torch-fidelity==0.4.0",
        "torch_fidelity-0.4.0-py3-none-any.whl",
        "99f4c610ea16972628eceb26afb0008e528da2d44123db947b408750efbd35d4",
        85594,
    ),
}


def registry_of(package: str) -> AssetRegistry:
    requirement, filename, sha256, size_bytes = WHEELS[package]
    carrier = {"filename": filename, "sha256": sha256, "size_bytes": size_bytes}
    asset = {"purpose": "reference of a test", "licence": "MIT or Apache-2.0", "citation": package}
    return AssetRegistry.parse(
        {
            "archives": {package: {"kind": "pip-wheel", "requirement": requirement, **carrier}},
            "assets": {package: {**asset, **carrier, "sources": [{"archive": package}]}},
        },
        where="reference packages",
    )


@cache
def _unpacked(package: str) -> "TemporaryDirectory[str]":
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix=f"veil-{package}-")
    with zipfile.ZipFile(fetch(package, registry_of(package))) as wheel:
        wheel.extractall(folder.name, [name for name in wheel.namelist() if name.startswith(f"{package}/")])
    return folder


def use_reference_package(package: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package importable within one test; skip the test if it cannot be had."""
    try:
        folder = _unpacked(package).name
    except AssetError as error:
        pytest.skip(str(error))
    monkeypatch.syspath_prepend(folder)
    return Path(folder)
