"""Has kernels judged: a fresh process of this tree's own grader, with QEMU in a box.

Idea.       The judge is `grade.run grade --no-build` on a build folder in which only the kernels are the
            student's. It runs nothing that came from a student but the machine, reads nothing but what the
            machine says and keeps in its memory.
Interface.  judge(course, kernels, lab, uid) -> Verdicts.
Invariants. I1 the process sees no path of a submission and no other student's results; its folder is its own
               and goes.
            I2 a judge that does not end is interrupted, says what it has, and is killed with all it started.
"""

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

from grade.instructor.course import ROOT

QEMU_BOX = os.path.join(ROOT, "grade", "instructor", "qemu_box.py")
DIES_WITH = 1                                # prctl(2): PR_SET_PDEATHSIG


class Verdicts:
    """tests: the grader's records; trouble: why there are none, or not all of them."""

    def __init__(self, tests, trouble, text):
        self.tests, self.trouble, self.text = tests, trouble, text


def environment(course, tmp, uid):
    keep = {k: os.environ[k] for k in ("PATH", "LANG", "ECLIPSE_BOX", "MAKE") if k in os.environ}
    qemu = shutil.which(os.environ.get("ECLIPSE_QEMU") or "qemu-system-x86_64") or "qemu-system-x86_64"
    box = os.path.join(tmp, "qemu")
    with open(box, "w") as f:                # straight to the python we are, whatever is first on the PATH
        f.write(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -B {shlex.quote(QEMU_BOX)} \"$@\"\n")
    os.chmod(box, 0o755)
    return keep | {"HOME": tmp, "TMPDIR": tmp, "QEMU": box, "ECLIPSE_QEMU": qemu, "ECLIPSE_UID": str(uid),
                   "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"}


def lay_out(course, kernels, tmp):
    """The build folder that is judged: the tree's own products by link, the student's kernels as files."""
    build = os.path.join(tmp, "build")
    shutil.copytree(course.products(), build, symlinks=True)
    for n, data in kernels.items():
        folder = os.path.join(build, f"lab-{n}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "kernel.elf"), "wb") as f:
            f.write(data)
        os.chmod(f.name, 0o644)
    return build


def words(course, build, lab, out, jobs, test):
    settings = course.settings
    argv = [sys.executable, "-B", "-m", "grade.run", "grade", "--no-build", "--build", build, "--lab", str(lab),
            "--jobs", str(jobs), "--json", out, "--seed", str(course.seed)]
    argv += ["--test", test or settings["test"]] if test or settings["test"] else []
    argv += ["--hidden", settings["hidden"]] if settings["hidden"] else []
    return argv


def judge(course, kernels, lab, uid=0, jobs=1, test=""):
    """Judges labs 1..lab of the kernels {n: bytes}. test: a glob, or several with commas, instead of the run's."""
    tmp = tempfile.mkdtemp(prefix="eclipse-judge-")
    out, log = os.path.join(tmp, "verdicts.json"), os.path.join(tmp, "log")
    seconds = course.settings["seconds"]
    try:
        argv = words(course, lay_out(course, kernels, tmp), lab, out, jobs, test)
        with open(log, "w+b") as said:
            late = run(argv, environment(course, tmp, uid), said, seconds)
            said.seek(0)
            text = said.read(1 << 20).decode("utf-8", "replace")
        try:
            with open(out) as f:
                tests = json.load(f)["tests"]
        except (OSError, ValueError, KeyError):
            tests = []
        trouble = f"judging took more than {seconds} s" if late else None if tests else "the grader gave no verdicts"
        return Verdicts(tests, trouble, text)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def run(argv, env, said, seconds):
    """Runs the judge as a group of its own; True when it had to be stopped."""
    p = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                         start_new_session=True,
                         preexec_fn=lambda: ctypes.CDLL(None).prctl(DIES_WITH, signal.SIGKILL))
    late = False
    try:
        p.wait(seconds)
    except subprocess.TimeoutExpired:
        late = True
        p.send_signal(signal.SIGINT)         # pytest writes the verdicts that it has
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            pass
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()
    return late
