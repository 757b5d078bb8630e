"""Makes an int8 model of an fp32 one, calibrated on training photos.

Weights are signed and per channel, activations unsigned: the pair that
onnxruntime has its fastest kernels for. On processors without VNNI those
kernels add the products of two neighbours in 16 bits and saturate where both
weights are large. The usual cure, `reduce_range`, takes a bit from every
weight; `safe_scales` takes only what the worst pair of a channel needs, so that
every processor computes the same and nearly eight bits remain.
"""

import argparse
import random
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from dataset import evaluation_batches, split
from photos import Photo, load, normalise, to_pixels

# A channel that training has switched off has next to no weight but still a bias, which is stored in
# units of this scale and would not fit into 32 bits.
SMALLEST_SCALE = 1e-6


class CalibrationPhotos(CalibrationDataReader):
    """Feeds one photo after another; onnxruntime asks until it gets None."""

    def __init__(self, photos: list[Photo]):
        self.photos = iter(photos)

    def get_next(self):
        photo = next(self.photos, None)
        if photo is None:
            return None
        return {"input": normalise(to_pixels(load(photo.path))).unsqueeze(0).numpy()}


def safe_scales(weight: np.ndarray) -> list[dict]:
    """A scale per output channel of a convolution (OIHW) at which no two neighbours overflow.

    Two products fit into 16 bits while 255 * (a + b) <= 32767, so while |a + b| <= 128; one is
    left for rounding. Neighbours are those in onnxruntime's order, input channels innermost.
    """
    rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    alone = np.abs(rows).max(axis=1)
    pairs = np.abs(rows[:, :-1] + rows[:, 1:]).max(axis=1)
    return [
        {"axis": 0, "scale": np.float32(scale), "zero_point": np.int8(0)}
        for scale in np.maximum(np.maximum(alone, pairs) / 127, SMALLEST_SCALE)
    ]


def convolution_scales(model: Path) -> dict[str, list[dict]]:
    graph = onnx.load(str(model)).graph
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    return {
        tensor.name: safe_scales(onnx.numpy_helper.to_array(tensor))
        for tensor in graph.initializer
        if tensor.name in weights
    }


def quantize(model: Path, photos: list[Photo], out: Path) -> None:
    """Quantises twice: rounding shifts the logits of some classes on average, and the second time
    the classifier's bias takes that shift back."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(model), str(prepared))
        quantize_once(prepared, photos, out)
        shift = mean_logits(prepared, photos) - mean_logits(out, photos)
        add_to_classifier_bias(prepared, shift)
        quantize_once(prepared, photos, out)


def quantize_once(prepared: Path, photos: list[Photo], out: Path) -> None:
    quantize_static(
        str(prepared),
        str(out),
        CalibrationPhotos(photos),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # For the classifier, whose scales are not set below.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"TensorQuantOverrides": convolution_scales(prepared)},
    )


def mean_logits(model: Path, photos: list[Photo]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    batches = evaluation_batches(photos)
    logits = [session.run(None, {"input": images.numpy()})[0] for images, _ in batches]
    return np.concatenate(logits).mean(axis=0)


def add_to_classifier_bias(model: Path, shift: np.ndarray) -> None:
    network = onnx.load(str(model))
    classifier = next(node for node in network.graph.node if node.op_type == "Gemm")
    bias = next(t for t in network.graph.initializer if t.name == classifier.input[2])
    corrected = onnx.numpy_helper.to_array(bias) + shift.astype(np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(corrected, bias.name))
    onnx.save(network, str(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="fp32 ONNX file")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of training photos")
    parser.add_argument("--out", type=Path, required=True, help="int8 ONNX file to write")
    parser.add_argument("--photos", type=int, default=200, help="how many to calibrate with")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    photos, _ = split(arguments.data, held_out=0.08, seed=arguments.seed)
    sample = random.Random(arguments.seed).sample(photos, min(arguments.photos, len(photos)))
    quantize(arguments.model, sample, arguments.out)


if __name__ == "__main__":
    main()
