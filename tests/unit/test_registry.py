import pytest

from veil.errors import ConfigError
from veil.registry import Registry, trainables


def make_class(name, module="plugins.first"):
    return type(name, (), {"__module__": module})


def test_register_returns_the_plugin_and_get_finds_it():
    registry = Registry("attacker")
    plugin = make_class("Parrot")
    assert registry.register("parrot")(plugin) is plugin
    assert registry.get("parrot") is plugin


def test_names_are_sorted():
    registry = Registry("attacker")
    for name in ("b", "c", "a"):
        registry.register(name)(make_class(name))
    assert registry.names() == ["a", "b", "c"]


def test_double_registration_names_both():
    registry = Registry("attacker")
    registry.register("parrot")(make_class("Parrot"))
    with pytest.raises(ConfigError, match=r"'parrot' is registered twice: by plugins.first.Parrot and mine.Copy"):
        registry.register("parrot")(make_class("Copy", module="mine"))


def test_loading_the_same_file_again_is_no_double_registration():
    registry = Registry("attacker")
    registry.register("parrot")(make_class("Parrot"))
    again = registry.register("parrot")(make_class("Parrot"))
    assert registry.get("parrot") is again


def test_unknown_name_gives_kind_nearest_and_choices():
    registry = Registry("conditioning")
    registry.register("landmarks")(make_class("Landmarks"))
    with pytest.raises(
        ConfigError, match="unknown conditioning 'landmark'; did you mean 'landmarks'. known: landmarks"
    ):
        registry.get("landmark")


def test_builtin_package_is_searched(tmp_path, monkeypatch):
    package = tmp_path / "builtin_plugins"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from veil.registry import Registry\nregistry = Registry('thing', __name__)\n")
    (package / "deep" / "__init__.py").write_text("")
    source = "from builtin_plugins import registry\n\n@registry.register('nested')\nclass Nested: ...\n"
    (package / "deep" / "nested.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    import builtin_plugins

    assert builtin_plugins.registry.names() == ["nested"]


def test_installed_plugins_are_discovered_without_being_named():
    assert "analytic" in trainables.names()
