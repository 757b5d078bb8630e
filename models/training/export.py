"""Turns trained weights into an fp32 ONNX file with a dynamic batch."""

import argparse
from pathlib import Path

import onnx
import torch

from networks import efficientnet_lite0, mobilenet_v2

OPSET = 17
NETWORKS = {
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_lite0": lambda: efficientnet_lite0(weights=None),
}


def export(architecture: str, weights: Path, out: Path) -> None:
    """Batch normalisation is folded into the convolutions, since the network is in eval mode."""
    network = NETWORKS[architecture]()
    network.load_state_dict(torch.load(weights, weights_only=True))
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, 224, 224),),
        out,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=OPSET,
        # The tracing exporter folds batch normalisation and needs no further package.
        dynamo=False,
    )
    onnx.checker.check_model(str(out), full_check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=NETWORKS, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="state_dict from training (.pt)")
    parser.add_argument("--out", type=Path, required=True, help="model.onnx to write")
    arguments = parser.parse_args()
    export(arguments.architecture, arguments.weights, arguments.out)


if __name__ == "__main__":
    main()
