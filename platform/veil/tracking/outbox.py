"""What lies in the study folder passes on to MLflow: at once, or when a store that was away is back."""

import time
from collections.abc import Mapping, Sequence

from veil.config import StudyConfig
from veil.errors import TrackingError
from veil.records import Manifest
from veil.study import StudyFolder
from veil.tracking.tracker import Tracker

RETRY_SECONDS = 15.0
"""How long a store that was away is left alone."""

Losses = Mapping[int, Sequence[Mapping[str, float]]]
"""Points of the running trials' losses, by trial number."""


class Outbox:
    """Passes on to MLflow what lies in the study folder; what the store is away for is passed on later.

    Args:
        config: of the study.
        manifest: of the study.
    """

    def __init__(self, config: StudyConfig, manifest: Manifest) -> None:
        self._config = config
        self._manifest = manifest
        self._folder = StudyFolder(config.folder)
        self._tracker: Tracker | None = None
        self._late: set[int] = set()
        self._away_until = 0.0

    def pass_on(self, losses: Losses, finished: Sequence[int]) -> str | None:
        """Log losses of running trials, and trials that have finished.

        Returns:
            what is wrong with the store, None if nothing is. Losses are then logged with their trial's end, and
            finished trials with a later call.
        """
        self._late |= set(finished)
        if time.monotonic() < self._away_until:
            return None
        try:
            tracker = self._open()
            for number, points in losses.items():
                tracker.log_progress(number, points)
            for number in sorted(self._late):
                record = self._folder.record(number)
                if record is not None:
                    tracker.log_trial(record, self._folder)
                self._late.discard(number)
        except TrackingError as error:
            self._away_until = time.monotonic() + RETRY_SECONDS
            return str(error)
        return None

    def complete(self) -> str | None:
        """Log every finished trial that is not logged yet; returns what is wrong with the store, None if nothing is."""
        try:
            self._open().log_missing(self._folder)
        except TrackingError as error:
            return str(error)
        return None

    def _open(self) -> Tracker:
        if self._tracker is None:
            self._tracker = Tracker(self._config, self._manifest)
        return self._tracker
