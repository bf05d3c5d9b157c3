"""The programs of user/tests: each says in its first comment which lab it needs, "(lab N)"; 8, a disk, if it does not."""

import difflib
import os
import re
import subprocess

from grade.eclipse import build


def lab_of(name):
    with open(os.path.join(build.ROOT, "user/tests", name + ".c")) as f:
        m = re.search(r"\(lab (\d+)\)", f.read(3000))
    return int(m[1]) if m else 8


def names():
    return [os.path.basename(f)[:-2] for f in build.sources("user/tests/*.c")]


def own_judge(name):
    """Some programs check what Linux has no word on (a leak, say): they print `ok` themselves and never run on the host."""
    with open(os.path.join(build.ROOT, "user/tests", name + ".c")) as f:
        return "no host run" in f.read(3000)


def difference(got, want):
    """What is printed when Eclipse and Linux disagree: only the lines that do."""
    lines = difflib.unified_diff(want.splitlines(), got.splitlines(), "on Linux", "on Eclipse", lineterm="", n=1)
    return "\n".join(list(lines)[:80])


def expected(name, cwd, limit=60):
    """(output, status) of the program on this machine's Linux."""
    with open(os.path.join(cwd, ".out"), "w+", errors="replace") as out:
        p = subprocess.run([build.need(build.path("host/tests", name))], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                           stderr=out, timeout=limit)
        out.seek(0)
        return out.read().replace("\r", ""), p.returncode if p.returncode >= 0 else 128 - p.returncode
