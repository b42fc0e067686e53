"""The nets a study rests on: which role each holds, which file it is, and under which terms."""

from collections.abc import Mapping
from typing import NamedTuple

from veil.assets.registry import load_registry
from veil.config import RoleConfig
from veil.errors import AssetError
from veil.expression import expression_net_sha256
from veil.registry import recognizers

SHORT = 16
"""Digits of a hash that are shown."""


class Weights(NamedTuple):
    """One net.

    Attributes:
        role: what it may do in the study.
        name: registered name.
        sha256: first digits of the hash of its weights.
        recorded: whether a score names these weights; otherwise they are those that lie here now.
        licence: of the file; a dash where Veil has not fetched it.
        citation: whom to credit.
    """

    role: str
    name: str
    sha256: str
    recorded: bool
    licence: str
    citation: str


def study_weights(roles: RoleConfig, models: Mapping[str, str]) -> list[Weights]:
    """Every net of a study.

    Args:
        roles: of the study.
        models: SHA-256 of weights by "role/name", as scores hold them.
    """
    named = [
        *(("inside the loss, for identity", f"proxy/{name}") for name in roles.proxies),
        ("inside the loss, for expression", f"teacher/{roles.teacher}"),
        *(("attacks while the study searches", f"recognizer/{name}") for name in roles.search),
        *(("attacks sealed people", f"recognizer/{name}") for name in roles.report),
        ("judges expression", f"evaluator/{roles.evaluator}"),
        *(("judges realism", path) for path in sorted(models) if path.startswith("realism/")),
    ]
    assets = {asset.sha256: asset for asset in load_registry().assets.values()}
    found = []
    for role, path in named:
        name = path.partition("/")[2]
        sha256 = models.get(path) or _lying_here(path)
        asset = assets.get(sha256)
        found.append(
            Weights(
                role=role,
                name=name,
                sha256=sha256[:SHORT],
                recorded=path in models,
                licence=asset.licence if asset else "–",
                citation=asset.citation if asset else "–",
            )
        )
    return found


def _lying_here(path: str) -> str:
    """SHA-256 of weights that no score names; a dash where they cannot be had."""
    role, _, name = path.partition("/")
    try:
        if role in ("teacher", "evaluator"):
            return expression_net_sha256(name)
        return str(recognizers.get(name).weights_sha256())
    except AssetError:
        return "–"
