"""Puts an operating point that kept its budget into the model registry, with a card and everything it needs."""

import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from veil import __version__
from veil.errors import DataError
from veil.picking.card import model_card
from veil.picking.rescoring import SealedPeople
from veil.records import TrialRecord
from veil.registry import parsers, trainables
from veil.sealed import Registration, SealedLook, log_registration
from veil.serving import PointDescription
from veil.study import StudyFolder
from veil.tracking import Tracker
from veil.tracking.models import ModelName, register_model
from veil.tracking.packing import pack_point

PROOF_FACES = 4
"""Sealed faces on which the packed model must agree with the trial; they do not travel with it."""


def register_point(
    name: ModelName,
    folder: StudyFolder,
    people: SealedPeople,
    tracker: Tracker,
    record: TrialRecord,
    look: SealedLook,
    number: int,
    console: Console,
) -> str:
    """Pack a trial, register it, and write that down; returns the version.

    Raises:
        TrackingError: the packed model gives other pixels by itself, or the registry refuses it.
        DataError: there is no room for the pack.
    """
    config, faces = people.config, people.faces.people
    parser = parsers.get(config.data.parsing)()
    description = PointDescription(
        trainable=record.trainable, params=record.params, parsing=parser.name, parsing_sha256=parser.asset_sha256
    )
    model_files = getattr(trainables.get(record.trainable), "model_files", None)
    crops = faces.split("sealed").crops[:PROOF_FACES].transpose(0, 2, 3, 1)
    try:
        with console.status("packing the model"), tempfile.TemporaryDirectory() as scratch:
            pack = pack_point(Path(scratch), description, record, folder.trial(record.number), model_files, crops)
            metadata: dict[str, Any] = {
                "study": config.study,
                "trial": record.number,
                "suite_hash": look.score.suite_hash,
                "data_hash": look.score.data_hash,
                "crop_contract": look.score.contract_hash,
                "contract": people.contract,
                "needs": list(pack.needs),
                "files_sha256": pack.files_sha256,
                "veil_version": __version__,
                "sealed_run": look.run_id,
            }
            card = model_card(record, look, number, config, folder, pack)
            run_id = tracker.trial_run_id(record.number)
            version = register_model(tracker.uri, run_id, name, pack, metadata, card, look.score)
    except OSError as error:
        raise DataError(f"cannot pack the model: {error.strerror or error}; make room, or set TMPDIR") from error
    log_registration(
        folder,
        Registration(
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            model=name.model,
            alias=name.alias,
            version=version,
            trial=record.number,
            look=number,
            files_sha256=pack.files_sha256,
        ),
    )
    console.print(f"registered [bold]{name}[/bold], version {version}", highlight=False)
    return version
