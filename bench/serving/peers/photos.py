"""What every peer does with a photo: Pillow and the manifest's preprocessing."""

import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def read_manifest(folder):
    return json.loads((Path(folder) / "model.json").read_text())


class OnnxModel:
    """One session with one thread; every peer starts as many processes as our server has threads."""

    def __init__(self, folder):
        self.manifest = read_manifest(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = str(Path(folder) / "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        preprocessing = self.manifest["preprocessing"]
        self.resize = preprocessing["resizeShortSide"]
        self.crop = preprocessing["centreCrop"]
        std = np.array(preprocessing["std"], dtype=np.float32)
        self.factor = np.float32(preprocessing["scale"]) / std
        self.offset = np.array(preprocessing["mean"], dtype=np.float32) / std
        self.predict(self.preprocess(blank_photo()))

    def preprocess(self, photo: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        ratio = self.resize / min(image.size)
        width, height = (int(side * ratio) for side in image.size)
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + self.crop, top + self.crop))
        values = np.asarray(image, dtype=np.float32) * self.factor - self.offset
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def predict(self, values: np.ndarray) -> dict:
        (logits,) = self.session.run(None, {self.manifest["input"]["name"]: values})
        return answer(logits[0], self.manifest["labels"])


def answer(logits, labels) -> dict:
    odds = np.exp(logits - logits.max())
    best = int(odds.argmax())
    return {"label": labels[best], "confidence": float(odds[best] / odds.sum())}


def blank_photo() -> bytes:
    """For a first run, which is slow, before the process is ready."""
    photo = io.BytesIO()
    Image.new("RGB", (320, 320)).save(photo, "JPEG")
    return photo.getvalue()
