"""Journals that are broken on purpose: each must be found out, or the exploration is worth nothing.

Idea.       mutants/NAME.patch says in its first line what is broken and in the second which workloads show
            it. The tree is copied once to $(B)/crash/mutant; each patch is applied there, built, explored
            and taken back. A mutant of recovery only needs the checker, since that has the kernel's
            recovery in it, and recordings of the sound kernel.
Interface.  try_all(), try_one(); a mutant that no image gives away is a failure.
"""

import os
import shutil
import subprocess
import time

from grade.crash import record, run
from grade.eclipse import build

HERE = os.path.join(build.ROOT, "grade", "crash", "mutants")
PARTS = ["GNUmakefile", "Makefile", "fs", "grade", "kern", "lab.mk", "labs", "lib", "user"]
IMAGES = 2500
TRIES = 20                     # of workloads on disks that fail: one in four shows it, by where they fail


class MutantError(AssertionError):
    """A mutant does not build, or was not caught."""


def names():
    return sorted(f[:-6] for f in os.listdir(HERE) if f.endswith(".patch"))


def description(name):
    """(what is broken, workloads)"""
    with open(os.path.join(HERE, name + ".patch")) as f:
        first, second = f.readline().strip(), f.readline().strip()
    assert second.startswith("workloads: "), name
    return first, second.split()[1:]


class Nursery:
    """A copy of the tree and of what is built of it, in which one mutant at a time lives."""

    def __init__(self, where=None):
        self.top = where or run.folder("mutant")
        self.tree = os.path.join(self.top, "tree")
        self.build = os.path.join(self.top, "build")
        shutil.rmtree(self.top, ignore_errors=True)
        os.makedirs(self.tree)
        os.makedirs(os.path.join(self.build, "crash"))
        for part in PARTS:
            source = os.path.join(build.ROOT, part)
            if os.path.exists(source):
                subprocess.run(["cp", "-a", source, self.tree], check=True)
        for part in ("obj", "bin", "crash/obj", "flags.kernel", "flags.user", "flags.root"):
            if os.path.exists(build.path(part)):
                target = os.path.join(self.build, os.path.dirname(part))
                subprocess.run(["cp", "-a", build.path(part), target], check=True)

    def patch(self, name, back=False):
        """All of it or nothing."""
        for more in (["--dry-run"], []):
            argv = ["patch", "-p1", "-s", "-F3", "-l", "--no-backup-if-mismatch", *more]
            argv += ["-R"] if back else []
            p = subprocess.run([*argv, "-i", os.path.join(HERE, name + ".patch")], cwd=self.tree,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if p.returncode:
                raise MutantError(f"{name}.patch does not fit the sources any more: renew it\n{p.stdout}")

    def make(self, *goals):
        no = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ECLIPSE_BUILD")
        env = {k: v for k, v in os.environ.items() if k not in no}
        argv = [os.environ.get("MAKE", "make").split()[0], "-C", self.tree, "-j2", "--no-print-directory"]
        p = subprocess.run([*argv, f"B={self.build}", *goals], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, env=env, errors="replace")
        if p.returncode:
            raise MutantError(f"a mutant does not build:\n{p.stdout[-3000:]}")

    def caught(self, name, seed=1, images=IMAGES):
        """Builds mutant `name` and looks for it. Returns what gave it away, or None."""
        recovery = name.startswith("recover-")
        self.patch(name)
        try:
            self.make(os.path.join(self.build, "bin", "crashcheck"), *([] if recovery else ["kernel"]))
            for workload in description(name)[1]:
                for k in range(TRIES if workload in record.FAULTS else 1):
                    found = self.explore(workload, recovery, seed + k, images)
                    if found:
                        return found
            return None
        finally:
            self.patch(name, back=True)

    def explore(self, workload, recovery, seed, images):
        log = run.log_of(workload) if recovery else os.path.join(self.top, workload + ".log")
        if not recovery:
            try:
                record.record(workload, log, seed, kernel=os.path.join(self.build, "kernel.elf"))
            except record.RecordError as e:
                return f"{workload}: the workload did not come to its end: {str(e)[:200]}"
        elif not os.path.exists(log):
            record.record(workload, log, seed)
        checker = os.path.join(self.build, "bin", "crashcheck")
        p = subprocess.run([checker, "-s", str(seed), "-n", str(images), log], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace")
        return p.stdout if p.returncode else None


def try_all(seed=1, which=None, images=IMAGES):
    """Tries the mutants. Returns how many were not caught."""
    missed = 0
    began = time.monotonic()
    nursery = Nursery()
    for name in which or names():
        try:
            found = nursery.caught(name, seed, images)
        except MutantError as e:
            print(e)
            found = None
        if found:
            line = next((s for s in found.splitlines() if s and not s.startswith("  pending")), "")
            print(f"mutant {name:22} caught: {line[:110]}", flush=True)
        else:
            missed += 1
            print(f"mutant {name:22} NOT CAUGHT: {description(name)[0]}", flush=True)
    print(f"{len(which or names())} mutants in {time.monotonic() - began:.0f} s: {missed} not caught")
    return missed
