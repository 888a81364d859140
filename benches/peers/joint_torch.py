#!/usr/bin/env python3
"""Times a transducer's joiner and loss as a PyTorch user has them, at the shapes of `cargo xtask bench --part joint`.

    python3 benches/peers/joint_torch.py --json docs/bench/peers-joint-h100.json

Needs PyTorch and torchaudio. What is timed: tanh of the sum of frames and positions, one linear layer, torchaudio's rnnt_loss, and the
gradients of the encoder's and the predictor's output and of the layer's weights. f32 is without TF32; f16 is a layer of halves, whose logits
torchaudio takes as such. Two figures each, by CUDA events, median: `ms_cold_queue` with an empty queue, and `ms_full_queue` with a burst of
matrix products queued before each call, so that launches are hidden and the clocks are up. `ms` is the smaller. `peak_mb` is the most memory
that the call held beyond what lay there. Each failure, such as logits that no card holds, is a row with its reason.

U = labels + 1 throughout.
"""

import dataclasses
import importlib

import rows
import transducer_torch as peers

# N, T, U, H, V.
SHAPES = [(32, 188, 91, 640, 1024), (64, 500, 120, 640, 4096)]
QUICK_SHAPES = [(2, 12, 5, 16, 24)]

PATIENCE = 2.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: joiner and loss at one shape."""

    dtype: str
    direction: str
    n: int
    t: int
    u: int
    h: int
    v: int

    @property
    def name(self):
        return f"joint_rnnt hidden {self.dtype} T{self.t} U{self.u} H{self.h} V{self.v} N{self.n} {self.direction}"


class Problem:
    """Data on the device, and the call."""

    def __init__(self, torch, case, device):
        self.torch, self.case = torch, case
        self.loss = importlib.import_module("torchaudio.functional").rnnt_loss
        kind = {"f32": torch.float32, "f16": torch.float16}[case.dtype]
        torch.manual_seed(1)
        self.trains = case.direction == "loss+grad"
        self.layer = torch.nn.Linear(case.h, case.v).to(device=device, dtype=kind)
        side = lambda length: torch.randn((case.n, length, case.h), device=device).to(kind).requires_grad_(self.trains)
        self.encoder, self.predictor = side(case.t), side(case.u)
        self.targets = torch.arange(case.n * (case.u - 1), device=device).reshape(case.n, -1).remainder(case.v - 10).add(1).int()
        whole = lambda length: torch.full((case.n,), length, device=device, dtype=torch.int32)
        self.frames, self.labels = whole(case.t), whole(case.u - 1)

    def run(self):
        """The mean cost, and the gradient of the encoder's output if there are any."""
        torch = self.torch
        with torch.set_grad_enabled(self.trains):
            hidden = torch.tanh(self.encoder[:, :, None] + self.predictor[:, None])
            cost = self.loss(self.layer(hidden), self.targets, self.frames, self.labels, blank=0, reduction="mean")
        if not self.trains:
            return cost, None
        wanted = [self.encoder, self.predictor, *self.layer.parameters()]
        return cost, torch.autograd.grad(cost, wanted)[0]


def measure(torch, case, device, clock):
    """The figures of one case."""
    torch.backends.cuda.matmul.allow_tf32 = False
    problem = Problem(torch, case, device)
    clock.wait()
    if clock.cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    cost, gradient = problem.run()
    clock.wait()
    peak = (torch.cuda.max_memory_allocated() - before) / 1e6 if clock.cuda else None
    if not torch.isfinite(cost) or (gradient is not None and not gradient.abs().max().item() > 0):
        return {"error": f"wrong result: a cost of {cost.item():.4g}, or a gradient of zero"}
    del cost, gradient
    cold, full = clock.medians(problem.run)
    return {"ms": min(cold, full), "ms_cold_queue": cold, "ms_full_queue": full, "peak_mb": peak}


def cases(quick):
    """Every row, in the order of the table."""
    shapes = QUICK_SHAPES if quick else SHAPES
    return [Case(dtype, direction, *shape) for shape in shapes for dtype in ("f32", "f16") for direction in ("loss", "loss+grad")]


def row(case, figures):
    about = {"op": "joint_rnnt", "input": "hidden", "dtype": case.dtype, "direction": case.direction, "peer": "torch + torchaudio"}
    shape = {"t": case.t, "u": case.u, "h": case.h, "v": case.v, "n": case.n}
    return {**about, "shape": shape, **{key: figures.get(key) for key in ("ms", "ms_cold_queue", "ms_full_queue", "peak_mb", "error")}}


def table(found):
    """The rows in Markdown."""
    lines = ["| op | dtype | shape | direction | ms | empty queue | full queue | peak MB |", "|---|---|---|---|---|---|---|---|"]
    number = lambda value, digits: "" if value is None else f"{value:.{digits}f}"
    for r in found:
        shape = " ".join(f"{side.upper()}{size}" for side, size in r["shape"].items())
        figures = " | ".join([*(number(r[key], 3) for key in ("ms", "ms_cold_queue", "ms_full_queue")), number(r["peak_mb"], 1)])
        if r["error"]:
            figures = f"{r['error'].replace('|', '/')} | | | "
        lines.append(f"| {r['op']} | {r['dtype']} | {shape} | {r['direction']} | {figures} |")
    return "\n".join(lines)


def main():
    rows.main(__doc__, cases, measure, row, table, PATIENCE)


if __name__ == "__main__":
    main()
