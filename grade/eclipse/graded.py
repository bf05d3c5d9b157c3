"""The graded tests: what labs/NN-name/lab.toml says about each, and which judge it belongs to."""

import glob
import os
import tomllib

from grade.eclipse import labs
from grade.eclipse.build import ROOT

# Every [[test]] has its judge and every judge its [[test]]. (False: what has no partner is only mentioned.)
STRICT = True

KEYS = {"name", "points", "needs", "section", "hint", "hints_by_class", "hidden", "pool", "lab"}


class Trouble(Exception):
    """Something in a lab.toml that tests cannot be run with."""


class Graded:
    """One graded test. `seed` is given when it is about to run."""

    def __init__(self, entry, lab, folder):
        wrong = set(entry) - KEYS
        if wrong:
            raise Trouble(f"{folder}/lab.toml: [[test]] {entry.get('name')}: unknown words: {', '.join(sorted(wrong))}")
        self.name = entry.get("name", "")
        self.lab = entry.get("lab", lab)
        self.folder = folder
        self.points = entry.get("points", 1)
        self.needs = list(entry.get("needs", []))
        self.section = entry.get("section", "")
        self.hint = entry.get("hint", "")
        self.hints = entry.get("hints_by_class", {})
        self.seed = 0
        self.entered = bool(entry.get("name"))
        if not isinstance(self.points, (int, float)) or self.points < 0:
            raise Trouble(f"{folder}/lab.toml: {self.name}: points = {self.points!r}")

    def hint_for(self, kind):
        return self.hints.get(kind, self.hint)

    def handout(self):
        """Where to read on."""
        if not self.section:
            return ""
        own = next((f"labs/{lab.folder}" for lab in labs.all_labs() if lab.number == self.lab), self.folder)
        return f"{own}/README.md, \"{self.section}\""


def read(path, lab, folder):
    """{name: Graded} of one lab.toml."""
    try:
        with open(path, "rb") as f:
            data = tomllib.load(f)
        return {e.get("name"): Graded(e, lab, folder) for e in data.get("test", [])}, data.get("baseline")
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise Trouble(f"{os.path.relpath(path, ROOT)}: {e}") from None


def judges(folder):
    return sorted(glob.glob(os.path.join(folder, "test_*.py")))


class Book:
    """What all lab.tomls say: tests {name: Graded}, baselines {lab: points}, and the folders where judges are."""

    def __init__(self, up_to=None, hidden=""):
        self.tests, self.baselines, self.folders, self.notes = {}, {}, {}, []
        for lab in labs.all_labs():
            if up_to is None or lab.number <= up_to:
                self.add(os.path.join(ROOT, "labs", lab.folder), lab.number, f"labs/{lab.folder}")
        if hidden:                           # of the last lab that is graded, unless they say `lab = n`
            self.add(os.path.abspath(hidden), max((n for n in labs.numbers() if up_to is None or n <= up_to), default=0), hidden)

    def add(self, folder, number, name):
        path = next((p for p in (os.path.join(folder, "lab.toml"), os.path.join(folder, "tests.toml")) if os.path.exists(p)), None)
        self.folders[folder] = number
        if path is None:
            return
        entries, baseline = read(path, number, name)
        twice = set(entries) & set(self.tests)
        if twice and STRICT:
            raise Trouble(f"{name}/lab.toml: there is a test of this name already: {', '.join(sorted(twice))}")
        self.tests.update({n: g for n, g in entries.items() if n not in twice})
        if baseline is not None:
            self.baselines[number] = baseline

    def of(self, file, function):
        """The Graded of a judge in `file`, or None when the file is not a lab's."""
        folder = os.path.dirname(os.path.abspath(file))
        if folder not in self.folders:
            return None
        name = function.removeprefix("test_")
        if name in self.tests:
            return self.tests[name]
        g = Graded({}, self.folders[folder], os.path.relpath(folder, ROOT))
        g.name = name
        return g

    def check(self, judged):
        """`judged`: the names of all judges there are. Raises Trouble when names do not match, or a need is unknown."""
        lonely = sorted(n for n, g in self.tests.items() if n not in judged)
        extra = sorted(n for n in judged if n not in self.tests)
        if STRICT and lonely:
            raise Trouble(f"in a lab.toml without a judge: {', '.join(lonely)}")
        if STRICT and extra:
            raise Trouble(f"judges that no lab.toml names: {', '.join(extra)}")
        if extra:
            self.notes.append(f"judges that no lab.toml names, a point each: {', '.join(extra)}")
        for n in judged & set(self.tests):
            gone = [d for d in self.tests[n].needs if d not in self.tests]
            if gone:
                raise Trouble(f"{self.tests[n].folder}/lab.toml: {n} needs {', '.join(gone)}, which is no test")
