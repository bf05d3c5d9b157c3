"""labs/NN-name/lab.toml: what a lab asks of a student.

    title   = "page tables"           as in the list `files`
    enables = "..."
    [[exercise]]                      in the order in which they are worked
    file = "kern/vm/fault.c"
    functions = ["cow_fault"]
    helpers = ["page_is_anonymous"]   static functions that only the solution needs: not released
    hint = "..."
    [[test]]
    name = "vm_copy_on_write"         a KTEST of the lab, a program of user/tests, or a test of grade/labs/test_lab.py
    points = 15
"""

import os
import re
import tomllib

from grade.eclipse import labs
from grade.eclipse.build import ROOT
from grade.release.source import ReleaseError

KEYS = {"title", "enables", "exercise", "test"}
EXERCISE_KEYS = {"file", "functions", "helpers", "hint"}


class Manifest:
    def __init__(self, lab):
        self.lab = lab
        self.number = lab.number
        self.folder = f"labs/{lab.folder}"
        self.path = f"{self.folder}/lab.toml"
        try:
            with open(os.path.join(ROOT, self.path), "rb") as f:
                self.data = tomllib.load(f)
        except (OSError, tomllib.TOMLDecodeError) as e:
            raise ReleaseError(f"{self.path}: {e}") from None
        self.exercises = self.data.get("exercise", [])
        self.tests = self.data.get("test", [])
        self.check()

    def check(self):
        wrong = set(self.data) - KEYS
        for e in self.exercises:
            wrong |= set(e) - EXERCISE_KEYS
        if wrong:
            raise ReleaseError(f"{self.path}: unknown words: {', '.join(sorted(wrong))}")
        listed = [name for name, _ in self.lab.files]
        for e in self.exercises:
            if e.get("file") not in listed:
                raise ReleaseError(f"{self.path}: {e.get('file')} is not in {self.folder}/files")
            if not e.get("functions"):
                raise ReleaseError(f"{self.path}: an exercise in {e['file']} names no function")
        if self.data.get("title") != self.lab.title:
            raise ReleaseError(f"{self.path}: the title is not that of {self.folder}/files")
        names = self.functions()
        if len(set(names)) != len(names):
            raise ReleaseError(f"{self.path}: a function is named twice")

    def functions(self):
        return [n for e in self.exercises for n in e["functions"]]

    def by_file(self):
        """{file: (functions, helpers)}"""
        out = {}
        for e in self.exercises:
            names, helpers = out.setdefault(e["file"], ([], []))
            names += e["functions"]
            helpers += e.get("helpers", [])
        return out

    def for_students(self):
        """The text without the names of helpers."""
        with open(os.path.join(ROOT, self.path)) as f:
            return re.sub(r"(?m)^helpers\s*=\s*\[[^\]]*\]\n", "", f.read())


def all_manifests():
    """{lab number: Manifest} of every lab of this tree."""
    return {lab.number: Manifest(lab) for lab in labs.all_labs()}
