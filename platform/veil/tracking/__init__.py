"""MLflow: the only place that knows it. Trial records on disk are mirrored to runs, each exactly once."""

from veil.tracking.tracker import Tracker, local_uri

__all__ = ["Tracker", "local_uri"]
