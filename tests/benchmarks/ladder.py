"""What each rung of the ladder finds in classical anonymizers on ORL, what it costs, and the profile.

Run it by `python tests/benchmarks/ladder.py [--anonymizers blur31 pixelate8] [--recognizer sface] [--out FILE]`. It
prints one table an anonymizer and writes the score cards as JSON lines to FILE.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from veil.assets import cache_folder
from veil.config import StudyConfig
from veil.faces.table import FaceTable
from veil.preparing import prepare
from veil.protocol.judging import open_judge
from veil.protocol.score import TrialScore

ANONYMIZERS = {
    "nothing": lambda faces: faces.images,
    "upside-down negative": lambda faces: -faces.images.flip(-2),
    "constant": Blackout("crop"),
    "blur31": Blur(31),
    "pixelate8": Pixelate(8),
}
FIXED_AND_HEADS = ("control", "naive", "reverse", "parrot", "informed")
FULL = (*FIXED_AND_HEADS, "finetuned", "reversal")


def ladder_table(name: str, score: TrialScore) -> Table:
    """Every attack of a score card."""
    table = Table("rung", "attack", "TAR @ FAR 1 % [95 %]", "EER", "rank-1", "floor 95", title=name)
    for rung in score.rungs:
        tar = rung.tar
        table.add_row(
            rung.rung, rung.name, f"{tar.value:.2f} [{tar.low:.2f}, {tar.high:.2f}]", f"{rung.eer:.2f}",
            f"{rung.rank_1:.2f}", f"{rung.floor_95:.3f}",
        )  # fmt: skip
    return table


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anonymizers", nargs="+", default=["blur31", "pixelate8"], choices=list(ANONYMIZERS))
    parser.add_argument("--recognizer", default="sface")
    parser.add_argument("--attackers", nargs="+", default=list(FULL))
    parser.add_argument("--out", type=Path, help="JSON lines of score cards")
    arguments = parser.parse_args()

    console = Console(width=120)
    config = StudyConfig.parse(
        {"roles": {"search": [arguments.recognizer]}, "suite": {"attackers": arguments.attackers}}, where="benchmark"
    )
    faces = FaceTable.load(prepare(config.data, cache_folder()))
    with tempfile.TemporaryDirectory() as folder:
        judge = open_judge(config, faces, "search", Path(folder))
        started = time.perf_counter()
        judge.calibrate()
        console.print(f"{os.cpu_count()} cores; calibration on blackout {time.perf_counter() - started:.1f} s")
        for name in arguments.anonymizers:
            started = time.perf_counter()
            score = judge.score(ANONYMIZERS[name]).score
            seconds = time.perf_counter() - started
            if not score.valid:
                console.print(f"{name}: invalid: {score.reason}")
                continue
            console.print(ladder_table(name, score))
            leak, gap = score.objectives["leak"], score.recovery_gap
            console.print(f"leak {leak.value:.2f} [{leak.low:.2f}, {leak.high:.2f}] by {score.strongest}")
            if gap is not None:
                console.print(f"recovery gap {gap.value:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")
            parts = ", ".join(f"{part} {value:.1f}" for part, value in sorted(score.seconds.items()))
            console.print(f"{seconds:.1f} s: {parts}\n")
            if arguments.out is not None:
                with arguments.out.open("a", encoding="utf-8") as lines:
                    lines.write(score.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
