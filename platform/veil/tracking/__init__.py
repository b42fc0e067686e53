"""MLflow: the only place that knows it. Trial records on disk are mirrored to runs, each exactly once."""

import os

# A tool about privacy tells nobody what it runs; MLflow decides when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from veil.tracking.tracker import Tracker, local_uri

__all__ = ["Tracker", "local_uri"]
