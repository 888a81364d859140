"""What the scripts share whose cases run one after the other in one process: arguments, rows, the file."""

import argparse
import datetime
import importlib
import json
import sys
import time

import transducer_torch as peers


def write(path, facts, rows, timed):
    """The file: whole after every row, so that a run that is cut off leaves what it had."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    figures = {"kind": "peers", **facts, "date": now, "performance": timed, "rows": rows}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=2, sort_keys=True)
        file.write("\n")


def main(about, cases, measure, row, table, patience):
    """Runs the cases that the arguments choose. `patience`: seconds that the timed calls of a case may take in each of its runs."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file as well")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu only shows that the path works")
    parser.add_argument("--quick", action="store_true", help="small shapes and few repetitions")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS", help="cases with all of these words, e.g. 'lstm f16 N16'; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--repeats", type=int, default=20, help="timed calls of a case (default 20; fewer where one takes long)")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="begin no case after so long; the file then has those that were reached")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    chosen = [case for case in cases(args.quick) if peers.wanted(case, args.only)]
    if args.list:
        print("\n".join(case.name for case in chosen))
        return
    if not chosen:
        parser.error("no case has these words; --list names them all")

    start = time.monotonic()
    peers.PATIENCE = patience
    torch = importlib.import_module("torch")
    facts = peers.facts(torch, args.device)
    facts["packages"] = {**facts["packages"], "cudnn": str(torch.backends.cudnn.version() or "")}
    clock = peers.Clock(torch, args.device, min(args.repeats, 3) if args.quick else args.repeats)
    rows = []
    for case in chosen:
        if args.within is not None and time.monotonic() - start > args.within:
            print(f"out of time: {case.name} and what comes after it was not reached", file=sys.stderr)
            break
        try:
            figures = measure(torch, case, args.device, clock)
        except Exception as error:  # whatever it throws is its row's reason
            figures = {"error": f"{type(error).__name__}: {peers.first_line(error)}"}
        if clock.cuda:
            torch.cuda.empty_cache()
        rows.append(row(case, figures))
        print(f"{case.name}: {figures.get('error') or format(figures['ms'], '.4f') + ' ms'}", file=sys.stderr)
        if args.json:
            write(args.json, facts, rows, args.device == "cuda" and not args.quick)

    if args.device == "cpu":
        print("\nOn the CPU: a smoke test, NOT PERFORMANCE.")
    print("\n" + table(rows))
