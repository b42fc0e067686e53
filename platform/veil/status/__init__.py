"""How far a study is: read from its folder alone, on any machine that sees it, while it runs or afterwards."""

from veil.status.state import StudyStatus
from veil.status.watch import StudyWatch

__all__ = ["StudyStatus", "StudyWatch"]
