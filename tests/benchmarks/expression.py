"""How well the expression nets read FER-2013's test faces, and whether calibrated posteriors would judge better.

Run it by `python tests/benchmarks/expression.py FER2013 [--images N] [--teacher FOLDER] [--out FOLDER]`, with the
folder, CSV file or archive of FER-2013. It prints two tables and writes them, with everything they rest on, to
`expression.json` and `expression.md`:

- accuracy, macro-F1 and expected calibration error of each net on the raw frames (48×48 grey, resized to what the net
  takes) and on the crops that studies use (aligned by YuNet; faces that it does not find are left out and counted);
- for each evaluator, with posteriors as they are and at the temperature that calibrates them, how utility follows the
  share of true labels that are still read once faces are blurred, pixelated or blackened.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from scipy.special import softmax
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from trainables.fer.faces import LabelledFaces, read_parts
from trainables.fer.measuring import fit_temperature
from trainables.fer.views import to_grey
from veil.expression import load_expression_net
from veil.expression.mini_xception import INPUT_SIZE as MINI_XCEPTION_SIZE
from veil.faces.align import align_face, estimate_similarity
from veil.faces.detection import detect_faces
from veil.faces.framing import Framing
from veil.interfaces import CROP_SIZE, EXPRESSIONS, FaceBatch
from veil.metrics.expression import accuracy, expected_calibration_error, js_divergence, macro_f1
from veil.registry import datasets, detectors

TEACHER, MINI_XCEPTION, FACE_API = "fer_resnet", "mini_xception", "face_api_expression"
EVALUATORS = (FACE_API, MINI_XCEPTION)
ANONYMIZERS = {
    **{f"blur {kernel}": Blur(kernel) for kernel in (11, 21, 31)},
    **{f"pixelate {block}": Pixelate(block) for block in (4, 8, 16)},
    "blackout": Blackout("crop"),
}
BATCH = 64


def draw(faces: LabelledFaces, count: int | None) -> LabelledFaces:
    """Some faces of a part, at random but always the same; all of them without a count."""
    if count is None or count >= len(faces):
        return faces
    rows = np.sort(np.random.default_rng(0).choice(len(faces), count, replace=False))
    return LabelledFaces(faces.images[rows], faces.targets[rows])


def align(faces: LabelledFaces) -> tuple[Tensor, np.ndarray]:
    """Crops, float (M, 3, 112, 112) in [-1, 1], and labels of the faces that YuNet finds."""
    detector, crops, found = detectors.get("yunet")(), [], []
    for index, grey in enumerate(faces.images):
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        matrices = [estimate_similarity(face.landmarks5) for face in detect_faces(detector, [image], Framing())[0][:1]]
        for matrix in matrices:
            if matrix is not None:
                crops.append(align_face(image, matrix))
                found.append(index)
    return torch.from_numpy(np.stack(crops)).float() / 127.5 - 1, faces.labels[found]


@torch.no_grad()
def logits_of(read: Callable[[Tensor], Tensor], images: Tensor) -> np.ndarray:
    """Logits, float64 (N, 7)."""
    return np.concatenate([read(batch).double().numpy() for batch in images.split(BATCH)])


def raw_reader(name: str, net: Any) -> Callable[[Tensor], Tensor]:
    """What reads frames, float (B, 1, 48, 48) in [-1, 1], with a net."""

    def resized(grey: Tensor, size: int) -> Tensor:
        return F.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False)

    if name == FACE_API:
        return lambda grey: net(resized(grey, CROP_SIZE).expand(-1, 3, -1, -1))
    if name == MINI_XCEPTION:
        return lambda grey: net.logits(resized(grey, MINI_XCEPTION_SIZE))
    return net.logits


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 and expected calibration error."""
    posteriors = softmax(logits, axis=1)
    return {
        "images": len(labels),
        "accuracy": accuracy(posteriors, labels),
        "macro_f1": macro_f1(posteriors, labels),
        "ece": expected_calibration_error(posteriors, labels),
    }


def follows_labels(
    clear: np.ndarray, anonymized: Mapping[str, np.ndarray], labels: np.ndarray, temperature: float
) -> dict[str, Any]:
    """How utility at a temperature follows what is still read correctly, over anonymizers and over images."""
    before = softmax(clear / temperature, axis=1)
    utilities = {
        name: 1 - js_divergence(before, softmax(after / temperature, axis=1)) for name, after in anonymized.items()
    }
    means = np.array([values.mean() for values in utilities.values()])
    right = clear.argmax(axis=1) == labels
    kept = {name: after.argmax(axis=1) == labels for name, after in anonymized.items()}
    retention = np.array([values.sum() / right.sum() for values in kept.values()])
    # Black images are all alike, so that nothing about them can follow an image.
    seen = [name for name in anonymized if name != "blackout"]
    return {
        "temperature": temperature,
        "ece": expected_calibration_error(before, labels),
        "utility": dict(zip(utilities, means.tolist(), strict=True)),
        "retention": dict(zip(kept, retention.tolist(), strict=True)),
        "anonymizers_spearman": float(spearmanr(means, retention).statistic),
        "anonymizers_pearson": float(pearsonr(means, retention).statistic),
        "images_auc": float(np.mean([roc_auc_score(kept[name][right], utilities[name][right]) for name in seen])),
    }


