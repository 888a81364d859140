#!/usr/bin/env python3
"""Times the transducer and CTC losses that a PyTorch user would pick, at the shapes of `cargo xtask bench`.

    python3 benches/peers/transducer_torch.py --json docs/bench/peers-h100.json

Needs PyTorch. torchaudio, warp_rnnt and NeMo are timed where they can be imported; where one cannot,
its rows say why. `--nemo DIR` takes NeMo's numba losses from an unpacked wheel or a checkout whose
other dependencies are not installed. `--warp-rnnt DIR` compiles warp_rnnt from its unpacked source
distribution (needs nvcc and ninja).

What is timed: one public call on data that lies on the device, costs left there; `loss+grad` is the
call and its backward to the gradient of the input. Two figures each, by CUDA events, median:
`ms_cold_queue` with an empty queue, so that a slow launch shows, and `ms_full_queue` with a burst of
matrix products queued before each call, so that launches are hidden and the clocks are up. `ms` is the
smaller. `peak_mb` is the most memory that the call held beyond what lay there before it.

Every utterance of a batch has the same logits, so the gradients of the first and the last must be
equal: a peer whose index arithmetic overflows is reported as wrong, not as fast. Each failure is a row
with its reason. Calls run in a child process, which is replaced when one breaks the CUDA context.

U = labels + 1 throughout.
"""

import argparse
import dataclasses
import datetime
import importlib
import importlib.metadata
import json
import os
import queue
import subprocess
import sys
import threading
import time
import types

# (T, U, V) as warp-rnnt's benchmark has them, and the batch sizes.
TRANSDUCER = [
    ((150, 40, 28), (1, 16, 32, 64, 128)),
    ((150, 20, 5000), (1, 16, 32, 64, 128)),
    ((1500, 300, 50), (1, 16, 32, 64, 128)),
]
CTC = [((1500, 300, 5000), (32,))]
QUICK_TRANSDUCER = [((15, 8, 28), (1, 2)), ((15, 4, 500), (1, 2)), ((60, 20, 10), (1, 2))]
QUICK_CTC = [((60, 20, 100), (2,))]

BIG_BLANKS = [2, 4, 8]
DURATIONS = [0, 1, 2, 3, 4]

# Seconds that the timed calls of a case may take in each of its two runs, once there are three.
PATIENCE = 1.5

# Largest difference between the gradients of two equal utterances that is rounding, not a fault.
SAME_GRADIENT = 2e-2


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: a peer's call at one shape."""

    peer: str
    op: str
    input: str
    dtype: str
    direction: str
    n: int
    t: int
    u: int
    v: int

    @property
    def name(self):
        return f"{self.op} {self.input} {self.dtype} T{self.t} U{self.u} V{self.v} N{self.n} {self.direction} {self.peer}"


# ---------------------------------------------------------------------------------------------------
# The peers. Each takes a Problem and gives the sum of the costs, a tensor that backward starts from.


def torchaudio_rnnt(p):
    functional = importlib.import_module("torchaudio.functional")
    return functional.rnnt_loss(p.x, p.targets, p.frames, p.labels, blank=0, reduction="sum", fused_log_softmax=True)


def warp_full(gather):
    def call(p):
        log_probs = p.torch.nn.functional.log_softmax(p.x, dim=-1)
        return warp().rnnt_loss(log_probs, p.targets, p.frames, p.labels, blank=0, reduction="sum", gather=gather)

    return call


def warp_log_probs(gather):
    def call(p):
        return warp().rnnt_loss(p.x, p.targets, p.frames, p.labels, blank=0, reduction="sum", gather=gather)

    return call


def warp_gathered(p):
    # Two planes, blank and label: the function takes that for blank=-1.
    return warp().rnnt_loss(p.x, p.targets, p.frames, p.labels, blank=-1, reduction="sum")


def nemo_rnnt(p):
    return nemo("RNNTLossNumba")(blank=0, reduction="sum")(p.x, p.targets.long(), p.frames.long(), p.labels.long())


def nemo_multi_blank(p):
    # The big blanks are the symbols before the blank, which is the last of V.
    loss = nemo("MultiblankRNNTLossNumba")(blank=p.case.v - 1, big_blank_durations=BIG_BLANKS, reduction="sum", sigma=0.05)
    return loss(p.x, p.targets.long(), p.frames.long(), p.labels.long())


