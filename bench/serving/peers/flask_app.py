"""The application that this project replaces: Flask, PyTorch, torchvision's MobileNetV2 and its transforms, behind gunicorn."""

import io
import os
from pathlib import Path

import onnx
import torch
import torchvision
from flask import Flask, request
from onnx import numpy_helper
from PIL import Image
from torchvision import transforms

from photos import answer, blank_photo, read_manifest

torch.set_num_threads(1)
folder = os.environ["MODEL"]
manifest = read_manifest(folder)


@torch.no_grad()
def load_network():
    """The weights of model.onnx, whose convolutions have their batch normalisation folded in: it becomes an addition again."""
    network = torchvision.models.mobilenet_v2(num_classes=len(manifest["labels"]))
    graph = onnx.load(Path(folder) / "model.onnx").graph
    values = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
    folded = iter([node.input for node in graph.node if node.op_type == "Conv"])
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            _, weight, bias = next(folded)
            module.weight.copy_(values[weight])
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.bias.copy_(values[bias])
            module.running_var.fill_(1 - module.eps)
    network.classifier[1].weight.copy_(values["classifier.1.weight"])
    network.classifier[1].bias.copy_(values["classifier.1.bias"])
    return network.eval()


network = load_network()
preprocess = transforms.Compose(
    [
        transforms.Resize(manifest["preprocessing"]["resizeShortSide"]),
        transforms.CenterCrop(manifest["preprocessing"]["centreCrop"]),
        transforms.ToTensor(),
        transforms.Normalize(manifest["preprocessing"]["mean"], manifest["preprocessing"]["std"]),
    ]
)
app = Flask(__name__)


@torch.no_grad()
def classify(photo):
    image = Image.open(photo).convert("RGB")
    logits = network(preprocess(image).unsqueeze(0))
    return answer(logits[0].numpy(), manifest["labels"])


@app.get("/health")
def health():
    return {"status": "ready"}


@app.post("/predict")
def predict():
    return classify(request.files["file"].stream)


classify(io.BytesIO(blank_photo()))
