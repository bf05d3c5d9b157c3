"""make grade-class: grades a class.

    python3 -m grade.instructor.classrun SUBMISSIONS OUT --lab N --build DIR [--jobs N] [--seed N] [--hidden DIR] ...

Idea.       prepare() makes what all share; every submission is a unit of work in a process of its own
            (unit.py), run by a pool here or by a Slurm array; what the units left is then put together in a
            gradebook, reports and an overview.
Invariants. I1 a unit that crashes, hangs or writes nonsense costs that unit, nothing else.
            I2 run again with the same OUT, it does what is missing, and writes the reports anew.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from grade.instructor import box, course as courses, report, similar, slurm, trial, unit as units
from grade.instructor.course import ROOT, Course, CourseError, write_json
from grade.instructor.intake import hash_of


def settings_of(args):
    """What run.json holds. A run that is resumed keeps its seed."""
    old = {}
    try:
        with open(os.path.join(args.out, "run.json")) as f:
            old = json.load(f)
    except (OSError, ValueError):
        pass
    numbers = courses.lab_numbers()
    lab = args.lab or max(numbers)
    if lab not in numbers:
        raise CourseError(f"LAB={lab}: there is no such lab here ({', '.join(map(str, numbers))})")
    seed = args.seed or old.get("seed") or random.SystemRandom().randrange(1, 1 << 31)
    limits = {k: v for k, v in (("seconds", args.build_seconds),) if v}
    out = {"submissions": os.path.abspath(args.submissions), "lab": lab, "seed": int(seed), "test": args.test,
           "hidden": os.path.abspath(args.hidden) if args.hidden else "",
           "release": os.path.abspath(args.release) if args.release else "",
           "build": os.path.abspath(args.build), "seconds": args.seconds, "limits": limits,
           "units": courses.find_units(args.submissions)}
    if args.hidden and not os.path.isdir(args.hidden):
        raise CourseError(f"HIDDEN={args.hidden}: no such folder")
    return out, old


def prepare(args):
    """OUT/run.json and OUT/base, unless they are there already and still fit. Returns the Course."""
    trouble = box.check()
    if trouble:
        raise CourseError(f"no sandbox, so no student's work is built here: {trouble}")
    os.makedirs(args.out, exist_ok=True)
    settings, old = settings_of(args)
    tree = courses.handed_out(settings["lab"], settings["release"])
    src = courses.built_from(tree, settings["lab"])
    settings["allowed"] = courses.exercises_in(tree, settings["lab"])
    kept = {k: settings[k] for k in ("lab", "seed", "test", "hidden", "limits", "seconds", "allowed")}
    settings["judges"] = courses.judge_digest(settings["hidden"])
    settings["key"] = courses.digest(kept, {p: courses.digest(d) for p, d in src.items()}, settings["judges"])
    base = os.path.join(args.out, "base")
    fits = old.get("key") == settings["key"] and os.path.exists(os.path.join(base, "baseline.json"))
    if not fits:
        shutil.rmtree(base, ignore_errors=True)
        os.makedirs(base)
    courses.link_products(os.path.join(base, "build"), settings["build"])
    write_json(os.path.join(args.out, "run.json"), settings)
    course = Course(args.out)
    if not fits:
        make_base(course, src, {p: hash_of(d) for p, d in tree.items()}, args.jobs)
    for t in course.tests()["left_out"]:
        say(f"LEFT OUT, for the solved tree does not pass it here: {t['name']}: {t['why'].strip().splitlines()[0]}")
    return course


def make_base(course, src, handed, jobs):
    """OUT/base: what all share. The judges are tried with the tree as handed out, and with the solved one."""
    base = course.path("base")
    say(f"making the tree as handed out, labs 1 to {course.lab} ...")
    write_json(os.path.join(base, "handed.json"), handed)
    built = courses.make_base(base, src, course.labs)
    say("judging it as handed out ...")
    found = baseline(course, built, jobs)
    say("judging it solved ...")
    out = trial.left_out(course, len(found["tests"]), jobs)
    gone = {t["name"] for t in out}
    found = totals([t for t in found["tests"] if t["name"] not in gone]) | {"left_out": out}
    say(f"as handed out: {found['score']} of {found['total']} points in {len(found['tests'])} tests")
    write_json(os.path.join(base, "baseline.json"), found)


def totals(tests):
    return {"score": sum(t["points"] for t in tests), "total": sum(t["of"] for t in tests), "tests": tests}


def baseline(course, built, jobs):
    """What the tree as handed out gets: the list of all tests."""
    kernels = {n: built[f"lab-{n}/kernel.elf"] for n in course.labs}
    got = units.judge.judge(course, kernels, course.lab, jobs=jobs)
    if not got.tests or got.trouble:
        raise CourseError(f"the judges do not work here: {got.trouble}\n{got.text[-3000:]}")
    return totals(got.tests)


def say(text):
    print(text, flush=True)


# ---------------------------------------------------------------- progress

class Progress:
    """On a terminal one line that is rewritten; into a file a line per submission."""

    def __init__(self, total, done):
        self.total, self.done, self.start, self.fresh = total, done, time.monotonic(), 0
        self.live = sys.stdout.isatty()

    def bar(self):
        filled = 24 * self.done // max(self.total, 1)
        left = ""
        if self.fresh and self.done < self.total:
            each = (time.monotonic() - self.start) / self.fresh
            left = f"  about {each * (self.total - self.done) / 60:.0f} min left"
        return f"[{'#' * filled}{'.' * (24 - filled)}] {self.done}/{self.total}{left}"

    def tick(self, result):
        self.done += 1
        self.fresh += 1
        line = f"{result['score']:>4}/{result['total']:<4} {result['name'][:30]:<30}" \
               f" {result['seconds']['total']:>6.1f} s" \
               f"  {result['verdict']}"
        width = shutil.get_terminal_size().columns
        if self.live:
            print(f"\r\x1b[K{line[:width - 1]}\n{self.bar()[:width - 1]}", end="", flush=True)
        else:
            print(f"{self.bar()}  {line[:200]}", flush=True)

    def end(self):
        if self.live:
            print(flush=True)


# ---------------------------------------------------------------- the pool

class Pool:
    """Units as processes of their own, so many at a time; ended with us, each as a whole group."""

    def __init__(self, course, jobs):
        self.course, self.jobs, self.running = course, jobs, set()

    def one(self, unit):
        argv = [sys.executable, "-B", "-m", "grade.instructor.unit", self.course.out, unit["id"]]
        p = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT,
                             start_new_session=True, env=environment(), preexec_fn=end_with_us)
        self.running.add(p)
        most = 2 * self.course.settings["seconds"] + 900
        try:
            text = p.communicate(timeout=most)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            text = f"the unit of work did not end in {most} s"
        finally:
            self.kill(p)
        return result_of(self.course, unit, text)

    def kill(self, p):
        """A unit that is told to end takes its judge and its boxes with it; one that does not listen is
        killed."""
        if p.poll() is None:
            p.terminate()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
        self.running.discard(p)

    def run(self, pending, tick):
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(self.one, u) for u in pending]
            try:
                for f in as_completed(futures):
                    tick(f.result())
            except BaseException:
                for f in futures:
                    f.cancel()
                for p in list(self.running):
                    p.terminate()
                raise


def end_with_us():
    """For preexec_fn: the unit is told to end when the class run is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def environment():
    return dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1")