def nemo_tdt(p):
    # Durations are extra columns after the V symbols, of which the blank is the last.
    loss = nemo("TDTLossNumba")(blank=p.case.v - 1, durations=DURATIONS, reduction="sum", sigma=0.05, omega=0.0)
    return loss(p.x, p.targets.long(), p.frames.long(), p.labels.long())


def torch_ctc(cudnn):
    def call(p):
        torch = p.torch
        log_probs = torch.nn.functional.log_softmax(p.x, dim=-1)
        if not cudnn:
            # Targets of 64 bits are the native kernel's alone.
            with torch.backends.cudnn.flags(enabled=False):
                return torch.nn.functional.ctc_loss(log_probs, p.targets.long(), p.frames.long(), p.labels.long(), 0, "sum")
        reasons = []
        # Lengths and targets on the host are the older of the two ways into cuDNN, on the device the newer.
        for place in ("cpu", p.x.device):
            arguments = (log_probs, p.targets.flatten().to(place), p.frames.to(place), p.labels.to(place))
            try:
                taken = torch._use_cudnn_ctc_loss(*arguments, blank=0)
            except RuntimeError as error:
                reasons.append(first_line(error))
                continue
            if taken:
                return torch.nn.functional.ctc_loss(*arguments, 0, "sum")
        raise Unfit(f"cuDNN does not take it: U - 1 = {p.case.u - 1} labels" + "".join(f"; {r}" for r in reasons))

    return call


# name: (op, input, dtypes, call)
PEERS = {
    "torchaudio": ("rnnt", "logits", ("f32", "f16"), torchaudio_rnnt),
    "log_softmax + warp-rnnt": ("rnnt", "logits", ("f32",), warp_full(gather=False)),
    "log_softmax + warp-rnnt gather": ("rnnt", "logits", ("f32",), warp_full(gather=True)),
    "NeMo numba": ("rnnt", "logits", ("f32",), nemo_rnnt),
    "warp-rnnt": ("rnnt", "log-probs", ("f32",), warp_log_probs(gather=False)),
    "warp-rnnt gather": ("rnnt", "log-probs", ("f32",), warp_log_probs(gather=True)),
    "warp-rnnt gathered": ("rnnt", "gathered", ("f32",), warp_gathered),
    "NeMo numba multi-blank": ("multi-blank", "logits", ("f32",), nemo_multi_blank),
    "NeMo numba TDT": ("tdt", "logits", ("f32",), nemo_tdt),
    "torch native": ("ctc", "logits", ("f32",), torch_ctc(cudnn=False)),
    "torch cuDNN": ("ctc", "logits", ("f32",), torch_ctc(cudnn=True)),
}


class Unfit(Exception):
    """The peer does not do this case."""


# Why a package could not be made ready, by its name.
PROBLEMS = {}


def warp():
    if "warp_rnnt" in PROBLEMS:
        raise Unfit(PROBLEMS["warp_rnnt"])
    return importlib.import_module("warp_rnnt")


def prepare_warp(folder):
    """Compiles warp_rnnt's own sources where its setup.py would, and imports the package from there."""
    sys.path.insert(0, folder)
    sources = [os.path.join(folder, name) for name in ("core.cu", "core_gather.cu", "core_compact.cu", "binding.cpp")]
    resources = types.ModuleType("pkg_resources")
    # The package asks for its version through a module that setuptools no longer has.
    resources.get_distribution = lambda name: types.SimpleNamespace(version=importlib.metadata.version(name))
    before = sys.modules.get("pkg_resources")
    try:
        extension = importlib.import_module("torch.utils.cpp_extension")
        sys.modules["warp_rnnt._C"] = extension.load(name="warp_rnnt_core", sources=sources)
        sys.modules["pkg_resources"] = resources
        importlib.import_module("warp_rnnt")
    except Exception as error:  # a missing compiler, a compile error, a driver that does not fit: its rows say it
        PROBLEMS["warp_rnnt"] = f"not built: {type(error).__name__}: {first_line(error)}"
    finally:
        sys.modules.pop("pkg_resources", None)
        if before:
            sys.modules["pkg_resources"] = before


def nemo(name):
    return getattr(importlib.import_module("nemo.collections.asr.parts.numba.rnnt_loss"), name)


