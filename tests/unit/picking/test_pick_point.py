"""What is looked at, what is refused, what comes next, and what is written down; the scores come from a table."""

import mlflow
import pytest
from picking_study import make_score

from veil.errors import ConfigError, DataError, ProtocolError, TrackingError
from veil.picking import Budget, sealed_looks
from veil.picking.rescoring import SealedPeople
from veil.sealed import registrations
from veil.tracking.models import ModelName

LEAK = Budget(0.1, None, False, None)


def test_the_choice_is_explained_without_a_look(study):
    assert study.pick(LEAK, explain_only=True) is None
    assert study.printed.startswith("Of 4 trials, 4 can be picked; 3 remain within --max-leak 0.1. Of these, trial 2")
    assert study.scored == [] and sealed_looks(study.folder) == []


def test_a_point_that_keeps_the_budget_is_taken_and_the_look_written_down(study):
    look = study.pick(LEAK)
    assert (look.trial, look.refused, look.asked) == (2, None, "--max-leak 0.1")
    assert sealed_looks(study.folder) == [look] and registrations(study.folder) == []
    client = mlflow.MlflowClient(f"sqlite:///{study.folder.path.parent / 'mlflow.db'}")
    run = client.get_run(look.run_id)
    assert run.data.metrics["sealed/leak"] == 0.09 and run.data.metrics["sealed/utility_low"] == pytest.approx(0.78)
    assert run.data.metrics["attack/dlib_resnet/informed/closed_set/seed1/tar"] == 0.09
    assert [item.path for item in client.list_artifacts(look.run_id)] == ["score.json"]
    assert "sealed leak     0.09 [0.07, 0.11]" in study.printed and "look 1 at the sealed people" in study.printed
    assert "its interval reaches beyond the budget: leak 0.09 [0.07, 0.11] is above 0.1" in study.printed

    # The same question again is no other look; an anonymizer that was changed since is.
    assert study.pick(Budget(None, None, False, 2)).trial == 2
    assert study.scored == [2] and len(sealed_looks(study.folder)) == 1
    record = study.folder.record(2)
    study.folder.write_record(record.model_copy(update={"params": {"method": "blur", "kernel": 31}}))
    study.pick(LEAK)
    assert study.scored == [2, 2] and len(sealed_looks(study.folder)) == 2


def test_a_broken_budget_refuses_and_offers_the_next_candidate(study):
    study.sealed[2] = make_score(0.30, 0.80, "sealed")
    with pytest.raises(ProtocolError) as refused:
        study.pick(LEAK, "faces@good")
    message = str(refused.value)
    assert "trial 2 cannot be taken: it breaks the budget: leak 0.30 [0.28, 0.32] is above 0.1" in message
    assert "nothing is registered. Next candidate: trial 1 (blur 1), with --trial 1" in message
    (look,) = sealed_looks(study.folder)
    assert look.refused is not None and registrations(study.folder) == []
    assert not mlflow.MlflowClient(f"sqlite:///{study.folder.path.parent / 'mlflow.db'}").search_registered_models()


def test_pick_goes_on_by_itself_as_often_as_it_may(study):
    study.sealed[2] = make_score(0.30, 0.80, "sealed")
    study.sealed[1] = make_score(0.1, 0.6, "sealed").model_copy(
        update={"valid": False, "reason": "control failed", "objectives": {}}
    )
    with pytest.raises(ProtocolError, match=r"trial 2 cannot.*; .*trial 1 cannot be taken: its score is invalid: con"):
        study.pick(LEAK, tries=2)
    look = study.pick(LEAK, tries=3)
    assert look.trial == 0 and study.scored == [2, 1, 0], "what was seen is not measured again"
    assert [item.refused is None for item in sealed_looks(study.folder)] == [False, False, True]
    study.sealed[0] = make_score(0.30, 0.40, "sealed")
    with pytest.raises(ProtocolError, match="No other trial meets the budget"):
        study.pick(LEAK, tries=9, overrides=("sealed.attacker_seeds=4",))
    assert len(sealed_looks(study.folder)) == 6, "stronger attackers are another look"


def test_conservative_budgets_hold_for_the_ends_of_sealed_intervals(study):
    budget = Budget(0.1, None, False, None, conservative=True)
    assert study.pick(budget, explain_only=True) is None and "trial 1 (blur 1" in study.printed
    study.sealed[1] = make_score(0.09, 0.6, "sealed")
    with pytest.raises(ProtocolError, match=r"leak 0.09 \[0.07, 0.11\] is above 0.1, judged by the unfavourable end"):
        study.pick(budget)


