"""Writes the students' repository: make release DEST=dir [LABS=1-9] [SEED=year].

Branches  labN is labN-1 and the files of lab N, bodies missing. labN-start is labN with the bodies of all labs before
          it. Who does not want to give answers away early pushes a branch when its time has come:
          git push course lab5 lab5-start
LABS      "1-9", "3-5", "4" (which is 1-4): the labs that students work. Those before the first come solved with it.
SEED      any word, the year for instance: of every pool of equivalent tests in a lab.toml one is kept back for the
          instructor's own grading, and SEED says which. Without it all are handed out (but for those that say
          hidden = true). Nothing else depends on it, and the same tree with the same LABS and SEED gives the same
          commits, to the last bit.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

from grade.release.source import ReleaseError
from grade.release.tree import ROOT, Tree

WHO = {"GIT_AUTHOR_NAME": "Eclipse", "GIT_AUTHOR_EMAIL": "eclipse@localhost", "GIT_COMMITTER_NAME": "Eclipse",
       "GIT_COMMITTER_EMAIL": "eclipse@localhost", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def lab_range(text, present):
    """"1-9", "3-5" or "4" (1-4): which of the present labs are for students to work."""
    if not text:
        return list(present)
    m = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    if not m:
        raise ReleaseError(f"LABS={text}: a range is wanted, as in LABS=1-9")
    low, high = int(m[1] or min(present)), int(m[2])
    out = [n for n in present if low <= n <= high]
    if not out:
        raise ReleaseError(f"LABS={text}: there is no such lab here")
    return out


class Repository:
    """A fresh git repository with its work tree."""

    def __init__(self, dest):
        if os.path.exists(dest) and (not os.path.isdir(dest) or os.listdir(dest)):
            raise ReleaseError(f"DEST={dest}: exists already")
        os.makedirs(dest, exist_ok=True)
        self.dest = dest
        self.clock = 1735689600              # the same tree gives the same commits
        self.git("init", "-q", "-b", "main")

    def git(self, *words):
        date = f"{self.clock} +0000"
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        env |= WHO | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        p = subprocess.run(["git", *words], cwd=self.dest, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)
        if p.returncode:
            raise ReleaseError(f"git {words[0]}: {p.stderr.strip()}")
        return p.stdout

    def put(self, path, data, mode_of=None):
        full = os.path.join(self.dest, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data)
        if mode_of and os.path.exists(mode_of):
            shutil.copymode(mode_of, full)

    def commit(self, text):
        self.clock += 60
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", text)


def fill(repo, tree, wanted):
    """The chain lab1..labN: each only adds. Labs before the first wanted one are given, bodies and all."""
    first = True
    for n, m in tree.manifests.items():
        if n > wanted[-1]:
            break
        if n in wanted and not first:
            repo.git("checkout", "-q", "-b", f"lab{n}")
        for path in tree.files_of(n):
            data = tree.student(path) if n in wanted else tree.solved(path)
            repo.put(path, data, os.path.join(ROOT, path))
        if n in wanted:
            if first:
                repo.git("checkout", "-q", "--orphan", f"lab{n}")
                for path, data in tree.laid_over().items():
                    repo.put(path, data)
            repo.commit(f"lab {n}: {m.lab.title} - {m.lab.what}")
            first = False


def fill_starts(repo, tree, wanted):
    """labN-start: the reference for the labs before N."""
    for n in wanted[1:]:
        repo.git("checkout", "-q", "-b", f"lab{n}-start", f"lab{n}")
        for path in tree.edits:
            if tree.lab_of[path] < n and tree.lab_of[path] in wanted:
                repo.put(path, tree.solved(path))
        repo.commit(f"lab {n}: the labs before it, solved")


def release(dest, labs="", flags=None, seed="", tree=None):
    """Writes the repository. Returns the labs that are in it for students to work."""
    tree = tree or Tree(flags, seed)
    wanted = lab_range(labs, list(tree.manifests))
    repo = Repository(dest)
    fill(repo, tree, wanted)
    fill_starts(repo, tree, wanted)
    repo.git("checkout", "-q", f"lab{wanted[0]}")
    return wanted


def main():
    ap = argparse.ArgumentParser(prog="make release", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dest")
    ap.add_argument("--labs", default="", help="which labs students work")
    ap.add_argument("--seed", default="", help="which of several equivalent tests is kept back")
    ap.add_argument("--flags", default="", help="the kernel's compiler and its words")
    args = ap.parse_args()
    if not args.dest:
        sys.exit("make release DEST=dir: where should the students' repository go?\n\n" + __doc__)
    try:
        wanted = release(os.path.expanduser(args.dest), args.labs, args.flags, args.seed)
    except ReleaseError as e:
        sys.exit(f"release: {e}")
    print(f"{args.dest}: branches lab{wanted[0]} to lab{wanted[-1]}, and labN-start with the labs before N solved")


if __name__ == "__main__":
    main()