def prepare_nemo(folder):
    """Lets NeMo's loss modules be imported without the rest of NeMo: their parent packages, whose
    `__init__` import a whole training stack, become empty ones with the same search path."""
    sys.path.insert(0, folder)
    for package in ("nemo", "nemo.collections", "nemo.collections.asr", "nemo.collections.asr.parts", "nemo.core", "nemo.core.utils"):
        module = types.ModuleType(package)
        module.__path__ = [os.path.join(folder, *package.split("."))]
        sys.modules[package] = module
    logging = types.ModuleType("nemo.utils")
    logging.logging = importlib.import_module("logging").getLogger("nemo")
    logging.__path__ = [os.path.join(folder, "nemo", "utils")]
    sys.modules["nemo.utils"] = logging


def first_line(error):
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]


# ---------------------------------------------------------------------------------------------------
# The child: builds a case's data, runs it, times it.


class Problem:
    """The data of a case, on the device."""

    def __init__(self, torch, case, device):
        self.torch, self.case = torch, case
        kind = {"f32": torch.float32, "f16": torch.float16}[case.dtype]
        generator = torch.Generator(device=device).manual_seed(1)
        width = {"gathered": 2}.get(case.input, case.v + (len(DURATIONS) if case.op == "tdt" else 0))
        sides = (case.t, 1, width) if case.op == "ctc" else (1, case.t, case.u, width)
        one = torch.randn(sides, device=device, generator=generator)
        if case.input != "logits":
            # Two planes of a vocabulary: their probabilities sum to less than one.
            wide = one if case.input == "log-probs" else torch.cat([one, torch.zeros_like(one[..., :1])], dim=-1)
            one = wide.log_softmax(dim=-1)[..., :width]
        self.batch_side = 1 if case.op == "ctc" else 0
        repeats = [1] * one.dim()
        repeats[self.batch_side] = case.n
        self.x = one.to(kind).repeat(repeats)
        self.x.requires_grad_(case.direction == "loss+grad")
        # Blank 0 or V - 1, big blanks just below V - 1: labels keep clear of all of them.
        most = max(case.v - 2 - len(BIG_BLANKS), 1)
        labels = 1 + torch.arange(case.u - 1, device=device, dtype=torch.int32) * 7 % most
        self.targets = labels.repeat(case.n, 1).contiguous()
        self.frames = torch.full((case.n,), case.t, device=device, dtype=torch.int32)
        self.labels = torch.full((case.n,), case.u - 1, device=device, dtype=torch.int32)

    def run(self, call):
        """The sum of the costs and, if asked for, the gradient."""
        if self.case.direction == "loss":
            with self.torch.no_grad():
                return call(self).sum(), None
        cost = call(self).sum()
        return cost, self.torch.autograd.grad(cost, self.x)[0]