@pytest.mark.parametrize(
    ("budget", "options", "error", "message"),
    [
        (Budget(0.01, None, False, None), {}, ConfigError, "no trial leaks at most 0.01; the lowest is 0.05"),
        (Budget(0.1, 0.95, False, None), {}, ConfigError, "no trial has a utility of at least 0.95 among the 3"),
        (Budget(None, None, False, None), {}, ConfigError, "use --max-leak, --min-utility or --knee"),
        (Budget(None, None, False, 7), {}, ConfigError, "trial 7 has not finished in study 'blurs'"),
        (LEAK, {"register": "faces"}, ConfigError, "expected NAME@ALIAS"),
        (LEAK, {"register": "faces@latest"}, ConfigError, "MLflow keeps the aliases v1, v2, … and latest"),
        (LEAK, {"overrides": ("suite.far=0.1",)}, ConfigError, "only settings of `sealed` can be changed"),
        (LEAK, {"overrides": ("sealed.attacker_seeds=2",)}, ConfigError, "greater than or equal to 3"),
        (LEAK, {"overrides": ("sealed.strength.informd.epochs=2",)}, ConfigError, "informd"),
        (LEAK, {"overrides": ("sealed.seeds=4",)}, ConfigError, "unknown setting 'seeds'"),
    ],
)
def test_wrong_questions_are_refused_before_anybody_is_looked_at(study, budget, options, error, message):
    register = options.pop("register", None)
    with pytest.raises(error, match=message):
        study.pick(budget, register, **options)
    assert study.scored == [] and not (study.folder.path / "sealed.jsonl").exists()


def test_an_invalid_trial_cannot_be_picked(study):
    record = study.folder.record(2)
    study.folder.write_record(record.model_copy(update={"state": "diverged", "reason": "loss nan", "objectives": {}}))
    with pytest.raises(ConfigError, match="trial 2 cannot be picked: loss nan"):
        study.pick(Budget(None, None, False, 2))


def test_an_unknown_study_names_the_nearest(study):
    study.folder.path = study.folder.path.with_name("blur")
    with pytest.raises(ConfigError, match="no study 'blur' .* did you mean 'blurs'"):
        study.pick(LEAK)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:///file:{root}/mlflow.db?mode=ro&uri=true"])
def test_a_registry_that_cannot_be_used_is_known_before_the_look(study, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert study.pick(Budget(None, None, False, 0)).trial == 0
    config = study.folder.config()
    tracking = config.tracking.model_copy(update={"uri": uri.format(root=config.root)})
    study.folder.create(config.model_copy(update={"tracking": tracking}), study.folder.manifest())
    with pytest.raises(TrackingError, match="check `tracking.uri`"):
        study.pick(LEAK, "faces@good")
    assert study.scored == [0]


def test_changed_faces_are_refused(study, monkeypatch):
    from types import SimpleNamespace

    people = SealedPeople(study.config, study.folder, None, None)
    monkeypatch.setattr(SealedPeople, "_prepared", None)
    for contract, data, message in (
        ("c", "e", r"other contents \(data hash e, expected d"),
        ("x", "d", "another crop"),
    ):
        faces = SimpleNamespace(people=SimpleNamespace(contract_hash=contract), data_hash=data)
        monkeypatch.setattr("veil.picking.rescoring.StudyFaces.load", lambda *_, faces=faces: faces)
        with pytest.raises(ProtocolError, match=message):
            people.faces  # noqa: B018


def test_a_look_is_written_down_even_if_tracking_fails(study, monkeypatch):
    def fail(*_):
        raise TrackingError("away")

    monkeypatch.setattr(SealedPeople, "_track", fail)
    with pytest.raises(TrackingError, match="away"):
        study.pick(LEAK)
    (look,) = sealed_looks(study.folder)
    assert look.trial == 2 and look.run_id is None
    (study.folder.path / "sealed.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        study.pick(LEAK)


def test_names_of_models():
    assert ModelName.parse("face-anonymizer@balanced") == ("face-anonymizer", "balanced")
    for text in ("faces", "faces@v2", "faces@", "@good", "a/b@good", "faces@Latest"):
        with pytest.raises(ConfigError, match="expected NAME@ALIAS"):
            ModelName.parse(text)