def others_loss(utility: np.ndarray, clear: np.ndarray, anonymized: np.ndarray, labels: np.ndarray) -> float:
    """Rank correlation over images of utility with what another net's posterior of the true label loses."""
    rows = np.arange(len(labels))
    change = np.log(softmax(anonymized, axis=1)[rows, labels]) - np.log(softmax(clear, axis=1)[rows, labels])
    return float(spearmanr(utility, change).statistic)


def reading(nets: Mapping[str, Any], raw: LabelledFaces, crops: Tensor, labels: np.ndarray) -> list[dict[str, Any]]:
    """The first table."""
    rows = []
    for name, net in nets.items():
        frames = logits_of(raw_reader(name, net), to_grey(raw.images))
        rows.append({"net": name, "raw": scores(frames, raw.labels), "aligned": scores(logits_of(net, crops), labels)})
    return rows


def calibration(
    nets: Mapping[str, Any], validation: tuple[Tensor, np.ndarray], crops: Tensor, labels: np.ndarray
) -> list[dict[str, Any]]:
    """The second table."""
    faces = FaceBatch(crops, torch.zeros(len(crops), 68, 2))
    pictures = {name: anonymize(faces) for name, anonymize in ANONYMIZERS.items()}
    clear = {name: logits_of(nets[name], crops) for name in EVALUATORS}
    after = {name: {key: logits_of(nets[name], images) for key, images in pictures.items()} for name in EVALUATORS}
    fitted = {
        name: fit_temperature(logits_of(nets[name], validation[0]), np.eye(len(EXPRESSIONS))[validation[1]])
        for name in EVALUATORS
    }
    rows = []
    for name, other in zip(EVALUATORS, reversed(EVALUATORS), strict=True):
        for temperature in (1.0, fitted[name]):
            row = {"net": name, **follows_labels(clear[name], after[name], labels, temperature)}
            before = softmax(clear[name] / temperature, axis=1)
            row["images_other_net_spearman"] = float(np.mean([
                others_loss(
                    1 - js_divergence(before, softmax(after[name][key] / temperature, axis=1)),
                    clear[other] / fitted[other], after[other][key] / fitted[other], labels,
                )
                for key in ANONYMIZERS if key != "blackout"
            ]))  # fmt: skip
            rows.append(row)
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    """Both tables."""
    lines = [
        "# Expression nets on FER-2013's test faces",
        "",
        f"{result['images']} faces of the private test part, {result['aligned']} of them found by YuNet; "
        f"{result['hardware']}, {result['seconds']:.0f} s.",
        "",
        "| net | accuracy, raw | macro-F1, raw | ECE, raw | accuracy, aligned | macro-F1, aligned | ECE, aligned |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["reading"]:
        cells = [f"{row[kind][score]:.3f}" for kind in ("raw", "aligned") for score in ("accuracy", "macro_f1", "ece")]
        lines.append(f"| {row['net']} | {' | '.join(cells)} |")
    lines += [
        "",
        "Utility of blur 11, 21, 31, pixelate 4, 8, 16 and blackout, with posteriors as they are and calibrated on "
        "aligned faces of the public test part, against the share of correctly read labels that is still read:",
        "",
        "| evaluator | temperature | ECE | utility, largest | of blackout | Spearman, anonymizers "
        "| Pearson, anonymizers | AUC, images | Spearman with the other net's loss, images |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["calibration"]:
        utility = row["utility"]
        numbers = [
            row["temperature"], row["ece"], max(utility.values()), utility["blackout"], row["anonymizers_spearman"],
            row["anonymizers_pearson"], row["images_auc"], row["images_other_net_spearman"],
        ]  # fmt: skip
        lines.append(f"| {row['net']} | {' | '.join(f'{number:.2f}' for number in numbers)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="FER-2013")
    parser.add_argument("--images", type=int, help="test faces, drawn at random; without it, all")
    parser.add_argument("--teacher", type=Path, help="folder of a teacher; without it, the one that ships with Veil")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()

    started = time.perf_counter()
    parts = read_parts(datasets.get("fer2013")(arguments.root), "hard")
    test, validation = draw(parts["sealed"], arguments.images), draw(parts["search"], arguments.images)
    teacher = TEACHER if arguments.teacher is None else f"{TEACHER}:{arguments.teacher}"
    nets = {name: load_expression_net(teacher if name == TEACHER else name) for name in (TEACHER, *EVALUATORS)}
    crops, labels = align(test)
    result = {
        "dataset_sha256": parts["sealed"].sha256,
        "images": len(test),
        "aligned": len(labels),
        "weights_sha256": {name: net.asset_sha256 for name, net in nets.items()},
        "hardware": f"{os.cpu_count()} CPU cores",
        "reading": reading(nets, test, crops, labels),
        "calibration": calibration(nets, align(validation), crops, labels),
    }
    result["seconds"] = time.perf_counter() - started
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "expression.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "expression.md").write_text(markdown(result), encoding="utf-8")
    Console(width=160).print(markdown(result), markup=False, highlight=False)


if __name__ == "__main__":
    main()
