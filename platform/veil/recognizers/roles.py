"""No model judges its own work: one recognizer holds one role, and the loss's expression net never evaluates."""

from collections.abc import Callable, Mapping, Sequence

from veil.config import RoleConfig
from veil.errors import ProtocolError
from veil.expression import expression_net_sha256
from veil.registry import recognizers


def check_roles(roles: RoleConfig) -> None:
    """Refuse a study in which one model, by name or by the hash of its weights, holds two roles.

    Raises:
        ProtocolError: names the model and both roles.
        ConfigError: no model has one of the names.
        AssetError: the weight file of a model that the user provides is absent.
    """
    identities = {"proxies": roles.proxies, "search": roles.search, "report": roles.report}
    _check("recognizer", identities, lambda name: recognizers.get(name).weights_sha256())
    expressions = {"teacher": (roles.teacher,), "evaluator": (roles.evaluator,)}
    _check("expression net", expressions, expression_net_sha256)


def _check(kind: str, names_by_role: Mapping[str, Sequence[str]], sha256_of: Callable[[str], str]) -> None:
    holders: dict[str, tuple[str, str]] = {}
    for role, names in names_by_role.items():
        for name in names:
            sha256 = sha256_of(name)
            other_role, other_name = holders.setdefault(sha256, (role, name))
            if other_role != role:
                same = "" if other_name == name else f" (the same weights as {other_name!r})"
                raise ProtocolError(
                    f"{kind} {name!r}{same} holds two roles, {other_role} and {role}: a model that took part "
                    f"in making an image cannot judge it; change roles.{other_role} or roles.{role}"
                )
