"""Training data: a split that keeps dishes together, augmentation, class balance."""

import random
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision.transforms import v2

from photos import LABELS, MEAN, STD, Photo, list_photos, load, normalise, shrink, to_pixels


def split(folders: list[Path], held_out: float, seed: int) -> tuple[list[Photo], list[Photo]]:
    """Holds out a share of each folder's dishes, class by class, for choices made in training.

    Classes with too few dishes to spare one give none.
    """
    rng = random.Random(seed)
    train, validation = [], []
    for folder in folders:
        dishes = defaultdict(list)
        for photo in list_photos(folder):
            dishes[photo.label, photo.dish].append(photo)
        for label in range(len(LABELS)):
            names = [name for name in dishes if name[0] == label]
            rng.shuffle(names)
            kept = round(len(names) * held_out)
            for index, name in enumerate(names):
                (validation if index < kept else train).extend(dishes[name])
    return train, validation


class TrainingPhotos(Dataset):
    """Augmented views at a resolution. Photos are decoded once and kept at 256 pixels."""

    def __init__(self, photos: list[Photo]):
        self.photos = photos
        self.images = [shrink(load(photo.path)) for photo in photos]
        self.set_resolution(224)

    def set_resolution(self, resolution: int) -> None:
        self.augment = v2.Compose(
            [
                # White is the ground of cut-out dishes, so that turning one leaves no black corners.
                v2.RandomApply([v2.RandomRotation(25, fill=255)], p=0.4),
                v2.RandomResizedCrop(resolution, scale=(0.35, 1), ratio=(0.8, 1.25)),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.02)], p=0.7),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
                v2.RandomErasing(p=0.2, scale=(0.02, 0.15)),
            ]
        )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.augment(self.images[index]), self.photos[index].label


def draw_weights(photos: list[Photo], balance: float) -> list[float]:
    """How likely each photo is to be drawn, so that a class of n photos has a share in proportion
    to n^(1 - balance).

    1 is full balance, 0 leaves the data as they are. Full balance shows the eleven soups
    of a small set hundreds of times each, so something between can generalise better.
    """
    counts = Counter(photo.label for photo in photos)
    return [counts[photo.label] ** -balance for photo in photos]


def batches(data: TrainingPhotos, size: int, draws: int, balance: float) -> DataLoader:
    sampler = WeightedRandomSampler(draw_weights(data.photos, balance), draws)
    return DataLoader(data, size, sampler=sampler, num_workers=1, drop_last=True)


def evaluation_batches(photos: list[Photo], size: int = 32):
    """Yields (tensor, labels) with the serving preprocessing."""
    for start in range(0, len(photos), size):
        chunk = photos[start : start + size]
        tensors = [normalise(to_pixels(load(photo.path))) for photo in chunk]
        yield torch.stack(tensors), torch.tensor([photo.label for photo in chunk])
