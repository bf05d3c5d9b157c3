"""The unit of work: one submission, from what was sent to OUT/units/ID/result.json.

    python3 -m grade.instructor.unit OUT ID          one submission by its id (see OUT/run.json)
    python3 -m grade.instructor.unit OUT --index N   the Nth of OUT/pending.json: what a Slurm array calls

Idempotent: a result made from the same bytes with the same settings is kept; another one is made anew and put
in its place as a whole. A unit writes only below OUT/units/ID. Whatever was sent, it ends with a result.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
import traceback

from grade.instructor import box, course as courses, judge
from grade.instructor.course import Course, CourseError, build_script, digest, read_tar, write_json
from grade.instructor.intake import shown, take, tar

LOG = 12_000                                 # characters of a compiler's output in a report


def clean(text, most=LOG):
    """What a compiler or a machine said, for a report: no control characters, no repeated lines, not too
    long."""
    lines, seen = [], set()
    text = text.replace(courses.ROOT + "/", "")
    for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split("\n"):
        line = shown(line.replace("\t", "    "), 400)
        if line.strip() and line not in seen:
            lines.append(line)
            seen.add(line)
    out = "\n".join(lines)
    return out if len(out) <= most else out[:most] + "\n... (there was more)"


def first_error(log):
    """The line that says most: the compiler's or linker's first error."""
    for line in log.split("\n"):
        if re.search(r"error: |multiple definition|undefined reference|Error: |fatal error", line):
            return line.strip()
    return log.split("\n")[-1].strip() if log else ""


class Build:
    def __init__(self, kernels, failed, log, limit, seconds):
        self.kernels, self.failed, self.log, self.limit, self.seconds = kernels, failed, log, limit, seconds

    def says(self):
        """Why not all labs were built, in one line; "" when they were."""
        if not self.failed:
            return ""
        labs = f"lab {self.failed[0]}" + (f" to {self.failed[-1]}" if len(self.failed) > 1 else "")
        if self.limit:
            return f"{labs} not built: the build took more {self.limit} than is allowed"
        if re.search(r"CPU time limit|File size limit|Killed signal", self.log):
            what = "an object larger" if "File size" in self.log else "more time"
            return f"{labs} not built: the compiler needed {what} than is allowed"
        if re.search(r"virtual memory exhausted|out of memory|cannot allocate", self.log):
            return f"{labs} not built: the compiler needed more memory than is allowed"
        return f"{labs} not built: {first_error(self.log)}"


def build(course, changed, uid):
    """Builds the kernels of labs 1..N from the tree as handed out with the files {path: bytes} laid over
    it."""
    data = course.base()
    data += tar({"src/" + p: d for p, d in changed.items()}, mtime=1_000_000_000)
    data += tar({"changed": "".join(p + "\n" for p in changed).encode()})
    done = box.run(build_script(course.labs), data, box.Limits(**course.settings["limits"]), uid)
    found = read_tar(done.out)
    kernels = {n: found[f"lab-{n}/kernel.elf"] for n in course.labs if f"lab-{n}/kernel.elf" in found}
    whole = [n for i, n in enumerate(course.labs) if all(m in kernels for m in course.labs[:i + 1])]
    return Build({n: kernels[n] for n in whole}, [n for n in course.labs if n not in whole],
                 clean(done.said), done.limit,
                 done.seconds)


def not_run(test, kind, message):
    """The record of a test that could not be run."""
    out = {k: test.get(k) for k in ("name", "lab", "of", "section")}
    return out | {"points": 0, "passed": False, "class": kind, "seconds": 0, "message": f"{kind}: {message}"}


STUMBLED = "grader: the judge itself failed"


def settled(test):
    """A judge that passed the solved tree with this seed (trial.py) and fell over this kernel was told nonsense."""
    if test.get("class") != "grader" or not test["message"].startswith(STUMBLED):
        return test
    said = test["message"].removeprefix(STUMBLED)
    return test | {"class": "wrong", "message": f"wrong: what the kernel said is no answer to what was asked{said}"}


def verdicts(course, built, uid):
    """(tests, trouble, judge's text): labs that were built are judged, the tests of the others are
    no-build."""
    expected = course.tests()["tests"]
    judged, trouble, text = {}, None, ""
    lab = max(built.kernels, default=0)
    if any((t.get("lab") or 0) <= lab for t in expected) and built.kernels:
        for _ in range(2):                   # again only for the grader's own trouble, never for a failing guest
            got = judge.judge(course, built.kernels, lab, uid)
            judged, trouble, text = {t["name"]: t for t in got.tests}, got.trouble, got.text
            if judged:
                break
    tests = []
    for t in expected:
        if t["name"] in judged:
            tests.append(settled(judged.pop(t["name"])))
        elif (t.get("lab") or 0) > lab or not built.kernels:
            tests.append(not_run(t, "no-build", built.says()))
        else:
            tests.append(not_run(t, "grader", trouble or "was not run"))
    return tests, trouble, text


def count(tests):
    skipped = sum(t.get("class") == "skipped" for t in tests)
    passed = sum(bool(t["passed"]) for t in tests)
    return {"passed": passed, "failed": len(tests) - passed - skipped, "skipped": skipped}


def summary(intake, built, tests, trouble):
    """One line for the gradebook."""
    if not intake.files:
        return intake.notes[0] if intake.notes else "nothing was sent"
    if built.failed:
        return built.says()
    if trouble:
        return f"the grader's own trouble: {trouble}"
    kinds = {}
    for t in tests:
        if not t["passed"]:
            kind = t.get("class") or "failed"
            kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{n} {k}" for k, n in sorted(kinds.items(), key=lambda i: -i[1])) or "all tests passed"


def grade(course, unit):
    """The result of one submission."""
    start = time.monotonic()
    path = os.path.join(os.fsencode(course.settings["submissions"]), bytes.fromhex(unit["sent"]))
    intake = take(os.fsdecode(path), course.allowed, course.lab, course.known())
    skeleton = course.skeleton()
    changed = {p: d for p, d in intake.files.items() if d != skeleton.get(p)}
    if intake.files and not changed:
        intake.note("nothing was written: every file is as it was handed out")
    uid = int(digest(unit["id"].encode()), 16)
    taken = time.monotonic()
    if changed:
        built = build(course, changed, uid)
        built_at = time.monotonic()
        tests, trouble, text = verdicts(course, built, uid)
    else:
        # As handed out: what the skeleton gets is known; nothing sent at all gets nothing.
        built, built_at, trouble, text = Build({}, [], "", None, 0), taken, None, ""
        tests = course.tests()["tests"]
        if not intake.files:
            tests = [not_run(t, "no-build", intake.notes[0]) for t in tests]
    end = time.monotonic()
    return {
        "id": unit["id"], "name": unit["name"], "kind": intake.kind, "lab": course.lab, "seed": course.seed,
        "score": sum(t["points"] for t in tests), "total": sum(t["of"] for t in tests),
        **count(tests),
        "verdict": summary(intake, built, tests, trouble), "notes": intake.notes, "tests": tests,
        "taken": sorted(intake.files), "changed": sorted(changed), "edited": intake.edited, "not_built": built.failed,
        "build_log": built.log if built.failed else "", "grader": clean(text) if trouble else "",
        "late": bool(trouble and trouble.startswith("judging took")),
        "seconds": {"intake": round(taken - start, 2), "build": round(built_at - taken, 2),
                    "judge": round(end - built_at, 2), "total": round(end - start, 2)},
    }, changed


def broken(unit, course, why):
    """The result when our own code failed: it says so, and a later run tries again."""
    tests = [not_run(t, "grader", why) for t in course.tests()["tests"]]
    return {"id": unit["id"], "name": unit["name"], "kind": "", "lab": course.lab, "seed": course.seed,
            "score": 0,
            "total": sum(t["of"] for t in tests), **count(tests), "notes": [], "tests": tests,
            "verdict": f"the grader's own trouble: {why.strip().splitlines()[-1]}", "taken": [],
            "changed": [], "edited": [], "not_built": [],
            "build_log": "", "grader": why, "late": False, "key": "",
            "seconds": {"intake": 0, "build": 0, "judge": 0, "total": 0}}


def fingerprint(path):
    """Of what was sent, by names, sizes and times: tells whether it was sent again, without reading it."""
    h, work = [], [path]
    while work and len(h) < 50_000:
        p = work.pop()
        try:
            st = os.lstat(p)
            h.append([os.fsencode(p).hex(), st.st_mode, st.st_size, st.st_mtime_ns])
            if os.path.isdir(p) and not os.path.islink(p):
                work += [os.path.join(p, n) for n in sorted(os.listdir(p))]
        except OSError as e:
            h.append([os.fsencode(p).hex(), e.errno])
    return digest(h)


def unit_key(course, unit):
    path = os.path.join(os.fsencode(course.settings["submissions"]), bytes.fromhex(unit["sent"]))
    return digest([course.key, fingerprint(path)])


def result_path(course, unit):
    return course.path("units", unit["id"], "result.json")


def finished(course, unit):
    """The result that is there already, when it is still the right one."""
    try:
        with open(result_path(course, unit)) as f:
            result = json.load(f)
    except (OSError, ValueError):
        return None
    return result if result.get("key") == unit_key(course, unit) else None


def keep(course, unit, changed):
    """What the student wrote, for the search for similar work."""
    folder = course.path("units", unit["id"], "taken")
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(folder):
        os.unlink(os.path.join(folder, old))
    for p, data in changed.items():
        with open(os.path.join(folder, p.replace("/", "+")), "wb") as f:
            f.write(data)


def do(course, unit):
    """Does the unit unless it is done; returns its result."""
    done = finished(course, unit)
    if done:
        return done
    key = unit_key(course, unit)
    os.makedirs(os.path.dirname(result_path(course, unit)), exist_ok=True)
    try:
        if courses.judge_digest(course.settings["hidden"]) != course.settings["judges"]:
            raise CourseError("the judges are others than when this run began: start it again")
        result, changed = grade(course, unit)
        keep(course, unit, changed)
        result["key"] = "" if result["grader"] and not result["late"] else key
    except Exception:
        result = broken(unit, course, traceback.format_exc(limit=-4))
    write_json(result_path(course, unit), result)
    return result


def main():
    ap = argparse.ArgumentParser(prog="grade.instructor.unit")
    ap.add_argument("out")
    ap.add_argument("id", nargs="?")
    ap.add_argument("--index", type=int)
    args = ap.parse_args()
    try:
        course = Course(args.out)
    except CourseError as e:
        sys.exit(f"unit: {e}")
    wanted = args.id
    if args.index is not None:
        with open(course.path("pending.json")) as f:
            wanted = json.load(f)[args.index]
    unit = next((u for u in course.units if u["id"] == wanted), None)
    if unit is None:
        sys.exit(f"unit: {wanted} is not in {course.path('run.json')}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("unit: told to end"))
    result = do(course, unit)
    print(f"{result['score']}/{result['total']}  {result['name']}: {result['verdict']}", flush=True)


if __name__ == "__main__":
    main()
