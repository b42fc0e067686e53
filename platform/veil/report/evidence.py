"""Numbers for the report's page, each with the MLflow run and the key under which it is found again."""

from typing import NamedTuple, Protocol

from markupsafe import Markup

from veil.errors import TrackingError
from veil.tracking.runs import StudyRuns

REPORT_RUN = "run-of-this-report"
"""Stands for the id of the run that keeps what the report itself computes, until there is one."""

SHORT = 8
"""Digits of a run's id that are shown."""


class Bounded(Protocol):
    """A value with the ends of its 95 % interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Origin(NamedTuple):
    """Where a number is kept.

    Attributes:
        run: id of an MLflow run.
        key: of a metric of that run.
    """

    run: str
    key: str


class Evidence:
    """Writes numbers as HTML `data` elements that name their run and metric.

    A number that the run of its trial or look does not hold, because it is computed here or because an older Veil
    mirrored that run, goes into the report's own run.

    Attributes:
        runs: of the study.
        computed: what the report's own run shall hold, by key.
    """

    def __init__(self, runs: StudyRuns) -> None:
        self.runs = runs
        self.computed: dict[str, float] = {}

    def number(
        self,
        value: float,
        key: str,
        trial: int | None = None,
        form: str = ".2f",
        run: str | None = None,
    ) -> Markup:
        """A number.

        Args:
            value: finite.
            key: metric that holds it.
            trial: whose run holds it; None if the report computes it.
            form: how it is shown, as a format specification.
            run: id of the run that holds it, where that is no trial's.

        Raises:
            TrackingError: the run holds another value.
        """
        origin = self._origin(value, key, trial, run)
        return Markup('<data value="{}" data-run="{}" data-key="{}">{}</data>').format(
            repr(float(value)), origin.run, origin.key, f"{value:{form}}"
        )

    def interval(
        self,
        estimate: Bounded,
        key: str,
        trial: int | None = None,
        form: str = ".2f",
        run: str | None = None,
    ) -> Markup:
        """A value with its interval, as in "0.39 [0.25, 0.55]"; the ends lie under `key` with _low and _high."""
        value, low, high = (
            self.number(number, f"{key}{end}", trial, form, run)
            for number, end in ((estimate.value, ""), (estimate.low, "_low"), (estimate.high, "_high"))
        )
        return Markup('{} <span class="ends">[{}, {}]</span>').format(value, low, high)

    def setting(self, key: str) -> Markup:
        """A setting of the study, as its sweep run holds it.

        Raises:
            TrackingError: it holds none of that name.
        """
        sweep = self.runs.sweep
        if key not in sweep.data.params:
            raise TrackingError(f"the sweep run {sweep.info.run_id} holds no setting {key!r}; another Veil mirrored it")
        value = sweep.data.params[key]
        return Markup('<data value="{}" data-run="{}" data-param="{}">{}</data>').format(
            value, sweep.info.run_id, key, value
        )

    def link(self, run: str) -> Markup:
        """A run's id, shortened, as a link to its MLflow page."""
        return Markup('<a class="run" href="{}" title="MLflow run {}">{}</a>').format(
            self.runs.address(run), run, run if run == REPORT_RUN else run[:SHORT]
        )

    def trial(self, number: int) -> Markup:
        """The same of a trial's run."""
        return self.link(self.runs.trials[number].info.run_id)

    def _origin(self, value: float, key: str, trial: int | None, run: str | None) -> Origin:
        found = self.runs.trials[trial] if trial is not None else self.runs.others.get(run or "")
        if found is not None and key in found.data.metrics:
            if found.data.metrics[key] != value:
                raise TrackingError(
                    f"{key} of MLflow run {found.info.run_id} is {found.data.metrics[key]!r} and {value!r} in the "
                    "study folder: one of the two was changed after the sweep, and a report would vouch for neither"
                )
            return Origin(found.info.run_id, key)
        of_whom = "" if found is None else f"trial/{trial:05d}/" if trial is not None else f"run/{run}/"
        own = f"{of_whom}{key}"
        self.computed[own] = float(value)
        return Origin(REPORT_RUN, own)
