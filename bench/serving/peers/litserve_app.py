"""LitServe, onnxruntime and Pillow: python litserve_app.py PORT WORKERS."""

import os
import sys

import litserve
from fastapi import Request

from photos import OnnxModel


class PhotoApi(litserve.LitAPI):
    def setup(self, device):
        self.model = OnnxModel(os.environ["MODEL"])

    def decode_request(self, request: Request):
        return self.model.preprocess(request["file"].file.read())

    def predict(self, values):
        return self.model.predict(values)

    def encode_response(self, answer):
        return answer


if __name__ == "__main__":
    port, workers = (int(argument) for argument in sys.argv[1:3])
    server = litserve.LitServer(PhotoApi(), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")
