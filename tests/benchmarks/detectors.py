"""Detectors beside each other on ORL and on the group photograph `t1` that insightface ships.

For each detector: faces found, how far its five points lie from those of YuNet and of every other detector, its time
for an image as a ratio to YuNet's on the same machine, and what follows for recognition: SFace on clear crops (A0).

    python tests/benchmarks/detectors.py [--people 40] [--detectors yunet mtcnn retinaface] [--results FOLDER]

writes `detectors-<hardware>.json` and `.md`. Detectors whose weights are not on the machine are left out and named.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

# One thread, so that ratios do not depend on how many cores a library finds.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch

from veil.errors import AssetError
from veil.faces.align import align_face, estimate_similarity
from veil.faces.detection import Detection, Detector, detect_faces
from veil.faces.framing import Framing
from veil.faces.images import decode_image
from veil.faces.table import images_to_tensor
from veil.metrics.identification import cmc
from veil.metrics.verification import tar_at_far
from veil.recognizers import load_recognizer
from veil.registry import datasets, detectors

FAR = 0.01
TIMED_IMAGES = 40
REPEATS = 3


def main() -> None:
    """Measure, write the results and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--detectors", nargs="+", default=["yunet", "mtcnn", "retinaface", "scrfd_10g", "scrfd_500m"])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)

    present: dict[str, Detector] = {}
    absent = {}
    for name in arguments.detectors:
        try:
            present[name] = detectors.get(name)()
        except AssetError as error:
            absent[name] = str(error)
    sources = [
        image for image in datasets.get("orl")(None).images if int(image.image_id[1:].split("/")[0]) <= arguments.people
    ]
    pictures = [decode_image(image.read()) for image in sources]
    package = find_spec("insightface")
    assert package is not None and package.origin is not None
    group = decode_image((Path(package.origin).parent / "data" / "images" / "t1.jpg").read_bytes())

    found = {name: detect_faces(detector, pictures, Framing()) for name, detector in present.items()}
    of_group = {name: detect_faces(detector, [group], Framing())[0] for name, detector in present.items()}
    seconds = {name: seconds_per_image(detector, pictures[:TIMED_IMAGES]) for name, detector in present.items()}
    group_seconds = {name: seconds_per_image(detector, [group]) for name, detector in present.items()}
    report = {
        "images": len(pictures),
        "processor": processor(),
        "absent": absent,
        "detectors": {
            name: {
                "orl_found": sum(len(faces) > 0 for faces in found[name]),
                "orl_several": sum(len(faces) > 1 for faces in found[name]),
                "t1_found": len(of_group[name]),
                "time_per_orl_image_to_yunet": round(seconds[name] / seconds["yunet"], 2),
                "time_for_t1_to_yunet": round(group_seconds[name] / group_seconds["yunet"], 2),
                "milliseconds_per_orl_image": round(1000 * seconds[name], 1),
                **recognition([image.identity for image in sources], pictures, found[name]),
            }
            for name in present
        },
        "distances": {
            f"{one} - {other}": {
                "orl": summary(
                    [distance(a[0], b[0]) for a, b in zip(found[one], found[other], strict=True) if a and b]
                ),
                "t1": summary([nearest(face, of_group[other]) for face in of_group[one]]),
            }
            for one, other in combinations(present, 2)
        },
    }
    arguments.results.mkdir(parents=True, exist_ok=True)
    path = arguments.results / f"detectors-{report['processor'].lower().replace(' ', '-')}"
    path.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".md").write_text(tables(report))
    print(tables(report))


