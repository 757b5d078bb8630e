"""The training loop that both versions share."""

import copy
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from dataset import TrainingPhotos, batches, draw_weights, evaluation_batches
from photos import LABELS, Photo

RECALIBRATION_PHOTOS = 512


@dataclass(frozen=True)
class Stage:
    """A part of training at one resolution. Small photos first: most is learnt at a third of the cost."""

    resolution: int
    steps: int

    @staticmethod
    def parse(text: str) -> "Stage":
        """'160x200' is 200 steps at 160 pixels."""
        return Stage(*map(int, text.split("x")))


@dataclass(frozen=True)
class Settings:
    stages: list[Stage]
    batch: int
    balance: float
    recalibrate: bool
    label_smoothing: float = 0.1
    ema_decay: float = 0.995
    warm_up_steps: int = 50


def fit(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: list[Photo],
    validation: list[Photo],
    settings: Settings,
    checkpoint: Path,
) -> None:
    """Trains in place and leaves the averaged weights in `checkpoint`.

    The weights of the stage that does best on the validation photos are kept.
    """
    data = TrainingPhotos(train)
    network.to(memory_format=torch.channels_last)
    average = AveragedModel(
        network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    total = sum(stage.steps for stage in settings.stages)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: learning_rate(step, settings.warm_up_steps, total)
    )
    best, started = 0.0, time.monotonic()
    for stage in settings.stages:
        data.set_resolution(stage.resolution)
        loss = run_stage(
            network,
            batches(data, settings.batch, stage.steps * settings.batch, settings.balance),
            loss_of,
            optimiser,
            lambda: (average.update_parameters(network), schedule.step()),
        )
        averaged = average.module
        if settings.recalibrate:
            averaged = recalibrated(averaged, train, settings.balance)
        top1, balanced = accuracy(averaged, validation)
        print(
            f"{stage} loss {loss:.3f} validation top1 {top1:.3f} balanced {balanced:.3f} "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
        if top1 + balanced >= best:
            best = top1 + balanced
            torch.save(averaged.state_dict(), checkpoint)


def recalibrated(network: nn.Module, photos: list[Photo], balance: float) -> nn.Module:
    """A copy whose batch normalisation has seen photos as serving prepares them, balanced as in training.

    Averages of weights that still move fast have other statistics than any of them, and small
    augmented views other ones than whole photos at 224. Not for pretrained networks: their
    statistics come from a million photos.
    """
    network = copy.deepcopy(network)
    weights = draw_weights(photos, balance)
    sample = random.Random(1).choices(photos, weights, k=RECALIBRATION_PHOTOS)
    update_bn(evaluation_batches(sample), network)
    return network


def learning_rate(step: int, warm_up: int, total: int) -> float:
    """Factor of the base rate: a linear warm-up, then a cosine down to nothing."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))


def run_stage(network, loader, loss_of, optimiser, after_step) -> float:
    """One pass over the loader; the mean loss."""
    network.train()
    losses = []
    for images, labels in loader:
        loss = loss_of(network(images.to(memory_format=torch.channels_last)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        after_step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def accuracy(network: nn.Module, photos: list[Photo]) -> tuple[float, float]:
    """Share of photos labelled correctly, and its mean over the classes present."""
    network.eval()
    right, seen = torch.zeros(len(LABELS)), torch.zeros(len(LABELS))
    for images, labels in evaluation_batches(photos):
        hits = network(images.to(memory_format=torch.channels_last)).argmax(1) == labels
        right.index_add_(0, labels, hits.float())
        seen.index_add_(0, labels, torch.ones(len(labels)))
    present = seen > 0
    return (right.sum() / seen.sum()).item(), (right[present] / seen[present]).mean().item()
