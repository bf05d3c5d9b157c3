"""Which submissions are alike, once what was handed out is taken away.

Idea.       Of every file a student changed only the lines count that neither the skeleton nor, for files of
            earlier labs that a course may hand out solved, the reference has. They go into one file per
            student, and sim_c (Debian's similarity-tester) says how much of each is found in each other one;
            names, layout and comments do not matter to it.
Interface.  pairs(course, results) -> [{a, b, percent, back, files}], most alike first.
Invariants. I1 a pair is a hint to look with one's own eyes; nobody's points depend on it.
"""

import collections
import os
import re
import shutil

from grade.instructor import box
from grade.instructor.course import ROOT
from grade.instructor.intake import tar

LEAST_TOKENS = 60                            # shorter remainders are alike by nature
LEAST_PERCENT = 40
RUN = 24                                     # tokens that must follow each other to be the same


def own_lines(data, known):
    """The lines that were written, in order: each line of a known version of the file cancels one like it."""
    lines = data.decode("utf-8", "replace").splitlines()
    for other in known:
        given = collections.Counter(other.decode("utf-8", "replace").splitlines())
        left = []
        for line in lines:
            if given[line] > 0:
                given[line] -= 1
            elif line.strip():
                left.append(line)
        lines = left
    return lines


def reference(path):
    """The solved file: work that a course hands out (labN-start) is nobody's copy."""
    try:
        with open(os.path.join(ROOT, path), "rb") as f:
            return f.read()
    except OSError:
        return b""


def remainder(course, result, skeleton):
    """{path: what this student wrote}."""
    folder, out = course.path("units", result["id"], "taken"), {}
    for path in result["changed"]:
        name = os.path.join(folder, path.replace("/", "+"))
        if not os.path.exists(name):
            continue
        with open(name, "rb") as f:
            data = f.read()
        solved = reference(path)
        if data == solved and course.allowed.get(path, 0) < course.lab:
            continue
        known = [skeleton.get(path, b"")] + ([solved] if course.allowed.get(path, 0) < course.lab else [])
        lines = own_lines(data, known)
        if lines:
            out[path] = "\n".join(lines) + "\n"
    return out


def tokens(text):
    return len(re.findall(r"\w+|[^\w\s]", re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)))


def percentages(texts):
    """{(a, b): how much of a is found in b} by sim_c, which reads what students wrote and so runs in a
    box."""
    script = f'cd "$W" && tar -x && ls | grep "[.]c$" | sim_c -a -p -e -s -r {RUN} -t 1 -i'
    done = box.run(script, tar({f"{i}.c": t.encode() for i, t in texts.items()}),
                   box.Limits(seconds=1800, cpu=1800, memory=4 << 30))
    out = {}
    for m in re.finditer(rb"^(\S+)\.c consists for (\d+) % of (\S+)\.c material$", done.out, re.M):
        out[m[1].decode(), m[3].decode()] = int(m[2])
    return out


def pairs(course, results):
    if not shutil.which("sim_c"):
        return []
    skeleton = course.skeleton()
    parts = {r["id"]: remainder(course, r, skeleton) for r in results}
    texts = {i: "".join(p.values()) for i, p in parts.items()}
    found = percentages({i: t for i, t in texts.items() if tokens(t) >= LEAST_TOKENS})
    names = {r["id"]: r["name"] for r in results}
    best = {}
    for (a, b), percent in found.items():
        key = tuple(sorted((a, b)))
        best.setdefault(key, {})[a] = percent
    out = []
    for (a, b), p in best.items():
        if max(p.values()) >= LEAST_PERCENT:
            both = sorted(set(parts[a]) & set(parts[b]))
            out.append({"a": a, "b": b, "names": [names[a], names[b]], "percent": p.get(a, 0),
                        "back": p.get(b, 0),
                        "files": both, "left": parts[a], "right": parts[b]})
    return sorted(out, key=lambda x: (-max(x["percent"], x["back"]), x["a"], x["b"]))
