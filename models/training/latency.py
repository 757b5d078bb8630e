"""Compares the single-thread latency of ONNX models.

The models take turns call by call, so that whatever else the machine does
falls on all of them alike.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime


def open_session(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def latencies_ms(models: list[Path], rounds: int) -> list[list[float]]:
    sessions = [open_session(model) for model in models]
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    times = [[] for _ in sessions]
    for _ in range(rounds):
        for session, taken in zip(sessions, times):
            start = time.perf_counter()
            session.run(None, {"input": image})
            taken.append((time.perf_counter() - start) * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()

    for model, times in zip(arguments.model, latencies_ms(arguments.model, arguments.rounds)):
        ventiles = statistics.quantiles(times, n=20)
        print(
            f"{model}: median {ventiles[9]:.2f} ms, 5 % {ventiles[0]:.2f}, 95 % {ventiles[-1]:.2f}, "
            f"{1000 / ventiles[9]:.0f} images/s"
        )


if __name__ == "__main__":
    main()
