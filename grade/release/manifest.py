"""labs/NN-name/lab.toml, as a release needs it: what the student writes, from what start, and what is kept back.

    title    = "page tables"           as in the list `files`
    baseline = 5                       points of this lab's tests on its fresh skeleton (branch labN-start)
    [[exercise]]                       in the order in which they are worked
    file = "kern/vm/fault.c"
    functions = ["cow_fault"]          these lose their bodies
    naive = ["cow_fault"]              ... and these start from labs/NN-name/naive/cow_fault.c, not from nothing
    helpers = ["page_is_anonymous"]    static functions and variables that only the solution has: not released
    hint = "..."
    [[test]]
    name = "vm_copy_on_write"          def test_vm_copy_on_write(run) in labs/NN-name/test_*.py
    points = 15
    hidden = true                      kept back: neither this entry nor its judge nor its OBSERVE is released
    pool = "copies"                    with SEED= one test of each pool is kept back, and the seed says which:
                                       for equivalent tests, worth the same, that nothing needs

A static function that only stripped bodies use and that is no helper is given: the stub mentions it.
"""

import os
import random
import re
import tomllib

from grade.eclipse import labs
from grade.eclipse.build import ROOT
from grade.release.source import ReleaseError

KEYS = {"title", "enables", "baseline", "exercise", "test"}
EXERCISE_KEYS = {"file", "functions", "helpers", "naive", "hint"}
OURS = r"helpers|naive|pool|hidden"          # words that say nothing to students


class Manifest:
    def __init__(self, lab, root=ROOT):
        self.root = root
        self.lab = lab
        self.number = lab.number
        self.folder = f"labs/{lab.folder}"
        self.path = f"{self.folder}/lab.toml"
        try:
            with open(os.path.join(root, self.path)) as f:
                self.text = f.read()
            self.data = tomllib.loads(self.text)
        except (OSError, tomllib.TOMLDecodeError) as e:
            raise ReleaseError(f"{self.path}: {e}") from None
        self.exercises = self.data.get("exercise", [])
        self.tests = self.data.get("test", [])
        self.baseline = self.data.get("baseline", 0)
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
            if more := set(e.get("naive", [])) - set(e["functions"]):
                raise ReleaseError(f"{self.path}: naive, but not in functions: {', '.join(sorted(more))}")
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

    def naive(self):
        """{function: the text of its naive version}"""
        out = {}
        for name in (n for e in self.exercises for n in e.get("naive", [])):
            path = f"{self.folder}/naive/{name}.c"
            try:
                with open(os.path.join(self.root, path)) as f:
                    out[name] = f.read()
            except OSError as e:
                raise ReleaseError(f"{self.path}: {path}: {e.strerror}") from None
        return out

    def kept_back(self, seed):
        """Names of the tests that this release does not hand out."""
        out = {t["name"] for t in self.tests if t.get("hidden")}
        for pool, tests in self.pools().items() if seed else ():
            out.add(random.Random(f"{seed}/{self.folder}/{pool}").choice(tests)["name"])
        return out

    def pools(self):
        out = {}
        for t in self.tests:
            if "pool" in t:
                out.setdefault(t["pool"], []).append(t)
        return out

    def for_students(self, kept_back):
        """The text of lab.toml without the tests kept back, and without what only a release reads."""
        blocks = re.split(r"(?m)^(?=\[\[)", self.text)
        out = []
        for b in blocks:
            tests = tomllib.loads(b).get("test", [])
            if not tests or tests[0]["name"] not in kept_back:
                out.append(re.sub(rf"(?m)^({OURS})[ \t]*=[ \t]*(\[[^\]]*\]|[^\n]*)[^\n]*\n", "", b))
        return "".join(out)


def all_manifests(root=ROOT):
    """{lab number: Manifest} of every lab of this tree."""
    return {lab.number: Manifest(lab, root) for lab in labs.all_labs()}
