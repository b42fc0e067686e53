"""The report's page: what stands on it is what MLflow holds, and it says what was not done."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image
from rich.console import Console
from scored_study import add_trial, around, make_study, mirror

from veil.errors import TrackingError
from veil.records import EarlyScore, TrialRecord
from veil.registry import search_spaces
from veil.report.command import report_study
from veil.sealed import SealedLook, log_look
from veil.study import FAILURES, StudyFolder

TRIALS = {
    "blur 31": ("classical", 0.5, 0.4), "blackout": ("classical", 0.02, 0.3), "sees <nothing>": ("gan", 0.4, 0.7),
}  # fmt: skip
LOST = len(TRIALS)


class ToyFamilies:
    """Nothing is asked."""

    trainables = ("baseline",)


class Numbers(HTMLParser):
    """Collects the `data` elements of a page with what they show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str], str]] = []
        self._inside = False
        self.feed(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "data":
            self.found.append((dict(attrs), ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "data"

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.found[-1]
            self.found[-1] = attributes, text + data


@pytest.fixture(scope="module", autouse=True)
def _toy_space() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(search_spaces._plugins, "toy_families", ToyFamilies)
        yield


def at_rung(verdict: str) -> EarlyScore:
    return EarlyScore(images=9, objectives={"leak": around(0.5)}, rank=1, of=2, verdict=verdict)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Three valid trials, one of which passed a rung, one that failed and one stopped early, mirrored to MLflow."""
    folder = make_study(tmp_path_factory.mktemp("studies"), "toy_families")
    for number, (label, (family, leak, utility)) in enumerate(TRIALS.items()):
        passed = {"params": {"images": 81}, "early_scores": (at_rung("goes on"),)} if family == "gan" else {}
        add_trial(folder, number, {"leak": leak, "utility": utility}, label=label, family=family, **passed)
        Image.new("RGB", (8, 8)).save(folder.trial(number) / FAILURES)
    lost = {"trainable": "baseline", "family": "gan", "label": "lost", "reason": "loss/g was nan"}
    folder.write_record(TrialRecord(number=LOST, state="diverged", **lost))
    ended = {"trainable": "baseline", "family": "gan", "label": "ended", "params": {"images": 81}}
    reason, early = "rung 9: rank 2 of 2 by leak", (at_rung("stopped"),)
    folder.write_record(TrialRecord(number=LOST + 1, state="stopped", reason=reason, early_scores=early, **ended))
    mirror(folder)
    return folder


def report(folder: StudyFolder) -> str:
    written = report_study(folder, "gan", Console(file=io.StringIO()))
    assert written.pdf is None
    return written.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(study: StudyFolder) -> str:
    return report(study)


def client(folder: StudyFolder) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder.path.parent / 'mlflow.db'}")


def test_every_number_is_what_mlflow_holds(study, page):
    store, numbers = client(study), Numbers(page).found
    runs = {name: store.get_run(name) for name in {attributes["data-run"] for attributes, _ in numbers}}
    kinds = [run.data.tags["veil.kind"] for run in runs.values()]
    assert sorted(kinds) == ["report", "sweep", "trial", "trial", "trial"]
    for attributes, text in numbers:
        held = runs[attributes["data-run"]].data
        if "data-param" in attributes:
            assert held.params[attributes["data-param"]] == attributes["value"] == text
        else:
            value = held.metrics[attributes["data-key"]]
            assert value == float(attributes["value"]), attributes
            assert text in {f"{value:{form}}" for form in (".0f", ".1f", ".2f", ".3f", "+z.2f", ".0e")}, attributes
    shown = {(runs[a["data-run"]].data.tags.get("veil.trial"), a.get("data-key")) for a, _ in numbers}
    for trial in map(str, range(len(TRIALS))):
        assert {
            (trial, f"objective/{name}{end}") for name in ("leak", "utility") for end in ("", "_low", "_high")
        } < shown
        assert (trial, "attack/parrot/tar_high") in shown and (trial, "people/tar_most") in shown
    (own,) = [run for run in runs.values() if run.data.tags["veil.kind"] == "report"]
    assert own.data.metrics["answers/0/1/utility_difference"] == pytest.approx(0.3)
    assert [item.path for item in store.list_artifacts(own.info.run_id)] == ["report.html"]
    assert own.info.status == "FINISHED"


def test_no_number_of_a_table_is_without_an_origin(page):
    cells = re.findall(r"<td(?! class=\"name\")[^>]*>(.*?)</td>", page[page.index('id="ladder"') :], flags=re.DOTALL)
    for cell in cells:
        bare = re.sub(r"<data.*?</data>|<a .*?</a>|<[^>]*>|#\d+|A\d|sface", "", cell, flags=re.DOTALL)
        assert not re.search(r"\d\.\d|\d{2}", bare), cell


def test_early_stopping_is_told_with_what_it_saved(page):
    text = " ".join(re.sub(r"<[^>]*>", "", page[page.index("<h3>Early stopping") :]).split())
    assert "were ended: 1 of 2. This saved a share of 0.44 of their images (72 of 162)" in text
    assert "No control has run to its end" in text and ">stopped early</th>" in page
    assert "rank 2 of 2" not in text, "a stopped trial is not listed among those that are not valid"


def test_it_says_what_was_not_done(page):
    text = " ".join(page.split())
    assert "Nobody has looked at the sealed people" in text and "veil pick s --knee" in text
    assert "A4 informed, A5 finetuned, A6 reversal" in text and "loss/g was nan" in text
    assert "gan dominates 1 of 2 trials of other families beyond noise" in text
    assert "blackout (classical, trial 1) stands: no gan leaks so little" in text


def test_it_is_one_file_that_tells_no_paths_and_runs_no_names(study, page):
    body = page.replace("\n", " ")
    assert not re.search(r"<(link|script|img)[^>]+(href|src)=.(?!data:)", re.sub(r"<script>.*?</script>", "", body))
    assert str(study.path.parent) not in page
    assert "sees &lt;nothing&gt;" in page and "sees <nothing>" not in re.sub(r"<script.*?</script>", "", body)


def test_an_unchanged_study_has_one_report_in_mlflow(study, page):
    run = re.search(r"this report .*?([0-9a-f]{32})</a>", page)[1]
    assert run in report(study)


@pytest.mark.parametrize("credit", [True, False])
def test_faces_are_shown_where_the_terms_of_the_data_allow_it(study, page, credit):
    assert ("data:image/webp" in page) and "AT&amp;T Laboratories Cambridge. Source" in page
    if not credit:
        config = study.config_path.read_text(encoding="utf-8")
        try:
            study.config_path.write_text(config.replace("dataset: orl", "dataset: lfw"), encoding="utf-8")
            other = report(study)
        finally:
            study.config_path.write_text(config, encoding="utf-8")
        assert "data:image/webp" not in other and "do not let a report do so" in other


def test_sealed_looks_stand_beside_the_search(study):
    score = study.record(2).score
    leak, utility = around(0.45), around(0.6)
    sealed = score.model_copy(update={"objectives": {"leak": leak, "utility": utility}, "target_split": "sealed"})
    look = SealedLook(time="2026-01-02T03:04:05Z", trial=2, label="sees <nothing>", asked="--knee", score=sealed)
    log_look(study, look.model_copy(update={"refused": "leak 0.45 is above 0.1"}))
    try:
        page = report(study)
    finally:
        (study.path / "sealed.jsonl").unlink()
    text = " ".join(re.sub(r"<[^>]+>", "", page[page.index('id="points"') :]).split())
    assert "0.45 [0.35, 0.55]" in text and "refused: leak 0.45 is above 0.1" in text and "2026-01-02" in text
    keys = {attributes.get("data-key") for attributes, _ in Numbers(page).found}
    assert {"look/1/sealed/leak", "look/1/sealed/utility_low", "look/1/sealed/people/tar_most"} <= keys


def test_scores_without_people_are_not_called_harmless(study):
    originals = {record.number: record for record in study.records()}
    try:
        for record in originals.values():
            if record.score is not None:
                study.write_record(record.model_copy(update={"score": record.score.model_copy(update={"people": ()})}))
        page = report(study)
    finally:
        for record in originals.values():
            study.write_record(record)
    assert "Failure cases were not examined" in " ".join(page.split()).replace(
        "Failure cases were not examined", "Failure cases were not examined"
    )


def test_a_report_vouches_for_no_changed_number(study):
    original = study.record(1)
    flattered = {**original.objectives, "utility": around(0.9)}
    study.write_record(original.model_copy(update={"objectives": flattered}))
    try:
        with pytest.raises(TrackingError, match="trial 1 and its MLflow run .* objective/utility is 0.9 in its record"):
            report(study)
    finally:
        study.write_record(original)
    add_trial(study, 9, {"leak": 0.1, "utility": 0.2})
    try:
        with pytest.raises(TrackingError, match="no run of trial 9; `veil resume s --root"):
            report(study)
    finally:
        study.record_path(9).unlink()


def test_a_study_without_tracking_is_told_how_to_get_it(tmp_path: Path):
    folder = make_study(tmp_path, "toy_families")
    add_trial(folder, 0, {"leak": 0.4, "utility": 0.7}, family="gan")
    with pytest.raises(TrackingError, match=r"no tracking database .*mlflow.db; `veil resume s --root"):
        report(folder)
