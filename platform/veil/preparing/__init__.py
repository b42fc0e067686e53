"""Preparation of whole datasets: plan, workers, and one table on disk that a stopped run is continued into."""

from veil.preparing.plan import main_faces
from veil.preparing.preparation import Prepared, Workforce, prepare, prepare_extra, prepare_faces
from veil.preparing.report import preparation_bar, print_prepared

__all__ = [
    "Prepared",
    "Workforce",
    "main_faces",
    "preparation_bar",
    "prepare",
    "prepare_extra",
    "prepare_faces",
    "print_prepared",
]
