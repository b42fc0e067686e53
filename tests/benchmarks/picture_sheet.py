"""Draws one sheet of pictures from trials of a finished study: a row a trial, a column a person.

    python tests/benchmarks/picture_sheet.py frontier --trials 3 16 20 --out sheet.png

shows originals, what the first trial's generator sees, if it sees a picture of its own, and what each trial makes of
them, with its leak and utility. `--people 0 2 5` chooses columns by number; the first eight search people are shown
otherwise.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from veil.assets import cache_folder
from veil.faces.study_faces import StudyFaces
from veil.faces.table import tensor_to_images
from veil.interfaces import FaceBatch
from veil.points import frontier_point
from veil.preparing.study import prepare_study
from veil.records import TrialRecord
from veil.registry import trainables
from veil.study import StudyFolder

GAP = 4
LABEL_WIDTH = 360
FONT_SIZE = 13


def main() -> None:
    """Load, anonymize, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--root", type=Path, default=Path("studies"))
    parser.add_argument("--trials", type=int, nargs="+", required=True)
    parser.add_argument("--people", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    folder = StudyFolder(arguments.root / arguments.study)
    records = {record.number: record for record in folder.records()}
    absent = sorted(set(arguments.trials) - set(records))
    if absent:
        parser.error(f"study {arguments.study!r} has no finished trial {absent[0]}; it has {sorted(records)}")
    faces = first_faces(folder, arguments.people)
    rows = [("original", faces.images)]
    for number in arguments.trials:
        anonymizer = load_anonymizer(folder, records[number])
        seen = getattr(anonymizer, "conditioning", None)
        if number == arguments.trials[0] and getattr(seen, "canvas", None) is not None:
            rows.append(("what the generator starts from", seen(faces)[:, [seen.canvas]].expand(-1, 3, -1, -1)))
        with torch.inference_mode():
            rows.append((caption(records[number]), anonymizer(faces)))
    draw(rows).save(arguments.out)


def first_faces(folder: StudyFolder, people: list[int]) -> FaceBatch:
    """The first face of each of the search people, by number."""
    config = folder.config()
    table = StudyFaces.load(config.data, prepare_study(config.data, cache_folder())).people.split("search")
    _, first = np.unique(table.identity_indices, return_index=True)
    return table.batch(torch.as_tensor(np.sort(first)[people]))


def load_anonymizer(folder: StudyFolder, record: TrialRecord):
    """The trial's anonymizer."""
    trainable = trainables.get(record.trainable)()
    settings = trainable.Config.parse(record.params, where=f"trial {record.number}")
    return trainable.load(settings, folder.trial(record.number))


def caption(record: TrialRecord) -> str:
    """Label, leak and utility of a trial, in two lines."""
    point = frontier_point(record)
    return f"{record.number}: {record.label}\nleak {point.interval('leak')}, utility {point.interval('utility')}"


def draw(rows: list[tuple[str, Tensor]]) -> Image.Image:
    """One image of labelled rows of faces (B, 3, H, W) in [-1, 1]."""
    pixels = [tensor_to_images(images.float().cpu()).transpose(0, 2, 3, 1) for _, images in rows]
    height, width = pixels[0].shape[1:3]
    sheet = Image.new("RGB", (LABEL_WIDTH + len(pixels[0]) * (width + GAP), len(rows) * (height + GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.truetype(findfont("DejaVu Sans"), FONT_SIZE)
    for row, ((text, _), images) in enumerate(zip(rows, pixels, strict=True)):
        top = row * (height + GAP)
        pen.multiline_text((GAP, top + height // 3), text, "black", font)
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (LABEL_WIDTH + column * (width + GAP), top))
    return sheet


if __name__ == "__main__":
    main()
