"""The two architectures. Both take 3x224x224 and give eleven logits."""

from pathlib import Path

import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from photos import LABELS, MEAN, STD

# The ImageNet weights were trained on (value - 127) / 128 of each 8-bit channel.
LITE_MEAN, LITE_STD = 127 / 255, 128 / 255


def mobilenet_v2() -> nn.Module:
    """MobileNetV2 at width 1.0 with random weights: Dropout and Linear(1280 -> 11) on top."""
    return torchvision.models.mobilenet_v2(num_classes=len(LABELS))


def efficientnet_lite0(weights: Path | None) -> nn.Module:
    """EfficientNet-Lite0, optionally with ImageNet weights; the classifier is always new.

    The Lite variant has neither squeeze-and-excitation nor swish, so that int8 loses little.
    """
    network = EfficientNet.from_name("efficientnet-lite0", num_classes=len(LABELS))
    if weights:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        state = {name: value for name, value in state.items() if not name.startswith("_fc.")}
        missing = network.load_state_dict(state, strict=False).missing_keys
        if set(missing) - {"_fc.weight", "_fc.bias"}:
            raise SystemExit(f"{weights} lacks {missing}")
        accept_serving_input(network)
    return network


@torch.no_grad()
def accept_serving_input(network: nn.Module) -> None:
    """Moves the step from our normalisation to that of the pretrained weights into the first
    convolution and its batch normalisation, so that both versions take the same input."""
    scale = torch.tensor(STD) / LITE_STD
    shift = (torch.tensor(MEAN) - LITE_MEAN) / LITE_STD
    kernel = network._conv_stem.weight
    network._bn0.running_mean -= (kernel * shift.view(1, 3, 1, 1)).sum((1, 2, 3))
    kernel *= scale.view(1, 3, 1, 1)
