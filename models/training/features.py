"""What a photo looks like in numbers: of what the model sees in units of full scale, and the photo's own shape.

Serving computes the same on each request and compares the distribution with
the profile in model.json: a shift says that users send other photos than the
model was made for.
"""

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])


def features(pixels: np.ndarray, size: tuple[int, int]) -> dict[str, float]:
    """Of a 224x224x3 uint8 tensor, made of a photo of `size` (width, height). Sharpness is
    the mean response of a Laplacian: low for a blurred photo."""
    width, height = size
    values = pixels.astype(np.float64)
    luma = values @ LUMA
    inner = luma[1:-1, 1:-1]
    neighbours = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1]
    return {
        "brightness": luma.mean() / 255,
        "contrast": luma.std() / 255,
        "saturation": (values.max(axis=2) - values.min(axis=2)).mean() / 255,
        "sharpness": np.abs(4 * inner - neighbours).mean() / 255,
        "aspectRatio": width / height,
        "megapixels": width * height / 1e6,
    }
