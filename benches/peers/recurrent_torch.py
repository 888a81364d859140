#!/usr/bin/env python3
"""Times PyTorch's recurrent layers (cuDNN's, on a GPU), at the shapes of `cargo xtask bench --part cells`.

    python3 benches/peers/recurrent_torch.py --json docs/bench/peers-recurrent-h100.json

Needs PyTorch. What is timed: one call of torch.nn.LSTM or torch.nn.GRU on data that lies on the device, input
projection included; `forward+backward` is the call in training and the gradients of x and of all weights; `frame` is one
frame of a stream, with the state of the frame before. f16 is a layer of halves; f32 is PyTorch's default,
which lets cuDNN round the factors of products to TF32. Three figures each, by CUDA events, median:
`ms_cold_queue` with an empty queue, so that slow launches show, `ms_full_queue` with a burst of matrix products queued
before each call, so that launches are hidden and the clocks are up, and `ms_graph`, the same call as a captured CUDA
graph behind such a burst. `ms` is the smallest. `peak_mb` is the most memory that the call held beyond what lay there.

All sequences of a batch are equal, so a peer whose results differ between the first and the last is reported as wrong.
Each failure is a row with its reason.
"""

import dataclasses

import rows
import transducer_torch as peers

# H (= input size) and N; T = 500.
SIZES = [(256, 1), (256, 16), (512, 16), (640, 1), (640, 16), (1024, 1), (1024, 16), (1024, 64)]
FRAMES = 500
# I, H, levels of the stream.
STREAM = (640, 640, 3)
QUICK_SIZES = [(16, 1), (32, 2)]
QUICK_FRAMES = 10
QUICK_STREAM = (16, 16, 3)

# Seconds that the timed calls of a case may take in each of its three runs, once there are three.
PATIENCE = 0.6

# Largest difference between two equal sequences that is rounding.
SAME = {"f32": 1e-4, "f16": 2e-2}

OPS = {"lstm": "LSTM", "gru": "GRU", "lstm-stream": "LSTM"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: a layer's call at one shape."""

    op: str
    dtype: str
    direction: str
    i: int
    h: int
    levels: int
    t: int
    n: int

    @property
    def name(self):
        return f"{self.op} x {self.dtype} I{self.i} H{self.h} L{self.levels} T{self.t} N{self.n} {self.direction}"

    def shape(self):
        sides = {"h": self.h, "t": self.t, "n": self.n}
        return sides if self.levels == 1 else {"i": self.i, "l": self.levels, **sides}


class Problem:
    """A layer and its data, on the device."""

    def __init__(self, torch, case, device):
        self.torch, self.case = torch, case
        kind = {"f32": torch.float32, "f16": torch.float16}[case.dtype]
        torch.manual_seed(1)
        layer = getattr(torch.nn, OPS[case.op])(case.i, case.h, num_layers=case.levels)
        self.layer = layer.to(device=device, dtype=kind)
        self.layer.flatten_parameters()
        one = torch.randn((case.t, 1, case.i), device=device).to(kind)
        self.x = one.repeat(1, case.n, 1)
        self.trains = case.direction == "forward+backward"
        self.x.requires_grad_(self.trains)
        self.dy = torch.randn((case.t, 1, case.h), device=device).to(kind).repeat(1, case.n, 1)
        state = torch.zeros((case.levels, case.n, case.h), device=device, dtype=kind)
        self.state = (state, state.clone()) if OPS[case.op] == "LSTM" else state

    def run(self):
        """y, and the gradient of x if there is training."""
        torch = self.torch
        if not self.trains:
            with torch.no_grad():
                return self.layer(self.x, self.state)[0], None
        y, _ = self.layer(self.x, self.state)
        return y, torch.autograd.grad(y, [self.x, *self.layer.parameters()], self.dy)[0]

    def captured(self):
        """The call as a CUDA graph."""
        torch = self.torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.run()
        return graph


def measure(torch, case, device, clock):
    """The figures of one case."""
    problem = Problem(torch, case, device)
    clock.wait()
    if clock.cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    y, gradient = problem.run()
    clock.wait()
    peak = (torch.cuda.max_memory_allocated() - before) / 1e6 if clock.cuda else None
    for what, values in (("y", y), ("the gradient of x", gradient)):
        if values is None:
            continue
        apart = (values[:, 0] - values[:, -1]).abs().max().item()
        if not apart <= SAME[case.dtype] * max(values.abs().max().item(), 1.0):
            return {"error": f"wrong result: {what} of equal sequences differs by {apart:.3g}"}
        if values.abs().max().item() == 0:
            return {"error": f"wrong result: {what} is zero everywhere"}
    del y, gradient
    cold, full = clock.medians(problem.run)
    graph, why = None, None
    if clock.cuda:
        try:
            captured = problem.captured()
            _, graph = clock.medians(captured.replay)
        except RuntimeError as error:
            why = peers.first_line(error)
    best = min(time for time in (cold, full, graph) if time is not None)
    return {"ms": best, "ms_cold_queue": cold, "ms_full_queue": full, "ms_graph": graph, "no_graph": why, "peak_mb": peak}


def cases(quick):
    """Every row, in the order of the table."""
    sizes, frames, (i, h, levels) = (QUICK_SIZES, QUICK_FRAMES, QUICK_STREAM) if quick else (SIZES, FRAMES, STREAM)
    found = []
    for op in ("lstm", "gru"):
        for dtype in ("f32", "f16"):
            for side, n in sizes:
                for direction in ("forward", "forward+backward"):
                    found.append(Case(op, dtype, direction, side, side, 1, frames, n))
    return found + [Case("lstm-stream", dtype, "frame", i, h, levels, 1, 1) for dtype in ("f32", "f16")]


def row(case, figures):
    keys = ("ms", "ms_cold_queue", "ms_full_queue", "ms_graph", "no_graph", "peak_mb", "error")
    about = {"op": case.op, "input": "x", "dtype": case.dtype, "shape": case.shape(), "direction": case.direction, "peer": "torch cuDNN"}
    return {**about, **{key: figures.get(key) for key in keys}}


def table(found):
    """The rows in Markdown."""
    lines = ["| op | dtype | shape | direction | ms | empty queue | full queue | graph | peak MB |", "|---|---|---|---|---|---|---|---|---|"]
    number = lambda value, digits: "" if value is None else f"{value:.{digits}f}"
    for r in found:
        shape = " ".join(f"{side.upper()}{size}" for side, size in r["shape"].items())
        times = [number(r[key], 3) for key in ("ms", "ms_cold_queue", "ms_full_queue", "ms_graph")]
        figures = " | ".join([*times, number(r["peak_mb"], 1)])
        if r["error"]:
            figures = f"{r['error'].replace('|', '/')} | | | | "
        lines.append(f"| {r['op']} | {r['dtype']} | {shape} | {r['direction']} | {figures} |")
    return "\n".join(lines)


def main():
    rows.main(__doc__, cases, measure, row, table, PATIENCE)


if __name__ == "__main__":
    main()
