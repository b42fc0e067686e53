"""Score cards with chosen numbers."""

import numpy as np
import pytest

from veil.protocol.measurement import RocCurve
from veil.protocol.score import DetectionScore, Estimate, RealismScore, RungScore, TrialScore

FAR = np.concatenate([[0.0], np.logspace(-4, 0, 199)])


def make_rung(rung, name, tar, recognizer="sface", people=10, half_width=0.1):
    return RungScore(
        name=name,
        rung=rung,
        recognizer=recognizer,
        tar=Estimate(value=tar, low=max(0.0, tar - half_width), high=min(1.0, tar + half_width)),
        eer=0.123,
        auc=0.877,
        rank_1=0.55,
        rank_5=0.66,
        n_identities=people,
        n_genuine=450,
        n_impostor=4500,
        floor_mean=0.011,
        floor_95=0.031,
    )


def make_score(*rungs, **changes):
    attacks = [rung for rung in rungs if rung.rung != "A0"]
    values = {
        "valid": True,
        "objectives": {
            "leak": max(attacks, key=lambda rung: rung.tar.value).tar,
            "utility": Estimate(value=0.62, low=0.53, high=0.71),
            "realism": Estimate(value=0.4, low=0.38, high=0.42),
        },
        "rungs": rungs,
        "leak_floor_mean": 0.016,
        "leak_floor_95": 0.035,
        "recovery_gap": Estimate(value=0.46, low=0.35, high=0.52),
        "realism": RealismScore(ssim=0.4, psnr=18.0),
        "detection": DetectionScore(clear=1.0, anonymized=0.25),
        "target_split": "search",
        "n_images": 100,
        "undetected": 0,
        "suite_hash": "suite0123",
        "data_hash": "data0123",
        "contract_hash": "contract0123",
        "models": {"recognizer/sface": "f" * 64},
        "seeds": {"suite": 7},
        "versions": {"veil": "9.9.9"},
        "seconds": {"attack": 2.5, "proxies": 0.001},
    }
    return TrialScore(**{**values, **changes})


def make_page_input(score):
    """A score with an ROC and a CMC of every rung."""
    keys = [f"{rung.recognizer}/{rung.name}" for rung in score.rungs]
    curves = {key: RocCurve(FAR, np.sqrt(FAR)) for key in keys}
    return score, curves, {key: np.linspace(0.5, 1.0, 10) for key in keys}


RUNGS = (
    make_rung("A0", "control", 0.99),
    make_rung("A1", "naive", 0.05, half_width=0.04),
    make_rung("A3", "parrot", 0.38),
    make_rung("A4", "informed/open_set/naive", 0.12),
    make_rung("A4", "informed/closed_set", 0.84),
    make_rung("A0", "control", 0.98, recognizer="dlib_resnet"),
    make_rung("A1", "naive", 0.073, recognizer="dlib_resnet"),
)


@pytest.fixture
def rung():
    return make_rung


@pytest.fixture
def score():
    return make_score


@pytest.fixture
def card():
    """A card of two recognizers on which A4 is strongest."""
    return make_score(*RUNGS)


@pytest.fixture
def invalid():
    return make_score(*RUNGS[:2], valid=False, reason="control TAR 0.62 is below 0.95", objectives={})


@pytest.fixture
def page_input():
    return make_page_input