def result_of(course, unit, text=""):
    """The result that the unit left; one that says so when it left none."""
    try:
        with open(units.result_path(course, unit)) as f:
            return json.load(f)
    except (OSError, ValueError):
        result = units.broken(unit, course, text.strip() or "the unit of work left no result")
        os.makedirs(os.path.dirname(units.result_path(course, unit)), exist_ok=True)
        write_json(units.result_path(course, unit), result)
        return result


# ---------------------------------------------------------------- all of it

def run(args):
    start = time.monotonic()
    course = prepare(args)
    pending = [u for u in course.units if not units.finished(course, u)]
    say(f"{len(course.units)} submissions, labs 1 to {course.lab}, seed {course.seed}"
        + (f"; {len(course.units) - len(pending)} are done already" if len(pending) < len(course.units)
           else ""))
    for u in pending:                        # an old result must not be taken for one of this run
        if os.path.exists(units.result_path(course, u)):
            os.unlink(units.result_path(course, u))
    write_json(course.path("pending.json"), [u["id"] for u in pending])
    progress = Progress(len(course.units), len(course.units) - len(pending))
    try:
        if pending and args.slurm:
            slurm.run(course, pending, args.jobs, progress.tick, lambda u, text: result_of(course, u, text))
        elif pending:
            Pool(course, args.jobs).run(pending, progress.tick)
    finally:
        progress.end()
    results = [result_of(course, u) for u in course.units]
    pairs = similar.pairs(course, results)
    report.write(course, results, pairs, time.monotonic() - start)
    scores = [r["score"] for r in results]
    trouble = [r["name"] for r in results if r["grader"]]
    say(f"{len(results)} graded in {time.monotonic() - start:.0f} s, points {min(scores)} to {max(scores)} of "
        f"{course.tests()['total']}; {len(pairs)} similar pairs")
    say_older(results)
    if trouble:
        say(f"the grader's own trouble with {', '.join(trouble)}: see their reports, then run this again")
    say(f"see {os.path.join(args.out, 'index.html')} and gradebook.csv beside it")
    return 2 if trouble else 0


def say_older(results):
    """Given files that most students have otherwise than we hand them out were not changed by the students."""
    worked = [r for r in results if r["changed"]]
    count = {p: sum(p in r["edited"] for r in worked) for r in worked for p in r["edited"]}
    common = sorted(p for p, n in count.items() if n > 2 and n > len(worked) / 2)
    if common:
        say(f"{len(common)} files without exercises ({', '.join(common[:3])}, ...) are not as handed out with most "
            "submissions: was it an older release that they got? RELEASE=dir names it")


def arguments(argv=None):
    ap = argparse.ArgumentParser(prog="make grade-class")
    ap.add_argument("submissions")
    ap.add_argument("out")
    ap.add_argument("--build", required=True, help="the build folder with the products that judges need")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--test", default="", help="only tests that match this glob")
    ap.add_argument("--hidden", default="")
    ap.add_argument("--release", default="", help="the repository that was handed out, when it is not this tree's")
    ap.add_argument("--slurm", action="store_true")
    ap.add_argument("--seconds", type=int, default=1800, help="for the judging of one submission")
    ap.add_argument("--build-seconds", type=int, default=0)
    return ap.parse_args(argv)


def main():
    args = arguments()
    if not args.submissions or not args.out:
        sys.exit("make grade-class SUBMISSIONS=dir OUT=dir [LAB=N] [JOBS=] [SEED=] [HIDDEN=dir] [SLURM=1]")
    try:
        sys.exit(run(args))
    except CourseError as e:
        sys.exit(f"grade-class: {e}")
    except KeyboardInterrupt:
        sys.exit("grade-class: stopped; the same command goes on where this one was")


if __name__ == "__main__":
    main()
