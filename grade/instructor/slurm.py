"""The same units of work on a cluster: one Slurm array job, an element per submission.

OUT must lie on a file system that all nodes see, and so must this tree. The elements write results where the
pool's units do; we look for those and ask squeue whether the job is still there. SBATCH_* variables
(partition, account, time) apply as ever.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time

from grade.instructor import unit as units
from grade.instructor.course import ROOT, CourseError

CHUNK = 1000                                 # below Slurm's usual MaxArraySize of 1001


def slurm(*words):
    """(status, what it said)"""
    p = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return p.returncode, p.stdout.strip()


def script(course, offset):
    """What an element of the array runs."""
    return (f"#!/bin/sh\ncd {shlex.quote(ROOT)} || exit 1\nexport PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1\n"
            f"exec {shlex.quote(sys.executable)} -B -m grade.instructor.unit {shlex.quote(course.out)} "
            f"--index $((SLURM_ARRAY_TASK_ID + {offset}))\n")


def submit(course, pending, jobs):
    """Submits the array(s); returns their job numbers."""
    logs = course.path("slurm")
    os.makedirs(logs, exist_ok=True)
    numbers = []
    for offset in range(0, len(pending), CHUNK):
        path = os.path.join(logs, f"job-{offset}.sh")
        with open(path, "w") as f:
            f.write(script(course, offset))
        last = min(CHUNK, len(pending) - offset) - 1
        status, said = slurm("sbatch", "--parsable", f"--array=0-{last}%{jobs}", "--job-name=eclipse-grade",
                             f"--output={logs.replace('%', '%%')}/%A_%a.log", path)
        m = re.match(r"(\d+)", said.splitlines()[-1] if said else "")
        if status or not m:
            raise CourseError(f"sbatch: {said}")
        numbers.append(m[1])
    return numbers


def alive(numbers):
    """Whether any of the jobs still waits or runs; a controller that does not answer is asked again later."""
    for n in numbers:
        status, said = slurm("squeue", "-h", "-j", n)
        if status == 0 and said or status and "Invalid job id" not in said:
            return True
    return False


def run(course, pending, jobs, tick, result_of, poll=1.0):
    """Submits, and calls tick(result) as results come; those that never came become the grader's own
    trouble."""
    for program in ("sbatch", "squeue", "scancel"):
        if not shutil.which(program):
            raise CourseError(f"SLURM=1: {program} is missing: make setup (Debian package slurm-wlm)")
    numbers = submit(course, pending, jobs)
    print(f"Slurm job {', '.join(numbers)}: {len(pending)} units, {jobs} at a time", flush=True)
    waiting, last_round = list(pending), False
    try:
        while waiting:
            for u in [u for u in waiting if os.path.exists(units.result_path(course, u))]:
                waiting.remove(u)
                tick(result_of(u, ""))
            if last_round:
                break
            time.sleep(poll)
            last_round = bool(waiting) and not alive(numbers)
    except BaseException:
        slurm("scancel", *numbers)
        raise
    for u in waiting:
        tick(result_of(u, f"Slurm ended the unit without a result: see {course.path('slurm')}"))
