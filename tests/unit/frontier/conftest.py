import pytest

from veil.frontier.points import FrontierPoint


@pytest.fixture
def make_point():
    """Build a point from a leak and a utility, with intervals of a given half-width."""

    def build(trial, leak, utility, half_width=0.0, **fields):
        objectives = {
            name: (value, value - half_width, value + half_width)
            for name, value in (("leak", leak), ("utility", utility))
        }
        defaults = {"label": f"method {trial}", "family": "gan", "trainable": "gan_anonymizer"}
        return FrontierPoint(trial=trial, objectives=objectives, **(defaults | fields))

    return build


@pytest.fixture
def make_invalid():
    def build(trial, reason="training diverged", **fields):
        defaults = {"label": f"method {trial}", "family": "gan", "trainable": "gan_anonymizer"}
        return FrontierPoint(trial=trial, valid=False, reason=reason, **(defaults | fields))

    return build
