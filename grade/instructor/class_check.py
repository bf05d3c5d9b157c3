"""make class-check: a class of 40 made-up submissions, graded as any other; each must get its verdict.

    python3 -m grade.instructor.class_check --build DIR [--lab N] [--jobs N] [--out DIR]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from grade.instructor import classrun, course as courses, samples
from grade.instructor.course import CourseError
from grade.instructor.intake import shown

CLASS = 40


def tape(build, lab, test=""):
    """What an honest kernel says under a seed of its own: [(words, records, console)]."""
    with tempfile.TemporaryDirectory(prefix="eclipse-tape-") as tmp:
        path = os.path.join(tmp, "tape")
        argv = [sys.executable, "-B", "-m", "grade.instructor.record", path, "grade", "--build", build,
                "--lab", str(lab), "--seed", "20200202"] + (["--test", test] if test else [])
        subprocess.run(argv, cwd=courses.ROOT, stdout=subprocess.DEVNULL)
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f]


def choose(maker):
    """Correct, cheating and broken ones; as many mutated ones as make 40."""
    out = samples.CORRECT[:4] + samples.CHEATS[:15] + samples.BROKEN[:10:2] + samples.BROKEN[10:16]
    mutants = samples.mutated(maker)
    room = CLASS - len(out)
    step = max(1, len(mutants) // max(room, 1))
    out += mutants[::step][:room]
    rest = [s for s in samples.CORRECT + samples.BROKEN + samples.CHEATS if s not in out]
    return out + rest[:CLASS - len(out)]


def compare(chosen, results, baseline):
    """Prints a line per submission; returns how many got another verdict than declared."""
    by_name, wrong = {r["name"]: r for r in results}, 0
    for s in chosen:
        r = by_name.get(shown(s.sent()))
        trouble = "no result" if r is None else s.expect(r, baseline)
        wrong += bool(trouble)
        said = f"{r['score']:>3}/{r['total']} {r['seconds']['total']:>6.1f} s  {r['verdict'][:70]}" if r else ""
        print(f"{'WRONG' if trouble else 'ok   '} {shown(s.name):<36.36} {said}"
              + (f"\n      {trouble}" if trouble else ""))
    return wrong


def main():
    ap = argparse.ArgumentParser(prog="make class-check")
    ap.add_argument("--build", required=True)
    ap.add_argument("--lab", type=int, default=1)
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--out", default="")
    args = ap.parse_args()
    top = args.out or tempfile.mkdtemp(prefix="eclipse-class-")
    try:
        tree = courses.handed_out(args.lab)
        maker = samples.Maker(tree, courses.exercises(args.lab), args.lab)
        maker.tape = tape(args.build, args.lab)
        chosen = choose(maker)
        sent = os.path.join(top, "submissions")
        shutil.rmtree(sent, ignore_errors=True)
        samples.write(chosen, maker, sent)
        for canary in (samples.CANARY,):
            if os.path.exists(canary):
                os.unlink(canary)
        words = [sent, os.path.join(top, "out"), "--build", args.build, "--lab", str(args.lab), "--jobs",
                 str(args.jobs),
                 "--build-seconds", "30"]
        start = time.monotonic()
        classrun.run(classrun.arguments(words))
        course = courses.Course(os.path.join(top, "out"))
        results = [classrun.result_of(course, u) for u in course.units]
        took = time.monotonic() - start
        print(f"\n{len(results)} submissions in {took:.0f} s, {args.jobs} at a time: {took / len(results):.1f} s each")
        wrong = compare(chosen, results, course.tests())
    except CourseError as e:
        sys.exit(f"class-check: {e}")
    if os.path.exists(samples.CANARY):
        print(f"WRONG something ran on this machine: {samples.CANARY} is there")
        wrong += 1
    print(f"{len(chosen) - wrong} of {len(chosen)} as declared; reports in {top}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
