"""FastAPI, onnxruntime and Pillow. Predictions leave the event loop, one at a time: more at once only take turns on the core."""

import os
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI, UploadFile

from photos import OnnxModel

model = OnnxModel(os.environ["MODEL"])


@asynccontextmanager
async def one_at_a_time(_app):
    to_thread.current_default_thread_limiter().total_tokens = 1
    yield


app = FastAPI(lifespan=one_at_a_time)


@app.get("/health")
async def health():
    return {"status": "ready"}


@app.post("/predict")
def predict(file: UploadFile):
    return model.predict(model.preprocess(file.file.read()))
