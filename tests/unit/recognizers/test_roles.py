"""One model, one role."""

import pytest

from veil.config import RoleConfig
from veil.errors import ConfigError, ProtocolError
from veil.recognizers.mobilefacenet import MobileFaceNet
from veil.recognizers.roles import check_roles
from veil.registry import recognizers


def test_default_roles_are_accepted() -> None:
    check_roles(RoleConfig())


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (RoleConfig(proxies=("sface",), search=("sface",)), "'sface' holds two roles, proxies and search"),
        (RoleConfig(search=("sface",), report=("dlib_resnet", "sface")), "'sface' holds two roles, search and report"),
        (RoleConfig(proxies=("mobilefacenet", "dlib_resnet")), "'dlib_resnet' holds two roles, proxies and report"),
        (
            RoleConfig(teacher="mini_xception", evaluator="mini_xception"),
            "'mini_xception' holds two roles, teacher and evaluator",
        ),
    ],
)
def test_one_name_in_two_roles(roles: RoleConfig, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        check_roles(roles)


def test_same_weights_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizers.names()
    monkeypatch.setitem(recognizers._plugins, "renamed", MobileFaceNet)
    with pytest.raises(ProtocolError, match=r"'renamed' \(the same weights as 'mobilefacenet'\) holds two roles"):
        check_roles(RoleConfig(search=("renamed",)))


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sface'"):
        check_roles(RoleConfig(search=("s_face",)))
