"""Trains one anonymizer at a serious budget and judges it by the full ladder on the search people.

Run it by `python tests/benchmarks/serious_training.py --faces FOLDER --out FOLDER [--extra FOLDER ...]
[--conditioning landmarks] [--weights id=3 expr=2] [--images 200000] [--width 48] [--batch-size 32] [--device cuda]
[--precision bfloat16] [--set learning_rate=2e-4 ...]` on folders of face tables as `veil prepare` leaves them. It
writes `score.json`, `sheet.png` and `timing.json` beside the trained generator, and needs neither Ray nor MLflow nor
Optuna, so that a machine that has a GPU and little else can run it.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from trainables.gan_anonymizer import GanAnonymizer, GanConfig
from veil.config import StudyConfig, apply_overrides
from veil.expression import load_expression_net
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.interfaces import Roles, TrialContext
from veil.protocol.judging import open_judge
from veil.protocol.pictures import face_grid
from veil.recognizers import load_recognizer
from veil.registry import import_submodules
from veil.runtime import LocalLauncher

FULL = ("control", "naive", "reverse", "parrot", "informed", "finetuned", "reversal")
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}

# What discovery would find, but for search spaces, which need Optuna.
PLUGINS = (
    "veil.recognizers", "veil.expression", "veil.features", "veil.faces.detectors", "veil.faces.parsers",
    "veil.protocol.ladder", "trainables.attackers", "trainables.conditioning",
)  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="prepared people")
    parser.add_argument("--extra", type=Path, nargs="*", default=[], help="prepared faces to train on beside them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--conditioning", default="landmarks")
    parser.add_argument("--weights", nargs="*", default=[], metavar="TERM=λ")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=48, help="channels of both nets' first level")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE", help="other settings of the training")
    parser.add_argument("--attackers", nargs="+", default=list(FULL))
    parser.add_argument("--proxies", nargs="+", default=["mobilefacenet"])
    parser.add_argument("--recognizers", nargs="+", default=["sface"])
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def settings_of(arguments: argparse.Namespace) -> GanConfig:
    """Settings of the training; the warm start and reports keep their share of it."""
    values: dict[str, Any] = {
        "conditioning": arguments.conditioning,
        "images": arguments.images,
        "batch_size": arguments.batch_size,
        "generator_width": arguments.width,
        "discriminator_width": arguments.width,
        "report_every_images": max(1, arguments.images // 100),
        "checkpoint_every_images": max(1, arguments.images // 10),
    }
    overrides = [f"weights.{weight}" for weight in arguments.weights] + arguments.set
    return GanConfig.parse(apply_overrides(values, overrides), where="command line")


def main() -> None:
    """Train, judge, and write what came of it."""
    arguments = parse_arguments()
    for package in PLUGINS:
        import_submodules(package)
    settings = settings_of(arguments)
    study = StudyConfig.parse(
        {
            "data": {"extra": [{"dataset": folder.name} for folder in arguments.extra]},
            "roles": {"proxies": arguments.proxies, "search": arguments.recognizers},
            "suite": {"attackers": arguments.attackers},
        },
        where="command line",
    )
    faces = StudyFaces.load(study.data, PreparedFaces(arguments.faces, tuple(arguments.extra)))
    cache = arguments.out / "cache"
    # Before the training, so that a net that cannot be had is an error now and not after hours.
    judge = open_judge(study, faces.people, "search", cache, arguments.device, extra=faces.extra)

    def report(losses: dict[str, float], images_seen: int) -> None:
        print(images_seen, " ".join(f"{name} {value:.3g}" for name, value in losses.items()), flush=True)

    def load_roles(device: str) -> Roles:
        proxies = tuple(load_recognizer(name, device) for name in study.roles.proxies)
        return Roles(proxies, load_expression_net(study.roles.teacher, device))

    context = TrialContext(
        folder=arguments.out / "trial",
        cache=cache,
        faces=faces.people.split("train"),
        load_roles=load_roles,
        launcher=LocalLauncher(
            report,
            device=arguments.device,
            autocast_dtype=PRECISIONS[arguments.precision],
            compile=arguments.compile,
        ),
        seed=arguments.seed,
        extra_faces=faces.extra_to_train_on,
    )
    outcome = GanAnonymizer().run(settings, context)
    outcome.anonymizer.generator.to(arguments.device)

    began = time.perf_counter()
    evaluation = judge.score(outcome.anonymizer)
    score = evaluation.score
    (arguments.out / "score.json").write_text(score.model_dump_json(indent=2), encoding="utf-8")
    if len(evaluation.anonymized_target):
        sheet = face_grid(faces.people.split("search"), evaluation.anonymized_target, outcome.conditioning)
        sheet.save(arguments.out / "sheet.png")
    on_gpu = torch.device(arguments.device).type == "cuda"
    timing = {
        "device": torch.cuda.get_device_name() if on_gpu else f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "precision": arguments.precision,
        "settings": settings.model_dump(mode="json"),
        "training_faces": outcome.training_faces,
        "trainings": outcome.trainings,
        "seconds": {**outcome.seconds, "evaluation": time.perf_counter() - began, **score.seconds},
        "images_per_second": settings.images / outcome.seconds["train"],
    }
    (arguments.out / "timing.json").write_text(json.dumps(timing, indent=2), encoding="utf-8")
    print(f"{timing['images_per_second']:.1f} images/s on {timing['device']}")
    for name, value in score.objectives.items():
        print(f"{name} {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]")
    print(f"strongest attack: {score.strongest}" if score.valid else f"invalid: {score.reason}")


if __name__ == "__main__":
    main()
