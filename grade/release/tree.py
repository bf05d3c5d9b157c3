"""Which file of the solved tree comes to the students with which lab, and what it looks like there.

Idea.       Only what ALLOWED names goes out. A file named in labs/NN-name/files comes with lab NN, and so does what
            lies below that lab's own folders. All the rest (build, libraries, programs, grader) comes with the
            first lab.
Invariants. I1 mutants, naive versions, the release and the instructor's tools are named nowhere in ALLOWED.
            I2 tests that are kept back are missing from every branch, also where the bodies are solved.
"""

import fnmatch
import os
import re
import subprocess

from grade.eclipse.build import ROOT
from grade.release import hidden
from grade.release.manifest import all_manifests
from grade.release.source import ReleaseError, Source, apply, default_flags

# "x/" is all below x; otherwise patterns as a shell's. A new file elsewhere stays here until it is named.
ALLOWED = ("kern/", "fs/", "lib/", "user/", "Makefile", "GNUmakefile", ".gdbinit", ".gitignore",
           "labs/[0-9]*/files", "labs/[0-9]*/files.san", "labs/[0-9]*/README.md", "labs/[0-9]*/lab.toml",
           "labs/[0-9]*/test_*.py",
           "grade/__init__.py", "grade/plugin.py", "grade/run.py", "grade/eclipse/", "grade/labs/", "grade/guest/")
# Names of files and folders that never go out, whatever ALLOWED says.
NEVER = ("mutants", "naive", "*.patch", "*mutant*", "*instructor*", "release", "crash", "bench")
LAID_OVER = "grade/release/student"


def tracked():
    p = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        raise ReleaseError(f"a release is made from a git repository: {p.stderr.strip()}")
    return [f for f in p.stdout.split("\0") if f and os.path.isfile(os.path.join(ROOT, f))]


def matches(path, patterns):
    """Does a shell's pattern match, or a folder "x/" hold the path?"""
    parts = path.split("/")
    for p in patterns:
        words = p.split("/")
        if path.startswith(p) if p.endswith("/") else \
                len(words) == len(parts) and all(map(fnmatch.fnmatchcase, parts, words)):
            return True
    return False


def allowed(path):
    return matches(path, ALLOWED) and not any(matches(part, NEVER) for part in path.split("/"))


def read(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.read()


class Tree:
    """The solved tree, cut into labs."""

    def __init__(self, flags=None, seed=""):
        self.flags = flags or default_flags()
        self.manifests = all_manifests()
        self.kept_back = {n: m.kept_back(seed) for n, m in self.manifests.items()}
        self.lab_of = {}                     # path: lab number
        self.edits = {}                      # path: edits that make the student's file
        self.always = {}                     # path: edits made even where the lab is solved (I2)
        self.sources = {}
        self.cut()
        self.hide()
        for n, m in self.manifests.items():
            hidden.check(m, read(m.folder + "/README.md").decode())
            naive = m.naive()
            for path, (names, helpers) in m.by_file().items():
                if path in self.always:
                    raise ReleaseError(f"{path} has exercises, and observers of tests that are kept back")
                self.edits[path] = self.source(path).edits(names, helpers, n, m.folder, naive)

    def source(self, path):
        if path not in self.sources:
            self.sources[path] = Source(path, self.flags)
        return self.sources[path]

    def hide(self):
        """Takes out the observers of tests that are kept back, and their programs unless a handout speaks of them."""
        if not any(self.kept_back.values()):
            return
        judges = [(n, read(p).decode()) for p, n in self.lab_of.items() if p.startswith("labs/") and p.endswith(".py")]
        names = hidden.names_gone(judges, self.kept_back)
        handouts = "".join(read(m.folder + "/README.md").decode() for m in self.manifests.values())
        for name in names:
            if not re.search(rf"\b{re.escape(name)}\b", handouts):
                self.lab_of.pop(f"user/tests/{name}.c", None)
        for path in self.lab_of:
            if path.startswith(("kern/", "fs/")) and path.endswith(".c") and b"\nOBSERVE(" in read(path):
                if edits := hidden.observer_edits(self.source(path), names):
                    self.always[path] = edits

    def cut(self):
        listed, folders = {}, {}
        for n, m in self.manifests.items():
            for path, _ in m.lab.files:
                listed[path] = n
                folder = os.path.dirname(path) + "/"
                if not folder.startswith("lib/"):
                    folders.setdefault(folder, n)
            folders[m.folder + "/"] = n
        for path in sorted(set(tracked()) | set(listed)):
            if allowed(path):
                near = [n for folder, n in folders.items() if path.startswith(folder)]
                self.lab_of[path] = listed.get(path, min(near, default=min(self.manifests)))

    def solved(self, path):
        """The file with its bodies."""
        n = self.lab_of[path]
        if path.endswith("/lab.toml"):
            return self.manifests[n].for_students(self.kept_back[n]).encode()
        data = apply(read(path), self.always.get(path, []))
        if path.startswith("labs/") and path.endswith("/README.md"):
            data = hidden.handout_without(data.decode(), self.kept_back[n]).encode()
        if path.endswith(".py") and path.startswith("labs/"):
            data = hidden.python_without(data.decode(), self.kept_back[n]).encode()
        return data

    def student(self, path):
        """The file as a student first sees it."""
        return apply(read(path), self.edits[path]) if path in self.edits else self.solved(path)

    def files_of(self, lab):
        return [p for p, n in self.lab_of.items() if n == lab]

    @staticmethod
    def laid_over():
        """{path: bytes} of what only a student's tree has."""
        top, out = os.path.join(ROOT, LAID_OVER), {}
        for folder, _, names in os.walk(top):
            for name in names:
                full = os.path.join(folder, name)
                out[os.path.relpath(full, top)] = read(full)
        return out