class Clock:
    """Times calls: CUDA events on a GPU, the host's clock elsewhere."""

    def __init__(self, torch, device, repeats):
        self.torch, self.cuda, self.repeats = torch, device == "cuda", repeats
        if self.cuda:
            self.square = torch.randn(4096, 4096, device=device, dtype=torch.float16)
            self.burst(8)
            start, end = self.events()
            start.record()
            self.burst(64)
            end.record()
            torch.cuda.synchronize()
            self.product_ms = max(start.elapsed_time(end) / 64, 1e-3)

    def events(self):
        event = self.torch.cuda.Event
        return event(enable_timing=True), event(enable_timing=True)

    def burst(self, count):
        for _ in range(count):
            self.torch.matmul(self.square, self.square)

    def medians(self, call):
        """(median with an empty queue, median with a full one), ms; on the host the second is none."""
        start = time.perf_counter()
        call()
        self.wait()
        warm = max(time.perf_counter() - start, 1e-6)
        repeats = max(3, min(self.repeats, int(PATIENCE / warm)))
        for _ in range(min(repeats, 3)):
            call()
        self.wait()
        if not self.cuda:
            return self.median(self.host_time(call) for _ in range(repeats)), None
        cold = self.median(self.event_time(call, 0) for _ in range(repeats))
        self.burst(int(60 / self.product_ms))
        # Long enough to hide what the host needs for the call.
        fill = int(min(4 * cold + 5, 100) / self.product_ms)
        full = self.median(self.event_time(call, fill) for _ in range(repeats))
        return cold, full

    def event_time(self, call, fill):
        start, end = self.events()
        self.burst(fill)
        start.record()
        call()
        end.record()
        self.torch.cuda.synchronize()
        return start.elapsed_time(end)

    @staticmethod
    def host_time(call):
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e3

    @staticmethod
    def median(times):
        times = sorted(times)
        return times[len(times) // 2]

    def wait(self):
        if self.cuda:
            self.torch.cuda.synchronize()


def measure(torch, case, device, clock):
    """The figures of one case."""
    call = PEERS[case.peer][3]
    problem = Problem(torch, case, device)
    clock.wait()
    if clock.cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    cost, gradient = problem.run(call)
    clock.wait()
    peak = (torch.cuda.max_memory_allocated() - before) / 1e6 if clock.cuda else None
    cost = cost.item() / case.n
    if not cost == cost or abs(cost) == float("inf"):
        raise Unfit(f"wrong result: cost {cost}")
    if gradient is not None:
        side = problem.batch_side
        first, last = gradient.select(side, 0), gradient.select(side, case.n - 1)
        apart = (first - last).abs().max().item()
        if not apart <= SAME_GRADIENT:
            raise Unfit(f"wrong result: gradients of equal utterances differ by {apart:.3g}")
        if first.abs().max().item() == 0:
            raise Unfit("wrong result: the gradient is zero everywhere")
    del gradient
    cold, full = clock.medians(lambda: problem.run(call))
    best = cold if full is None else min(cold, full)
    return {"ms": best, "ms_cold_queue": cold, "ms_full_queue": full, "peak_mb": peak, "cost": cost}


def child(args):
    """Reads cases from stdin, one a line, and answers each with a line of JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What packages print must not get between the answers.
    os.dup2(2, 1)
    try:
        torch = importlib.import_module("torch")
        clock = Clock(torch, args.device, args.repeats)
    except (ImportError, RuntimeError, AssertionError) as error:
        print(json.dumps({"error": first_line(error)}), file=answers)
        return 1
    if args.nemo:
        prepare_nemo(args.nemo)
    if args.warp_rnnt:
        prepare_warp(args.warp_rnnt)
    print(json.dumps(facts(torch, args.device)), file=answers)
    for line in sys.stdin:
        case = Case(**json.loads(line))
        broken = False
        try:
            figures = measure(torch, case, args.device, clock)
        except ImportError as error:
            figures = {"error": f"not installed: {first_line(error)}"}
        except torch.OutOfMemoryError as error:
            figures = {"error": f"out of memory: {first_line(error)}"}
        except Exception as error:  # whatever a peer throws is its row's reason
            figures = {"error": f"{type(error).__name__}: {first_line(error)}" if not isinstance(error, Unfit) else str(error)}
        if args.device == "cuda":
            try:
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
            except Exception as error:
                figures, broken = {"error": figures.get("error") or first_line(error)}, True
        print(json.dumps({**figures, "broken": broken}), file=answers)
        if broken:
            # The CUDA context is gone, and every later call would fail with the same message.
            os._exit(1)


def facts(torch, device):
    versions = {}
    for package in ("torch", "torchaudio", "warp_rnnt", "nemo_toolkit", "numba"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    if device != "cuda":
        return {"adapter": "CPU", "driver": None, "cuda": None, "packages": versions}
    driver = None
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
        driver = "NVIDIA " + subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return {"adapter": torch.cuda.get_device_name(0), "driver": driver, "cuda": torch.version.cuda, "packages": versions}


# ---------------------------------------------------------------------------------------------------
# The parent: hands cases to the child, replaces it when it breaks, writes the tables.


# Longest that the child may take to start, seconds: it may have a CUDA extension to compile.
START_TIMEOUT = 400


class Worker:
    """The child process and a thread that reads its answers."""

    def __init__(self, args):
        command = [sys.executable, os.path.abspath(__file__), "--child", "--device", args.device, "--repeats", str(args.repeats)]
        if args.nemo:
            command += ["--nemo", args.nemo]
        if args.warp_rnnt:
            command += ["--warp-rnnt", args.warp_rnnt]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.facts = self.answer(START_TIMEOUT)

    def read(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def answer(self, timeout):
        try:
            return self.answers.get(timeout=timeout)
        except queue.Empty:
            self.stop()
            return {"error": f"no answer within {timeout} s", "broken": True}

    def ask(self, case, timeout):
        try:
            print(json.dumps(dataclasses.asdict(case)), file=self.process.stdin, flush=True)
        except OSError:
            pass
        reply = self.answer(timeout)
        if reply is None:
            code = self.process.wait()
            reply = {"error": f"the process died, exit code {code}", "broken": True}
        return reply

    def stop(self):
        self.process.kill()
        self.process.wait()


def cases(quick):
    """Every row, in the order of the table."""
    all_cases = []
    for peer, (op, input_, dtypes, _) in PEERS.items():
        shapes = {(True, True): QUICK_CTC, (True, False): CTC, (False, True): QUICK_TRANSDUCER, (False, False): TRANSDUCER}
        for (t, u, v), batches in shapes[op == "ctc", quick]:
            for dtype in dtypes:
                for n in batches:
                    # Given log-probs, warp_rnnt computes the gradient always.
                    for direction in ("loss", "loss+grad") if input_ == "logits" else ("loss+grad",):
                        all_cases.append(Case(peer, op, input_, dtype, direction, n, t, u, v))
    return all_cases


def wanted(case, filters):
    return not filters or any(all(word in case.name.split() for word in f.split()) for f in filters)


def row(case, figures):
    keys = ("ms", "ms_cold_queue", "ms_full_queue", "peak_mb", "cost", "error")
    shape = {"n": case.n, "t": case.t, "u": case.u, "v": case.v}
    about = {"op": case.op, "input": case.input, "dtype": case.dtype, "shape": shape, "direction": case.direction, "peer": case.peer}
    return {**about, **{key: figures.get(key) for key in keys}}


def table(rows):
    """The rows in Markdown."""
    lines = ["| op | input | T,U,V | N | direction | peer | ms | full queue | peak MB |", "|---|---|---|---|---|---|---|---|---|"]
    number = lambda value, digits: "" if value is None else f"{value:.{digits}f}"
    for r in rows:
        s = r["shape"]
        figures = f"{number(r['ms'], 3)} | {number(r['ms_full_queue'], 3)} | {number(r['peak_mb'], 1)}"
        if r["error"]:
            figures = f"{r['error'].replace('|', '/')} | | "
        lines.append(f"| {r['op']} | {r['input']} {r['dtype']} | {s['t']},{s['u']},{s['v']} | {s['n']} | {r['direction']} | {r['peer']} | {figures} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file as well")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu only shows that the path works")
    parser.add_argument("--quick", action="store_true", help="small shapes and few repetitions")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS", help="cases with all of these words, e.g. 'torchaudio N16'; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--repeats", type=int, default=20, help="timed calls of a case (default 20; fewer where one takes long)")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="longest that one case may take (default 120)")
    parser.add_argument("--nemo", metavar="DIR", help="folder that holds NeMo's package `nemo`")
    parser.add_argument("--warp-rnnt", metavar="DIR", help="folder of warp_rnnt's unpacked source distribution")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    if args.nemo and not os.path.isdir(os.path.join(args.nemo, "nemo")):
        parser.error(f"--nemo: {args.nemo} holds no folder `nemo`")
    if args.warp_rnnt and not os.path.isfile(os.path.join(args.warp_rnnt, "core.cu")):
        parser.error(f"--warp-rnnt: {args.warp_rnnt} holds no file `core.cu`")
    if args.quick:
        args.repeats = min(args.repeats, 3)
    if args.child:
        return child(args)

    chosen = [case for case in cases(args.quick) if wanted(case, args.only)]
    if args.list:
        print("\n".join(case.name for case in chosen))
        return 0
    if not chosen:
        parser.error("no case has these words; --list names them all")

    rows, worker, about = [], None, None
    for case in chosen:
        if worker is None:
            worker = Worker(args)
            if worker.facts is None or "error" in worker.facts:
                reason = "it died" if worker.facts is None else worker.facts["error"]
                print(f"the process that makes the calls did not start: {reason}", file=sys.stderr)
                return 1
            about = about or worker.facts
        figures = worker.ask(case, args.timeout)
        if figures.get("broken"):
            worker.stop()
            worker = None
        rows.append(row(case, figures))
        print(f"{case.name}: {figures.get('error') or format(figures['ms'], '.4f') + ' ms'}", file=sys.stderr)
    if worker:
        worker.stop()

    if args.device == "cpu":
        print("\nOn the CPU: a smoke test, NOT PERFORMANCE.")
    print("\n" + table(rows))
    if args.json:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        figures = {"kind": "peers", **about, "date": now, "performance": args.device == "cuda" and not args.quick, "rows": rows}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2, sort_keys=True)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
