"""MLflow beside the sweep: a process of its own logs what trials leave, so that no trial waits for a tracking store."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import ray
from ray.tune import Callback as TuneCallback
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from veil.config import StudyConfig
from veil.errors import TrackingError
from veil.study import StudyFolder
from veil.sweep.deaths import cause_of_death
from veil.sweep.keys import FINISHED, NUMBER, PROGRESS_IMAGES
from veil.sweep.progress import SweepProgress
from veil.sweep.search import StudySearch
from veil.tracking.outbox import RETRY_SECONDS, Outbox

PATIENCE_SECONDS = 90.0
"""How long a store that is away when all trials have ended is waited for."""

SEND_SECONDS = 0.25

DEATHS = (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError)
"""How Ray tells that a process is gone."""

LOSS_PREFIXES = ("loss/", "progress/", "proxy/", "train/")


class Mirror(TuneCallback):
    """Passes what Tune's trials report to the screen, and to MLflow by an outbox in a process of its own.

    One call of the outbox is under way at a time; what is reported meanwhile goes with the next one. A store that is
    away, or a process that dies, must not end a sweep that is computing: all that counts is on disk.

    Args:
        config: of the study.
        folder: of the study.
        progress: the screen.
        search: is told of trials whose process died for good.
    """

    def __init__(self, config: StudyConfig, folder: StudyFolder, progress: SweepProgress, search: StudySearch) -> None:
        self._config = config
        self._folder = folder
        self._progress = progress
        self._search = search
        self._losses: dict[int, list[Mapping[str, float]]] = defaultdict(list)
        self._finished: list[int] = []
        self._sent: ray.ObjectRef | None = None
        self._sent_at = 0.0
        self._outbox: Any = None
        self._completion: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks to restore an experiment, and Veil continues from its own records."""
        return {}

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """Tune has dealt with an event."""
        if time.monotonic() - self._sent_at > SEND_SECONDS:
            self._send()

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        """Losses of a running trial."""
        if result.get(FINISHED) or PROGRESS_IMAGES not in result:
            return
        number = trial.config[NUMBER]
        self._progress.trained(number, int(result[PROGRESS_IMAGES]))
        self._losses[number].append({key: value for key, value in result.items() if key.startswith(LOSS_PREFIXES)})

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A trial's process has ended in good order."""
        self._show(trial.config[NUMBER])

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A trial's process has died, and the trial is tried again.

        Raises:
            StorageError: the study folder cannot be written, which ends the sweep.
        """
        self._progress.warn(f"trial {trial.config[NUMBER]} is tried again: {cause_of_death(trial)}")

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A trial's process has died more often than allowed.

        Raises:
            StorageError: the study folder cannot be written, which ends the sweep.
        """
        self._search.lose(trial.trial_id, cause_of_death(trial))
        self._show(trial.config[NUMBER])

    def start_completing(self) -> None:
        """All trials have ended: let the outbox pass on what is left, while there is something else to do."""
        if self._outbox is None:
            self._outbox = self._open_outbox()
        self._completion = self._outbox.complete.remote()

    def complete(self) -> None:
        """Wait until everything has been passed on.

        Raises:
            TrackingError: the store has been away for `PATIENCE_SECONDS`.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (problem := self._completed()) is not None:
            if time.monotonic() > deadline:
                raise TrackingError(problem)
            self._progress.warn(f"{problem} (tried again for {PATIENCE_SECONDS:.0f} s)")
            time.sleep(RETRY_SECONDS / 5)
            self.start_completing()

    def _completed(self) -> str | None:
        try:
            return ray.get(self._completion)
        except DEATHS:
            self._outbox = None
            self.start_completing()
            return ray.get(self._completion)

    def _open_outbox(self) -> Any:
        # Ray would restart it by itself, but ends such processes first where memory is short.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        outbox: Any = ray.remote(num_cpus=0)(Outbox)
        return outbox.options(scheduling_strategy=here).remote(self._config, self._folder.manifest())

    def _show(self, number: int) -> None:
        record = self._folder.record(number)
        if record is not None:
            self._progress.finished(record)
            self._finished.append(number)

    def _send(self) -> None:
        self._sent_at = time.monotonic()
        if self._sent is not None:
            done, _ = ray.wait([self._sent], timeout=0)
            if not done:
                return
            self._hear(self._sent)
            self._sent = None
        if self._losses or self._finished:
            # Not before there is something to log: at first, the machine is busy starting the trials.
            if self._outbox is None:
                self._outbox = self._open_outbox()
            self._sent = self._outbox.pass_on.remote(dict(self._losses), self._finished)
            self._losses, self._finished = defaultdict(list), []

    def _hear(self, answer: ray.ObjectRef) -> None:
        try:
            problem = ray.get(answer)
        except DEATHS as error:
            problem = f"the process that logs to MLflow died and is started again ({str(error).splitlines()[0]})"
            self._outbox = None
        if problem is not None:
            self._progress.warn(f"{problem} (the sweep goes on)")
