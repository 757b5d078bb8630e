"""Copies two test photos of each class beside the models, for demos and first requests.

Photos that every given model labels correctly come first, then those that
more of them do: a demo should show what the models can do, and accuracy is
stated elsewhere from all photos.
"""

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path

from evaluate import predictions
from photos import LABELS, Photo, folder_name, list_photos

PER_CLASS = 2


def choose(photos: list[Photo], hits: list[int]) -> list[Photo]:
    """The photos with the most hits; among equals, one of each dish before a second view of any."""
    views = Counter()
    ranks = []
    for photo, hit in zip(photos, hits):
        ranks.append((-hit, views[photo.dish]))
        views[photo.dish] += 1
    order = sorted(range(len(photos)), key=ranks.__getitem__)
    return [photos[index] for index in order[:PER_CLASS]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True, help="a folder of photos that may be shipped")
    parser.add_argument("--licence", type=Path, required=True, help="copied beside the photos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()

    photos = list_photos(arguments.data)
    predicted = [predictions(model, photos) for model in arguments.model]
    hits = [sum(int(p[i]) == photo.label for p in predicted) for i, photo in enumerate(photos)]
    listed = []
    for label, name in enumerate(LABELS):
        of_class = [i for i, photo in enumerate(photos) if photo.label == label]
        folder = arguments.out / folder_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        for photo in choose([photos[i] for i in of_class], [hits[i] for i in of_class]):
            shutil.copyfile(photo.path, folder / photo.path.name)
            listed.append({"file": f"{folder.name}/{photo.path.name}", "label": name})
    shutil.copyfile(arguments.licence, arguments.out / "LICENSE.txt")
    (arguments.out / "samples.json").write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    main()
