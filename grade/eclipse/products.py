"""Builds what tests need: all that `make test` looks at, or for `make grade` the kernels of the labs that are being graded.

Idea.       Every source is compiled once, by one make; then the kernels of labs 1..N, which share the objects, are linked side
            by side. A kernel that does not build fails its own lab's tests only, with the compiler's first complaint.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from grade.eclipse import build, labs
from grade.eclipse.build import ROOT

COMPLAINT = re.compile(r"^(\S+?:\d+):(?:\d+:)? (?:fatal )?error: (.*)$", re.M)
LINK = re.compile(r"^.*?(?:undefined reference to .*|multiple definition of .*|ld: .*)$", re.M)


def make(goals, where, jobs, lab=None):
    """(status, output) of one make with -k: what fails does not keep the rest from being built."""
    argv = [os.environ.get("MAKE", "make").split()[0], "-k", f"-j{jobs}", "--no-print-directory", f"B={where}"]
    argv += [f"LAB={lab}"] if lab else []
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(argv + goals, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return p.returncode, p.stdout


def complaint(output):
    """(what, [(heading, text)]) for a failure of class no-build."""
    m = COMPLAINT.search(output)
    if m:
        lines = output[m.start():].split("\n")
        text = [lines[0]] + [s for s in lines[1:6] if re.match(r"\s+\d* *\|", s)]
        return f"{m[1]}: {m[2]}", [("the compiler", "\n".join(text))]
    m = LINK.search(output)
    if m:
        what = re.sub(r"^.*?/obj/", "", m[0])
        rows = [re.sub(r"^.*?/obj/", "", x) for x in LINK.findall(output)]
        return f"the kernel does not link: {what}", [("the linker", "\n".join(dict.fromkeys(rows[:8])))]
    return "the kernel does not build", [("make", output[-2000:])]


def kernels(numbers, where, jobs):
    """Links the kernels of labs 1..n for each n; build.BROKEN says which could not be."""
    def one(n):
        return n, *make([f"{where}/lab-{n}/kernel.elf"], where, 1, n)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for n, status, output in pool.map(one, sorted(numbers)):
            if status:
                build.BROKEN[n] = complaint(output)


def for_labs(numbers, where, jobs):
    """What the judges of these labs need."""
    goals = ["objects"]
    if max(numbers) >= 4:
        goals += [f"{where}/test-archive.cpio", "host-tests"]
    if max(numbers) >= 6:
        goals += ["tools"]
    status, output = make(goals, where, jobs, max(numbers))
    kernels(numbers, where, jobs)
    if status and not build.BROKEN:
        print(f"grade: not all of it builds:\n{output[-4000:]}", flush=True)


def everything(where, lab, jobs, numbers):
    """What `make test` looks at."""
    k = f"{where}/lab-{lab}" if lab else where
    goals = [f"{k}/kernel.elf", f"{where}/archive.cpio", f"{where}/test-archive.cpio", f"{k}/test.img", "host-tests", "tools",
             f"{k}/eclipse.img"]
    status, output = make(goals, where, jobs, lab)
    if status:
        print(f"grade: the build of {' '.join(goals)} failed:\n{output[-6000:]}", flush=True)
    kernels([n for n in numbers if not lab or n <= lab], where, jobs)
    for n, (what, _) in build.BROKEN.items():
        print(f"grade: lab {n}: {what}", flush=True)


class Plugin:
    """Hangs the building between pytest's collecting and its running: then it is known which labs are wanted."""

    def __init__(self, args):
        self.args = args

    def pytest_configure(self, config):
        config.eclipse_prepare = self.prepare

    def prepare(self, items):
        numbers = {i.graded.lab for i in items} & set(labs.numbers())
        if not numbers or self.args.what == "test":
            return
        if self.args.no_build:
            for n in numbers:
                if not os.path.exists(build.kernel(n)):
                    build.BROKEN[n] = (f"there is no kernel of lab {n}", [])
            return
        if sys.stdout.isatty():
            print("building...", end="\r", flush=True)
        for_labs(numbers, self.args.build, self.args.jobs)
