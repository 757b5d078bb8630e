"""Finds labelled food photos and turns one into the tensor the models see.

The preprocessing here is the reference: serving must reproduce `to_pixels` to
within rounding, and every model.json carries one image with the tensor
computed by it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import functional as F

LABELS = [
    "Bread",
    "Dairy product",
    "Dessert",
    "Egg",
    "Fried food",
    "Meat",
    "Noodles/Pasta",
    "Rice",
    "Seafood",
    "Soup",
    "Vegetable/Fruit",
]
RESIZE_SHORT_SIDE = 256
CENTRE_CROP = 224
MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Photo:
    """One photo on disk. Photos of one `dish` are near-duplicates of each other."""

    path: Path
    label: int
    dish: str


def folder_name(label: str) -> str:
    """'Noodles/Pasta' -> 'noodles-pasta', the name of the class's folder."""
    return re.sub(r"[^a-z]+", "-", label.lower())


def list_photos(folder: Path) -> list[Photo]:
    """Lists a folder's photos in a fixed order.

    Two layouts are understood: one sub-folder per class, named as in LABELS or
    as `folder_name` writes it, and Food-11's own, where `3_117.jpg` is a photo
    of class 3.
    """
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in EXTENSIONS]
    photos = [Photo(path, label_of(path), dish_of(path)) for path in paths]
    if not photos:
        raise SystemExit(f"no photos under {folder}")
    return photos


def label_of(path: Path) -> int:
    """The class of a photo by its folder's name, or by the number before the first underscore."""
    folders = [folder_name(label) for label in LABELS]
    parent = folder_name(path.parent.name)
    if parent in folders:
        return folders.index(parent)
    numbered = re.match(r"(\d+)_", path.name)
    if numbered and int(numbered.group(1)) < len(LABELS):
        return int(numbered.group(1))
    raise SystemExit(f"{path}: neither its folder nor its name says which class it is of")


def dish_of(path: Path) -> str:
    """Groups `sarmale-0.jpg` … `sarmale-2.jpg`, views of one plate that must not be split
    between training and validation. Higher numbers are numbering, not views."""
    return re.sub(r"-\d$", "", f"{path.parent.name}/{path.stem}")


def load(path: Path) -> Image.Image:
    """Decodes to RGB the way up it was taken."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def shrink(image: Image.Image) -> Image.Image:
    """Resizes the short side to 256; PIL's bilinear filter antialiases."""
    return F.resize(image, RESIZE_SHORT_SIDE)


def to_pixels(image: Image.Image) -> np.ndarray:
    """Resize and centre crop: uint8 of shape 224x224x3, RGB."""
    return np.asarray(F.center_crop(shrink(image), CENTRE_CROP))


def normalise(pixels: np.ndarray) -> torch.Tensor:
    """uint8 HWC (or NHWC) to the float32 CHW (or NCHW) tensor that the models take."""
    values = torch.tensor(pixels).float() / 255
    values = (values - torch.tensor(MEAN)) / torch.tensor(STD)
    return values.movedim(-1, -3).contiguous()
