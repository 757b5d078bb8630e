"""Measures an ONNX model on folders of photos with onnxruntime."""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

from dataset import evaluation_batches
from photos import LABELS, Photo, list_photos


def logits_of(model: Path, photos: list[Photo]) -> np.ndarray:
    """One row for each photo."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.concatenate(
        [session.run(None, {"input": images.numpy()})[0] for images, _ in evaluation_batches(photos)]
    )


def predictions(model: Path, photos: list[Photo]) -> np.ndarray:
    """The class of the largest logit for each photo."""
    return logits_of(model, photos).argmax(1)


def entropies(logits: np.ndarray) -> np.ndarray:
    """Of each row's probabilities: 0 for a certain prediction, 1 for a guess among all classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    nats = -(shares * np.log(np.maximum(shares, np.finfo(float).tiny))).sum(axis=1)
    return nats / np.log(logits.shape[1])


def accuracy(predicted: np.ndarray, photos: list[Photo]) -> dict:
    """top1 is the share of photos labelled correctly; balanced is its mean over the classes present."""
    actual = np.array([photo.label for photo in photos])
    hits = predicted == actual
    per_class = [hits[actual == label].mean() for label in np.unique(actual)]
    return {
        "top1": round(float(hits.mean()), 6),
        "balanced": round(float(np.mean(per_class)), 6),
        "photos": len(photos),
    }


def evaluate(model: Path, folders: list[Path]) -> dict:
    """Accuracy on each folder, named by its last two parts, and on all of them together."""
    photos = [list_photos(folder) for folder in folders]
    predicted = [predictions(model, group) for group in photos]
    result = {
        f"{folder.parent.name}/{folder.name}": accuracy(found, group)
        for folder, found, group in zip(folders, predicted, photos)
    }
    result["both"] = accuracy(np.concatenate(predicted), sum(photos, []))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of test photos")
    parser.add_argument("--per-class", action="store_true", help="also the recall of each class")
    arguments = parser.parse_args()

    for model in arguments.model:
        print(model, json.dumps(evaluate(model, arguments.data), indent=2))
        if arguments.per_class:
            photos = sum(map(list_photos, arguments.data), [])
            print(json.dumps(recall(predictions(model, photos), photos), indent=2))


def recall(predicted: np.ndarray, photos: list[Photo]) -> dict:
    """Share of each class's photos that were labelled correctly."""
    actual = np.array([photo.label for photo in photos])
    return {
        LABELS[label]: round(float((predicted[actual == label] == label).mean()), 3)
        for label in np.unique(actual)
    }


if __name__ == "__main__":
    main()
