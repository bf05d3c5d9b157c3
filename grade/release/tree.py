"""Which file of the solved tree comes to the students with which lab, and what it looks like there.

Idea.       A file named in labs/NN-name/files comes with lab NN, and so does what lies below that lab's own folders. All the
            rest (build, libraries, programs, grader) comes with the first lab. What teaches the instructor stays here.
"""

import os
import subprocess

from grade.eclipse.build import ROOT
from grade.release.manifest import all_manifests
from grade.release.source import Source, apply, default_flags

KEPT_BACK = ("grade/release/", "grade/checks/", "grade/crash/", "grade/host/", "grade/system/", ".ci/", "README.md")
LAID_OVER = "grade/release/student"


def tracked():
    p = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return [f for f in p.stdout.split("\0") if f and os.path.isfile(os.path.join(ROOT, f))]


def read(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.read()


class Tree:
    """The solved tree, cut into labs."""

    def __init__(self, flags=None):
        self.flags = flags or default_flags()
        self.manifests = all_manifests()
        self.lab_of = {}                     # path: lab number
        self.edits = {}                      # path: edits that make the student's file
        self.sources = {}
        self.cut()
        for m in self.manifests.values():
            for path, (names, helpers) in m.by_file().items():
                self.sources[path] = Source(path, self.flags)
                self.edits[path] = self.sources[path].edits(names, helpers, m.number, m.folder)

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
            if path.startswith(KEPT_BACK):
                continue
            near = [n for folder, n in folders.items() if path.startswith(folder)]
            self.lab_of[path] = listed.get(path, min(near, default=min(self.manifests)))

    def solved(self, path):
        return read(path)

    def student(self, path):
        """The file as a student first sees it."""
        if path.endswith("/lab.toml"):
            number = self.lab_of[path]
            return self.manifests[number].for_students().encode()
        return apply(read(path), self.edits.get(path, []))

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
