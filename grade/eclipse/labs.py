"""The lists labs/NN-name/files, as the build reads them."""

import glob
import os
import re

from grade.eclipse.build import ROOT


class Lab:
    """One lab: number, folder, title, what it can do, and its files [(path, half a line)] in order."""

    def __init__(self, list_path):
        self.folder = os.path.basename(os.path.dirname(list_path))
        self.number = int(self.folder.split("-")[0])
        self.files = []
        with open(list_path) as f:
            lines = f.read().splitlines()
        m = re.match(r"# lab (\d+): (\S+) - (.+)$", lines[0])
        assert m, f"{list_path}: the first line must read '# lab N: title - what it can do'"
        assert int(m[1]) == self.number, f"{list_path}: the title line's number is not the folder's"
        self.title, self.what = m[2], m[3]
        for line in lines[1:]:
            if line.strip() and not line.lstrip().startswith("#"):
                name, _, about = line.strip().partition(" ")
                self.files.append((name, about.strip()))


def all_labs():
    """Every lab of this tree, in order."""
    return sorted((Lab(p) for p in glob.glob(os.path.join(ROOT, "labs/[0-9]*-*/files"))), key=lambda l: l.number)


def numbers():
    return [lab.number for lab in all_labs()]


def ordered_files(up_to=None):
    """[(lab number, path)] of labs 1..up_to in link order."""
    return [(lab.number, name) for lab in all_labs() if up_to is None or lab.number <= up_to for name, _ in lab.files]