def seconds_per_image(detector: Detector, pictures: Sequence[np.ndarray]) -> float:
    """Least time of three runs, framing included."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        detect_faces(detector, pictures, Framing())
        times.append(time.perf_counter() - start)
    return min(times) / len(pictures)


def distance(face: Detection, other: Detection) -> float:
    """Mean distance of the five points as a part of the distance between the eyes."""
    eyes = np.linalg.norm(other.landmarks5[0] - other.landmarks5[1])
    return float(np.linalg.norm(face.landmarks5 - other.landmarks5, axis=1).mean() / eyes)


def nearest(face: Detection, others: Sequence[Detection]) -> float:
    """Distance to the same face among others."""
    return min((distance(face, other) for other in others), default=float("inf"))


def summary(distances: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, in percent; what lies more than the distance of the eyes apart is another face."""
    same = [value for value in distances if value < 1]
    return {
        "same_faces": len(same),
        "median_percent": round(100 * float(np.median(same)), 1),
        "p95_percent": round(100 * float(np.percentile(same, 95)), 1),
    }


def recognition(
    people: Sequence[str | None], pictures: Sequence[np.ndarray], found: Sequence[list[Detection]]
) -> dict[str, float]:
    """SFace on the crops that a detector makes: rank-1 with one gallery image a person, and TAR at FAR 1 %."""
    crops, owners = [], []
    for person, picture, faces in zip(people, pictures, found, strict=True):
        matrix = estimate_similarity(faces[0].landmarks5) if faces else None
        if matrix is not None:
            crops.append(align_face(picture, matrix))
            owners.append(person)
    images = images_to_tensor(np.stack(crops))
    sface = load_recognizer("sface")
    with torch.no_grad():
        embeddings = torch.cat([sface(batch) for batch in images.split(32)]).numpy()
    identities = np.unique(np.array(owners), return_inverse=True)[1]
    scores = embeddings @ embeddings.T
    first, second = np.triu_indices(len(scores), k=1)
    genuine = identities[first] == identities[second]
    pairs = scores[first, second]
    gallery = np.unique(identities, return_index=True)[1]
    probes = np.setdiff1d(np.arange(len(scores)), gallery)
    gallery_of_pair, probe_of_pair = np.tile(gallery, len(probes)), np.repeat(probes, len(gallery))
    curve = cmc(
        scores[gallery_of_pair, probe_of_pair], identities[gallery_of_pair], probe_of_pair, identities[probe_of_pair]
    )
    return {
        "a0_rank1": round(float(curve[0]), 4),
        "a0_tar_at_far_1e-2": round(tar_at_far(pairs[genuine], pairs[~genuine], FAR), 4),
        "genuine_cosine": round(float(pairs[genuine].mean()), 3),
        "impostor_cosine": round(float(pairs[~genuine].mean()), 3),
    }


def processor() -> str:
    """Name of the processor, as short as the system gives it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names[0] if names else platform.processor() or platform.machine()).split("@")[0].strip()


def tables(report: dict) -> str:
    """Both tables in Markdown."""
    lines = [
        f"{report['images']} photographs of ORL, and t1 (1280×886 pixels); one thread of {report['processor']}.",
        "",
        "| detector | found on ORL | on t1 | time, ORL | time, t1 | A0 rank-1 | A0 TAR@FAR 1 % | genuine | impostor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["detectors"].items():
        lines.append(
            f"| {name} | {row['orl_found']} | {row['t1_found']} | ×{row['time_per_orl_image_to_yunet']} | "
            f"×{row['time_for_t1_to_yunet']} | {row['a0_rank1']:.4f} | {row['a0_tar_at_far_1e-2']:.4f} | "
            f"{row['genuine_cosine']:.3f} | {row['impostor_cosine']:.3f} |"
        )
    lines += [
        "",
        "Times are ratios to YuNet's. Mean distance of the five points, in percent of the distance between the eyes:",
        "",
        "| pair | ORL, median | ORL, 95th percentile | t1, median | t1, same faces |",
        "|---|---|---|---|---|",
    ]
    for pair, row in report["distances"].items():
        orl, group = row["orl"], row["t1"]
        values = (orl["median_percent"], orl["p95_percent"], group["median_percent"], group["same_faces"])
        lines.append(f"| {pair} | " + " | ".join(str(value) for value in values) + " |")
    if report["absent"]:
        lines += ["", "Not measured, since their weights are not on this machine: " + ", ".join(report["absent"]) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
