"""Reference for bench/parity.ts: torchvision's preprocessing and the model in onnxruntime.

Reads a JSON list of photo paths on stdin; writes, for each, 224*224*3 uint8
pixels and the class, as one little-endian uint16, to stdout.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from torchvision.transforms import functional as F


def pixels_of(path):
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(F.center_crop(F.resize(upright, 256), 224))


def main():
    manifest = json.load(open(sys.argv[2]))
    preprocessing = manifest["preprocessing"]
    mean = np.array(preprocessing["mean"], dtype=np.float32)
    std = np.array(preprocessing["std"], dtype=np.float32)
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    for path in json.load(sys.stdin):
        pixels = pixels_of(path)
        values = (pixels.astype(np.float32) * preprocessing["scale"] - mean) / std
        batch = values.transpose(2, 0, 1)[None].astype(np.float32)
        (logits,) = session.run(None, {manifest["input"]["name"]: batch})
        sys.stdout.buffer.write(pixels.tobytes())
        sys.stdout.buffer.write(int(logits.argmax()).to_bytes(2, "little"))


if __name__ == "__main__":
    main()
