import io

import pytest
from rich.console import Console

from veil.attacking.card import cautions, print_card, strongest_rung, verdict
from veil.protocol.score import (
    DetectionScore,
    Estimate,
    ExpressionScore,
    LabelledExpression,
    Linkability,
    RealismScore,
    RecognizerReading,
)


def printed(score, *notes):
    console = Console(file=io.StringIO(), width=160)
    print_card(score, 0.01, "blur [31]", notes, console)
    return console.file.getvalue()


def test_verdict_names_attacker_share_interval_odds_chance_and_the_naive_number(card):
    assert strongest_rung(card).name == "informed/closed_set"
    assert verdict(card, 0.01) == (
        "With the images this tool publishes, the strongest attacker (A4 informed/closed_set, sface) links 84 % (95 % "
        "interval 74 % to 94 %) of the pairs of images of one person at 1 false accept in 100; guessing links 1.6 %. "
        "The naive look-up alone would have suggested 7.3 %."
    )


def test_verdict_at_chance_claims_no_recognition_and_no_anonymity(rung, score):
    sentence = verdict(score(rung("A0", "control", 1.0), rung("A3", "parrot", 0.02)), 0.01)
    assert "cannot be told apart from guessing, which reaches 3.5 % in one draw of twenty" in sentence
    assert "does not prove that nobody can" in sentence
    assert "naive" not in sentence, "the naive attack was not run"


def test_verdict_where_the_naive_look_up_is_strongest(rung, score):
    sentence = verdict(score(rung("A0", "control", 1.0), rung("A1", "naive", 0.9), rung("A3", "parrot", 0.4)), 0.02)
    assert "links 90 %" in sentence and "1 false accept in 50" in sentence
    assert sentence.endswith("The naive look-up is already the strongest attack.")


def test_printed_card_has_every_rung_in_ladder_order_and_every_number(card):
    text = printed(card, "22 people are under attack.")
    assert "blur [31], TAR at FAR 0.01" in text
    rows = [line.split("│")[1:4] for line in text.splitlines() if line.startswith("│")]
    assert [(row[0].strip(), row[1].strip(), row[2].strip()) for row in rows][:4] == [
        ("A0", "control", "sface"),
        ("A0", "control", "dlib_resnet"),
        ("A1", "naive", "sface"),
        ("A1", "naive", "dlib_resnet"),
    ]
    for part in ("0.84 [0.74, 0.94]", "0.123", "0.877", "0.55", "0.66", "0.011", "450/4500", "recovery gap 0.46 [0.35"):
        assert part in text
    assert "· 22 people are under attack." in text
    assert "attack 2.5 s" in text and "proxies" not in text


def test_linkability_is_read_beside_its_chance(rung, score):
    linkability = Linkability(d_sys=Estimate(value=0.57, low=0.4, high=0.73), floor_95=0.08)
    readings = {"sface": RecognizerReading(cosine=0.3, linkability=linkability)}
    text = printed(score(rung("A0", "control", 1.0), rung("A3", "parrot", 0.5), recognizers=readings))
    assert "linkability D_sys 0.57 [0.40, 0.73] by sface" in text and "chance reaches 0.08" in text


def test_labelled_expressions_of_the_people_under_attack(rung, score):
    labelled = LabelledExpression(
        n_images=40, accuracy_clear=0.5, accuracy=0.3, accuracy_retention=0.6, macro_f1_clear=0.4, macro_f1=0.2,
        macro_f1_retention=0.5, cross_entropy=1.5, ece_clear=0.1, ece=0.2,
    )  # fmt: skip
    expression = ExpressionScore(
        js=0.3, kl=1, top1_agreement=0.2, largest_class_share=0.5, collapsed=False, labelled=labelled
    )
    text = printed(score(rung("A0", "control", 1.0), rung("A1", "naive", 0.5), expression=expression))
    assert "labelled expressions, people under attack: accuracy 0.30 of 0.50 on the originals, macro-F1 0.20" in text


def test_an_invalid_score_has_a_reason_and_no_verdict(invalid):
    text = printed(invalid)
    assert "no valid score: control TAR 0.62 is below 0.95" in text
    assert "strongest" not in text and "utility" not in text
    assert "0.99 [0.89, 1.00]" in text, "what was measured is still shown"


@pytest.mark.parametrize(
    ("changes", "caution"),
    [
        ({}, "Only 10 people were attacked"),
        ({"undetected": 3}, "3 images show no face"),
        ({"detection": DetectionScore(clear=1.0, anonymized=0.25)}, "finds a face in 25 % of the anonymized crops"),
        ({"realism": RealismScore(ssim=1.0, psnr=None)}, "equal the originals, pixel by pixel"),
        (
            {"expression": ExpressionScore(js=0.3, kl=1, top1_agreement=0.2, largest_class_share=1.0, collapsed=True)},
            "One expression stands for everything",
        ),
    ],
)
def test_cautions(rung, score, changes, caution):
    rungs = rung("A0", "control", 1.0), rung("A1", "naive", 0.5)
    quiet = {"detection": None, "realism": RealismScore(ssim=0.4, psnr=18.0)}
    found = cautions(score(*rungs, **{**quiet, **changes}))
    assert [text for text in found if caution in text]
    many = rung("A0", "control", 1.0, people=50), rung("A1", "naive", 0.5, people=50)
    assert cautions(score(*many, **quiet)) == []


def test_no_hit_is_not_certainty(rung, score):
    people = 30
    rungs = rung("A0", "control", 1.0, people=people), rung("A1", "naive", 0.0, people=people)
    (caution,) = [text for text in cautions(score(*rungs)) if "rule of three" in text]
    assert "No pair was linked by naive (sface); with 30 people, a rate of up to 10 % would often" in caution
