"""Writes model.json beside a model.onnx, with the reference image and its tensor."""

import argparse
import hashlib
import json
import math
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from evaluate import entropies, evaluate, logits_of, predictions
from features import features
from photos import (
    CENTRE_CROP,
    LABELS,
    MEAN,
    RESIZE_SHORT_SIDE,
    STD,
    Photo,
    label_of,
    list_photos,
    load,
    to_pixels,
)

PROFILE_PHOTOS_PER_CLASS_AND_FOLDER = 60
PREPROCESSING = {
    "kind": "image",
    "colour": "RGB",
    "resizeShortSide": RESIZE_SHORT_SIDE,
    "interpolation": "bilinear",
    "antialias": True,
    "centreCrop": CENTRE_CROP,
    "scale": 1 / 255,
    "mean": MEAN,
    "std": STD,
}


def digest(model: bytes, manifest: dict) -> str:
    """sha256 over the model's bytes and the manifest's canonical JSON without `digest`."""
    described = {key: value for key, value in manifest.items() if key != "digest"}
    return "sha256:" + hashlib.sha256(model + canonical_json(described)).hexdigest()


def canonical_json(value: dict) -> bytes:
    """RFC 8785 for what a manifest holds: ASCII keys, and numbers that are `portable`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def portable(value):
    """Leaves only numbers that Python and JavaScript print alike: 1 for 1.0, and no exponents."""
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        if abs(value) < 1e-4:
            raise ValueError(f"Python prints {value} with an exponent and JavaScript does not")
    return value


def profile_sample(folders: list[Path], seed: int) -> list[Photo]:
    """Up to a fixed number of photos of each class from each folder: balanced, as far as they go."""
    rng = random.Random(seed)
    sample = []
    for folder in folders:
        photos = list_photos(folder)
        for label in range(len(LABELS)):
            of_class = [photo for photo in photos if photo.label == label]
            rng.shuffle(of_class)
            sample += of_class[:PROFILE_PHOTOS_PER_CLASS_AND_FOLDER]
    return sample


def profile(model: Path, photos: list[Photo]) -> dict:
    """Deciles of each feature, of the predictions' entropy, and how often the model gives each label, against which
    drift is measured.

    A value on an edge belongs to the bin above it. Deciles that fall together are one edge.
    """
    logits = logits_of(model, photos).astype(np.float64)
    measured = []
    for photo, entropy in zip(photos, entropies(logits)):
        image = load(photo.path)
        measured.append({**features(to_pixels(image), image.size), "entropy": entropy})
    described = {}
    for name in measured[0]:
        values = np.array([row[name] for row in measured])
        bounds = sorted({rounded(q) for q in np.quantile(values, np.arange(1, 10) / 10)})
        counts = np.bincount(np.searchsorted(bounds, values, side="right"), minlength=len(bounds) + 1)
        described[name] = {"bounds": bounds, "counts": counts.tolist()}
    labels = Counter(logits.argmax(1).tolist())
    return {
        "photos": len(photos),
        "features": described,
        "labels": [labels[index] for index in range(len(LABELS))],
    }


def rounded(value: float) -> float:
    """Short, and never so small that it would be printed with an exponent."""
    return round(float(value), 6 if value >= 1e-4 else 4)


def architecture(model: Path, family: str, precision: str, limits: list[int]) -> dict:
    """Facts by which serving refuses a graph of another kind. Parameters are all numbers stored in
    the graph, scales and zero points of a quantised one included."""
    graph = onnx.load(str(model)).graph
    parameters = sum(math.prod(tensor.dims) for tensor in graph.initializer)
    return {
        "family": family,
        "precision": precision,
        "parameters": {"min": limits[0], "max": limits[1], "actual": parameters},
        "operators": sorted({node.op_type for node in graph.node}),
    }


def place_reference(path: Path, model: Path) -> dict:
    """Copies the photo and stores the pixels that preprocessing must make of it, losslessly.

    Serving refuses to start a model that mislabels its reference, so this does too.
    """
    photo = Photo(path, label_of(path), dish="")
    if predictions(model, [photo])[0] != photo.label:
        raise SystemExit(f"{path}: the model mislabels it; take another reference")
    image, tensor = model.with_name("reference.jpg"), model.with_name("reference.png")
    shutil.copyfile(path, image)
    pixels = to_pixels(load(image))
    Image.fromarray(pixels).save(tensor, optimize=True)
    return {
        "image": image.name,
        "imageSha256": hashlib.sha256(image.read_bytes()).hexdigest(),
        "tensor": tensor.name,
        "tensorSha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "label": LABELS[photo.label],
    }


def describe(arguments: argparse.Namespace) -> dict:
    model = arguments.model
    manifest = {
        "name": arguments.name,
        "version": arguments.version,
        "digest": None,
        "labels": LABELS,
        "input": {"name": "input", "type": "float32", "shape": [-1, 3, CENTRE_CROP, CENTRE_CROP]},
        "output": {"name": "logits", "type": "float32", "shape": [-1, len(LABELS)]},
        "preprocessing": PREPROCESSING,
        "architecture": architecture(
            model, arguments.family, arguments.precision, arguments.parameter_limits
        ),
        "reference": place_reference(arguments.reference, model),
        "accuracy": evaluate(model, arguments.test),
        "profile": profile(model, profile_sample(arguments.train, arguments.seed)),
        "trainedOn": [f"{folder.parent.name}/{folder.name}" for folder in arguments.train],
        "licence": arguments.licence,
    }
    manifest = portable(manifest)
    return {**manifest, "digest": digest(model.read_bytes(), manifest)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json is written beside it")
    parser.add_argument("--name", default="food11")
    parser.add_argument("--version", required=True)
    parser.add_argument("--family", required=True)
    parser.add_argument("--precision", required=True, choices=["fp32", "int8"])
    parser.add_argument("--parameter-limits", type=int, nargs=2, required=True, metavar=("MIN", "MAX"))
    parser.add_argument("--reference", type=Path, required=True, help="a photo that may be shipped")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="folders it was trained on")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="folders to measure it on")
    parser.add_argument("--licence", required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    text = json.dumps(describe(arguments), indent=2, ensure_ascii=False)
    arguments.model.with_name("model.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
