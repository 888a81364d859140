#!/usr/bin/env python3
"""Times a transducer's joiner and loss as a PyTorch user has them, at the shapes of `cargo xtask bench --part joint`.

    python3 benches/peers/joint_torch.py --json docs/bench/peers-joint-h100.json

Needs PyTorch and torchaudio. What is timed: tanh of the sum of frames and positions, one linear layer, torchaudio's rnnt_loss, and the
gradients of the encoder's and the predictor's output and of the layer's weights. f32 is without TF32; f16 is a layer of halves, whose logits
torchaudio takes as such. Two figures each, by CUDA events, median: `ms_cold_queue` with an empty queue, and `ms_full_queue` with a burst of
matrix products queued before each call, so that launches are hidden and the clocks are up. `ms` is the smaller. `peak_mb` is the most memory
that the call held beyond what lay there. Each failure, such as logits that no card holds, is a row with its reason.

If k2 can be imported, its pruned loss at the first shape too: `joint_pruned`, the exact loss in the band whose ranges are there already, and
`joint_pruned_recipe`, with the simple loss that they come from, without the gradients of that.

U = labels + 1 throughout.
"""

import dataclasses
import importlib
import importlib.util
import sys

import rows
import transducer_torch as peers

# N, T, U, H, V.
SHAPES = [(32, 188, 91, 640, 1024), (64, 500, 120, 640, 4096)]
QUICK_SHAPES = [(2, 12, 5, 16, 24)]

# Positions a frame of the pruned loss.
RANGE = 5
PATIENCE = 2.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: joiner and loss at one shape."""

    op: str
    dtype: str
    direction: str
    n: int
    t: int
    u: int
    h: int
    v: int

    @property
    def shape(self):
        ranges = {"r": RANGE} if "pruned" in self.op else {}
        return {"t": self.t, "u": self.u, "h": self.h, "v": self.v, **ranges, "n": self.n}

    @property
    def name(self):
        shape = " ".join(f"{side.upper()}{size}" for side, size in self.shape.items())
        return f"{self.op} hidden {self.dtype} {shape} {self.direction}"


class Problem:
    """Data on the device, and the call."""

    def __init__(self, torch, case, device):
        self.torch, self.case, self.device = torch, case, device
        self.kind = {"f32": torch.float32, "f16": torch.float16}[case.dtype]
        torch.manual_seed(1)
        self.trains = case.direction == "loss+grad"
        self.layer = torch.nn.Linear(case.h, case.v).to(device=device, dtype=self.kind)
        self.encoder, self.predictor = self.side(case.t, case.h), self.side(case.u, case.h)
        self.targets = torch.arange(case.n * (case.u - 1), device=device).reshape(case.n, -1).remainder(case.v - 10).add(1)

    def side(self, length, width):
        random = self.torch.randn((self.case.n, length, width), device=self.device)
        return random.to(self.kind).requires_grad_(self.trains)

    def run(self):
        """The mean cost, and the gradient of the encoder's output if there are any."""
        torch = self.torch
        with torch.set_grad_enabled(self.trains):
            cost = self.cost()
        if not self.trains:
            return cost, None
        wanted = [self.encoder, self.predictor, *self.layer.parameters()]
        return cost, torch.autograd.grad(cost, wanted)[0]


class Exact(Problem):
    """All logits, and torchaudio's loss."""

    peer = "torch + torchaudio"

    def __init__(self, torch, case, device):
        super().__init__(torch, case, device)
        self.loss = importlib.import_module("torchaudio.functional").rnnt_loss
        self.targets = self.targets.int()
        whole = lambda length: torch.full((case.n,), length, device=device, dtype=torch.int32)
        self.frames, self.labels = whole(case.t), whole(case.u - 1)

    def cost(self):
        hidden = self.torch.tanh(self.encoder[:, :, None] + self.predictor[:, None])
        return self.loss(self.layer(hidden), self.targets, self.frames, self.labels, blank=0, reduction="mean")


class Pruned(Problem):
    """Logits of a band, and k2's loss."""

    peer = "torch + k2"

    def __init__(self, torch, case, device):
        super().__init__(torch, case, device)
        self.k2 = importlib.import_module("k2")
        self.boundary = torch.tensor([[0, 0, case.u - 1, case.t]] * case.n, device=device)
        # What the simple loss is of.
        self.am, self.lm = self.side(case.t, case.v), self.side(case.u, case.v)
        self.known = self.ranges() if case.op == "joint_pruned" else None

    def ranges(self):
        with self.torch.no_grad():
            _, (px, py) = self.k2.rnnt_loss_simple(
                self.lm.float(), self.am.float(), self.targets, 0, boundary=self.boundary, reduction="mean", return_grad=True
            )
            return self.k2.get_rnnt_prune_ranges(px, py, self.boundary, RANGE)

    def cost(self):
        ranges = self.ranges() if self.known is None else self.known
        frames, positions = self.k2.do_rnnt_pruning(self.encoder, self.predictor, ranges)
        logits = self.layer(self.torch.tanh(frames + positions))
        cost = self.k2.rnnt_loss_pruned(logits.float(), self.targets, ranges, 0, boundary=self.boundary, reduction="sum")
        return cost / self.case.n


def problem_of(case):
    return Pruned if "pruned" in case.op else Exact


def measure(torch, case, device, clock):
    """The figures of one case."""
    torch.backends.cuda.matmul.allow_tf32 = False
    problem = problem_of(case)(torch, case, device)
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
    exact = [Case("joint_rnnt", dtype, direction, *shape) for shape in shapes for dtype in ("f32", "f16") for direction in ("loss", "loss+grad")]
    if importlib.util.find_spec("k2") is None:
        print("no k2 here: its pruned loss is left out", file=sys.stderr)
        return exact
    pruned = [Case(op, dtype, "loss+grad", *shapes[0]) for dtype in ("f32", "f16") for op in ("joint_pruned", "joint_pruned_recipe")]
    return exact + pruned


def row(case, figures):
    about = {"op": case.op, "input": "hidden", "dtype": case.dtype, "direction": case.direction, "peer": problem_of(case).peer}
    return {**about, "shape": case.shape, **{key: figures.get(key) for key in ("ms", "ms_cold_queue", "ms_full_queue", "peak_mb", "error")}}


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
