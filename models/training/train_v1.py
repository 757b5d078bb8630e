"""Version 1: MobileNetV2 from random weights, as the original application had it."""

import argparse
from pathlib import Path

import torch

from dataset import split
from fit import Settings, Stage, fit
from networks import mobilenet_v2

PLAN = [Stage(96, 600), Stage(112, 300), Stage(128, 500), Stage(160, 150)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of training photos")
    parser.add_argument("--weights", type=Path, help="start from this state_dict instead")
    parser.add_argument("--out", type=Path, required=True, help="state_dict to write (.pt)")
    parser.add_argument(
        "--plan", type=Stage.parse, nargs="+", default=PLAN, help="RESOLUTIONxSTEPS of each stage"
    )
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    network = mobilenet_v2()
    if arguments.weights:
        network.load_state_dict(torch.load(arguments.weights, weights_only=True))
    train, validation = split(arguments.data, held_out=0.08, seed=arguments.seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments.learning_rate, weight_decay=0.05)
    settings = Settings(
        stages=arguments.plan, batch=48, balance=0.5, recalibrate=True, label_smoothing=0.05
    )
    fit(network, optimiser, train, validation, settings, arguments.out)


if __name__ == "__main__":
    main()
