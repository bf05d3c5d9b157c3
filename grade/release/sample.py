"""What the tests of the release share: one release of this tree, and how its C is taken apart."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile

from grade.eclipse import build, labs
from grade.release import source, write
from grade.release.pupil import TOKEN
from grade.release.tree import Tree

ALL = labs.numbers()
EVERYTHING = os.environ.get("ECLIPSE_RELEASE") == "all"       # make release-check
RUN = 8                                                       # tokens
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def flags():
    name = build.path("flags.kernel")
    return open(name).read() if os.path.exists(name) else source.default_flags()


@functools.cache
def scratch():
    top = tempfile.mkdtemp(prefix="eclipse-release-")
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    return top


@functools.cache
def tree(seed=""):
    return Tree(flags(), seed)


@functools.cache
def repo():
    """A release of all labs."""
    dest = os.path.join(scratch(), "students")
    write.release(dest, tree=tree())
    return dest


def git(where, *words, **more):
    return subprocess.run(["git", "-C", where, *words], stdout=subprocess.PIPE, check=True, **more).stdout


def paths(where, branch):
    return git(where, "ls-tree", "-r", "--name-only", "-z", branch, text=True).split("\0")[:-1]


def checkout(where, branch, to):
    os.makedirs(to)
    subprocess.run(["tar", "-x", "-m", "-C", to], input=git(where, "archive", branch), check=True)
    return to


def code(text):
    """C without its comments."""
    return COMMENT.sub(lambda m: " " if m[0].startswith("/") else m[0], text)


def comments(text):
    """What the comments of C say, without the stars at the margin."""
    said = [m[0] for m in COMMENT.finditer(text) if m[0].startswith("/")]
    return "\n".join(re.sub(r"(?m)^\s*\*", "", re.sub(r"^/[/*]|\*/$", "", c)) for c in said)


def runs(text):
    t = TOKEN.findall(text)
    return [tuple(t[i:i + RUN]) for i in range(len(t) - RUN + 1)]


def stripped(t):
    """(lab, path, name, text) of all that students do not get: bodies, and helpers of the solution."""
    for n, m in t.manifests.items():
        for path, (names, helpers) in m.by_file().items():
            s = t.source(path)
            for name in names:
                yield n, path, name, s.text(*s.functions[name].body)
            for name in helpers:
                d = s.functions.get(name) or s.variables[name]
                yield n, path, name, s.text(*(d.body or (d.start, d.end)))
