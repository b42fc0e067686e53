"""Operating points in MLflow's model registry, with a card that says what was measured."""

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple, Self

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from veil import __version__
from veil.config import StudyConfig
from veil.errors import ConfigError, TrackingError
from veil.protocol.score import Estimate, TrialScore
from veil.registry import parsers
from veil.study import TrialRecord

SERVING_CODE = Path(__file__).with_name("serving.py")


class ModelName(NamedTuple):
    """A model and an alias of one of its versions."""

    model: str
    alias: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "NAME@ALIAS".

        Raises:
            ConfigError: the text has another form.

        >>> ModelName.parse("face-anonymizer@balanced")
        ModelName(model='face-anonymizer', alias='balanced')
        """
        match = re.fullmatch(r"([A-Za-z0-9][\w.-]*)@([A-Za-z][\w-]*)", text)
        if match is None or re.fullmatch(r"v\d+", match[2]):
            raise ConfigError(f"--register {text!r}: expected NAME@ALIAS, for example face-anonymizer@balanced")
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}"


def register_operating_point(
    uri: str,
    run_id: str,
    name: ModelName,
    trial_folder: Path,
    record: TrialRecord,
    score: TrialScore,
    config: StudyConfig,
) -> str:
    """Log the trial's anonymizer as an MLflow model and give its registered version an alias.

    Returns:
        The version.

    Raises:
        TrackingError: the registry refuses.
    """
    card = model_card(record, score, config)
    parser = parsers.get(config.data.parsing)()
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, 112, 112, 3))]),
        outputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, 112, 112, 3))]),
    )
    try:
        mlflow.set_tracking_uri(uri)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
            # MLflow asks for type hints although the signature is given.
            warnings.simplefilter("ignore")
            logged = mlflow.pyfunc.log_model(
                name="anonymizer",
                python_model=str(SERVING_CODE),
                artifacts={"trial": str(trial_folder)},
                model_config={"parsing": parser.name, "parsing_sha256": parser.asset_sha256},
                signature=signature,
                pip_requirements=[f"veil-faces=={__version__}"],
                registered_model_name=name.model,
                metadata={"trial": record.number, "study": config.study, "crop_contract": score.contract_hash},
            )
        version = str(logged.registered_model_version)
        client = MlflowClient(uri)
        client.update_model_version(name.model, version, description=card)
        client.set_registered_model_alias(name.model, name.alias, version)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"cannot register {name} at {uri}: {error}") from error
    return version


def model_card(record: TrialRecord, score: TrialScore, config: StudyConfig) -> str:
    """What was measured, on whom, against which attackers, and what is not promised (Markdown)."""
    leak, utility = score.objectives["leak"], score.objectives["utility"]
    people = max(rung.n_identities for rung in score.rungs)
    rungs = "\n".join(
        f"| {rung.rung} | {rung.name} | {rung.recognizer} | {_interval(rung.tar)} |" for rung in score.rungs
    )
    labelled = "".join(
        f"- labelled expressions of {name}, sealed part: {item.summary}\n" for name, item in score.labelled_sets.items()
    )
    trained = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in record.training_faces.items())
    return f"""# {record.label} (trial {record.number} of study {config.study})

Scored once on {people} sealed people whom neither training nor the search ever saw, with a recognizer
({", ".join(config.roles.report)}) that held no other role.

- worst-case leak (TAR at FAR {config.suite.far:g}): **{_interval(leak)}**, by `{score.strongest}`
- expression utility (1 - JS divergence): **{_interval(utility)}**
{labelled}- training faces: {trained or "none"}

| rung | attack | recognizer | TAR [95 %] |
|---|---|---|---|
{rungs}

**Not guaranteed:** other attackers, other people, other cameras. Attackers that fine-tune a whole recognizer or invert
the anonymizer were not run. {people} people are few: read the intervals, not the values.

Attack suite `{score.suite_hash}`, data `{score.data_hash}`, crop contract `{score.contract_hash}`, Veil {__version__}.
"""


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
