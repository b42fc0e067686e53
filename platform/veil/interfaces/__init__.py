"""What a plug-in must be."""

from veil.interfaces.attackers import Attacker, AttackFailedError, AttackSet, AttackSetting, Comparisons
from veil.interfaces.models import (
    CROP_SIZE,
    EXPRESSIONS,
    FACE_PARTS,
    NO_PART,
    Anonymizer,
    Conditioning,
    ExpressionNet,
    FaceBatch,
    Recognizer,
    SubjectPool,
)
from veil.interfaces.search_spaces import Anchor, Question, SearchSpace
from veil.interfaces.trainables import Roles, Trainable, Training, TrialContext, TrialOutcome

__all__ = [
    "CROP_SIZE",
    "EXPRESSIONS",
    "FACE_PARTS",
    "NO_PART",
    "Anchor",
    "Anonymizer",
    "AttackFailedError",
    "AttackSet",
    "AttackSetting",
    "Attacker",
    "Comparisons",
    "Conditioning",
    "ExpressionNet",
    "FaceBatch",
    "Question",
    "Recognizer",
    "Roles",
    "SearchSpace",
    "SubjectPool",
    "Trainable",
    "Training",
    "TrialContext",
    "TrialOutcome",
]
