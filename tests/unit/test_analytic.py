import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from trainables.analytic import FRONT_HYPERVOLUME, Analytic, AnalyticConfig, distance, evaluate
from veil.errors import ConfigError, DivergedError, StoppedEarlyError
from veil.frontier.dominance import non_dominated
from veil.interfaces import TrialContext

UNIT = st.floats(0, 1)


@pytest.fixture
def context(tmp_path):
    return TrialContext(folder=tmp_path, cache=tmp_path, faces=None, load_roles=None, launcher=None, seed=0)


@given(UNIT, UNIT)
def test_values_stay_within_the_objectives_bounds(x, y):
    leak, utility = evaluate(x, y)
    assert 0 <= leak <= 1
    assert 0 <= utility <= 1


@given(UNIT, UNIT)
def test_nothing_lies_beyond_the_front(x, y):
    leak, utility = evaluate(x, y)
    assert utility <= math.sqrt(leak) + 1e-12


@given(st.floats(0.01, 0.99), st.floats(0.01, 1))
def test_distance_from_the_front_worsens_both(x, y):
    leak, utility = evaluate(x, y)
    best_leak, best_utility = evaluate(x, 0.0)
    assert leak > best_leak
    assert utility < best_utility


def test_hypervolume_of_the_front_is_the_integral():
    assert quad(math.sqrt, 0, 1)[0] == pytest.approx(FRONT_HYPERVOLUME, abs=1e-9)


def test_run_returns_synthetic_values_that_no_one_can_pick(context):
    outcome = Analytic().run(AnalyticConfig(x=0.25), context)
    assert outcome.synthetic == {"leak": 0.25, "utility": 0.5}
    assert outcome.anonymizer is None


@given(UNIT, UNIT, st.floats(0, 2))
def test_a_training_comes_from_the_worst_and_ends_at_its_point(x, y, late):
    config = AnalyticConfig(x=x, y=y, late=late)
    distances = [distance(config, share) for share in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert distances == sorted(distances, reverse=True) and distances[0] == 1 and distances[-1] == y


@pytest.mark.parametrize(("late", "misled"), [(0.25, False), (1.0, True)])
def test_an_early_look_is_wrong_about_points_that_learn_late(late, misled):
    configs = [AnalyticConfig(x=x, y=0.0, late=late) for x in (0.1, 0.3, 0.6, 1.0)]
    early = np.array([evaluate(config.x, distance(config, 1 / 9)) for config in configs]) * (1, -1)
    assert non_dominated(early).all() != misled, "at the end all of them are on the front"


def test_each_rung_is_passed_in_turn_until_one_stops_the_trial(context):
    seen = []

    def at_rung(outcome, images):
        seen.append((images, outcome.synthetic["leak"], outcome.synthetic["utility"]))
        if images == 27:
            raise StoppedEarlyError("rung 27", 27)

    with pytest.raises(StoppedEarlyError):
        Analytic().run(AnalyticConfig(x=0.25), replace(context, rungs=(9, 27, 54), at_rung=at_rung))
    assert [images for images, *_ in seen] == [9, 27]
    assert seen[0][1:] == evaluate(0.25, distance(AnalyticConfig(x=0.25), 9 / 81))
    assert seen[0][1] > seen[1][1] > 0.25 and seen[0][2] < seen[1][2] < 0.5
    assert Analytic().run(AnalyticConfig(x=0.25), replace(context, rungs=(9,))).synthetic["utility"] == 0.5


def test_faults(context):
    with pytest.raises(DivergedError):
        Analytic().run(AnalyticConfig(fail="diverged"), context)
    with pytest.raises(RuntimeError, match="told to fail"):
        Analytic().run(AnalyticConfig(fail="error"), context)


def test_killed_takes_the_process_with_it():
    code = (
        "from trainables.analytic import *; context = TrialContext(Path(), Path(), None, None, None, 0);"
        "Analytic().run(AnalyticConfig(fail='killed'), context)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == -9


def test_there_is_no_anonymizer_to_load():
    with pytest.raises(ConfigError, match="pick another trial"):
        Analytic().load(AnalyticConfig(), Path("trial"))


@pytest.mark.parametrize("values", [{"x": 1.1}, {"y": -0.1}, {"sleep_seconds": -1}, {"fail": "maybe"}, {"z": 1}])
def test_wrong_settings_are_refused(values):
    with pytest.raises(ConfigError):
        AnalyticConfig.parse(values, where="test")


def test_no_torch_is_loaded():
    code = "import trainables.analytic, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
