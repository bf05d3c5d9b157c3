"""Does the reference pass every time? Grades again and again, each time with other seeds, and says what ever failed.

make flake RUNS=200 [LAB=N] [TEST=glob] [JOBS=n]: a line for each run that was not perfect, with what repeats it; at the end
how many runs, tests and failures there were. Exit status 0 when nothing failed.
"""

import argparse
import json
import os
import sys
import tempfile
import time

from grade import mutants


def once(args, out):
    argv = [sys.executable, "-m", "grade.run", "grade", "--build", args.build, "--jobs", str(args.jobs), "--json", out]
    argv += ["--lab", str(args.lab)] if args.lab else []
    argv += ["--test", args.test] if args.test else []
    return argv


def main():
    ap = argparse.ArgumentParser(prog="make flake")
    ap.add_argument("--build", default="build")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--test", default="")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--runs", type=int, default=200)
    args = ap.parse_args()
    began, tests, bad = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as top:
        out = os.path.join(top, "out.json")
        for n in range(args.runs):
            argv = once(args, out) + (["--no-build"] if n else [])
            _, text = mutants.run(argv, mutants.ROOT, limit=7200)
            try:
                with open(out) as f:
                    results = json.load(f)["tests"]
                os.unlink(out)
            except (OSError, ValueError):
                sys.exit(f"flake: run {n + 1} gave no results\n{text[-3000:]}")
            tests += len(results)
            for t in (t for t in results if not t["passed"]):
                bad += 1
                first = t["message"].split("\n")[0]
                print(f"run {n + 1}: {t['name']} SEED={t['seed']} ({t['seconds']} s): {first}", flush=True)
            if sys.stdout.isatty():
                print(f"{n + 1} of {args.runs} runs, {bad} failures", end="\r", flush=True)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{args.runs} runs, {tests} tests, {bad} failures, {time.monotonic() - began:.0f} s{load}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
