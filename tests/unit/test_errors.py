import inspect

import pytest

from veil import errors
from veil.errors import VeilError, nearest

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind is not VeilError
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_can_catch_every_error_at_once(kind):
    assert issubclass(kind, VeilError)


def test_nearest_names_the_closest_and_all_choices():
    assert nearest("landmark", ["pixels", "landmarks"]) == "did you mean 'landmarks'? known: landmarks, pixels"


def test_nearest_offers_no_guess_where_nothing_is_close():
    assert nearest("zzz", ["blur", "pixelate"]) == "known: blur, pixelate"


def test_nearest_without_choices():
    assert nearest("x", []) == "known: (none)"
