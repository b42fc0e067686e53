"""All faces that a study needs."""

from pathlib import Path

from veil.config import DataConfig
from veil.faces.prepare import Progress
from veil.faces.study_faces import PreparedFaces
from veil.preparing.preparation import THIS_MACHINE, Workforce, prepare, prepare_extra


def prepare_study(
    data: DataConfig,
    cache: Path,
    progress: Progress = lambda done, total: None,
    workforce: Workforce = THIS_MACHINE,
) -> PreparedFaces:
    """Prepare the people of a study and its extra faces, or find them already prepared; see `prepare`."""
    return PreparedFaces(prepare(data, cache, progress, workforce), prepare_extra(data, cache, progress, workforce))
