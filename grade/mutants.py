"""Wrong solutions, made on purpose: each must be caught by the tests that it names, with the class that it names.

Idea.       labs/NN-name/mutants/<what>.patch is a mistake that students make, as a patch of the solved tree:

                # caught by: cow_child[, cow_tree]
                # class: wrong[, panic]
                # The write bit stays on when a page is shared: the child sees what the parent writes.
                --- a/kern/vm/leaf.c
                +++ b/kern/vm/leaf.c

            Each worker has a copy of the sources and of the objects that they were compiled to. A mutant is applied there, the
            files that it changes are compiled, the lab's kernel is linked, the named tests run on it; then it is taken back.
            A test that waits for luck is given a few seeds, always the same ones.
Interface.  make mutants [LAB=N] [MUTANT=glob] [JOBS=n]: prints a line for each and the matrix of kills; exit status 0 when all
            are caught.
"""

import argparse
import fnmatch
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = ("GNUmakefile", "Makefile", "kern", "fs", "lib", "labs", "user", "grade")
MAY_CHANGE = ("kern/", "fs/", "lib/")
SEEDS = (1, 2, 3)


class Mutant:
    """One patch. Raises ValueError when it does not say what it must."""

    def __init__(self, path, lab):
        self.path, self.lab = path, lab
        self.name = os.path.basename(path)[:-6]
        with open(path) as f:
            text = f.read()
        head = text[:text.index("\n--- ") + 1] if "\n--- " in text else text
        self.tests = self.words(head, "caught by")
        self.kinds = self.words(head, "class")
        self.about = " ".join(re.sub(r"^#\s*", "", line) for line in head.splitlines()
                              if line.startswith("#") and not re.match(r"#\s*(caught by|class):", line)).strip()
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)
        if not self.tests or not self.kinds or not self.about or not self.files:
            raise ValueError(f"{path}: needs '# caught by:', '# class:', a line about the mistake, and a patch")
        bad = [f for f in self.files if not f.startswith(MAY_CHANGE)]
        if bad:
            raise ValueError(f"{path}: touches {', '.join(bad)}")

    @staticmethod
    def words(head, key):
        m = re.search(rf"^#\s*{key}:\s*(.*)$", head, re.M)
        return [w for w in re.split(r"[,\s]+", m[1]) if w] if m else []


def mutants(lab=0, glob="*"):
    out = []
    for folder in sorted(os.listdir(os.path.join(ROOT, "labs"))):
        number = int(folder.split("-")[0]) if folder[:2].isdigit() else 0
        where = os.path.join(ROOT, "labs", folder, "mutants")
        if not number or (lab and number != lab) or not os.path.isdir(where):
            continue
        out += [Mutant(os.path.join(where, f), number) for f in sorted(os.listdir(where))
                if f.endswith(".patch") and (fnmatch.fnmatchcase(f[:-6], glob) or fnmatch.fnmatchcase(f, glob))]
    return out


def run(argv, cwd, limit=900, **more):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SEED", "B", "LAB", "TEST")}
    p = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors="replace", env={**env, **more}, timeout=limit)
    return p.returncode, p.stdout


class Nursery:
    """A copy of the sources and of what they were compiled to, in which one mutant at a time lives."""

    def __init__(self, top, built):
        self.tree, self.build = os.path.join(top, "tree"), os.path.join(top, "build")
        shutil.rmtree(top, ignore_errors=True)
        os.makedirs(self.tree)
        os.makedirs(self.build)
        for part in SOURCES:
            if os.path.exists(os.path.join(ROOT, part)):
                subprocess.run(["cp", "-a", os.path.join(ROOT, part), self.tree], check=True)
        for part in os.listdir(built):
            source = os.path.join(built, part)
            if part == "obj" or part.startswith(("flags.", "lab-", "kernel.list", "labinfo")):
                subprocess.run(["cp", "-a", source, self.build], check=True)
            elif part in ("user", "host", "bin", "archive.cpio", "test-archive.cpio"):
                os.symlink(source, os.path.join(self.build, part))
        # What the dependency files name is relative to the tree, but objects are named as the other make named them.
        for folder, _, names in os.walk(os.path.join(self.build, "obj")):
            for name in names:
                if name.endswith(".d"):
                    self.rename(os.path.join(folder, name), built)

    def rename(self, path, built):
        times = os.stat(path)
        with open(path) as f:
            text = f.read()
        at = text.index(":")
        target = os.path.join(self.build, os.path.relpath(path, self.build))[:-2] + ".o"
        with open(path, "w") as f:
            f.write(target + text[at:])
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def patch(self, mutant, back=False):
        """All of it or nothing. Returns what patch said when it does not fit."""
        for more in (["--dry-run"], []):
            argv = ["patch", "-p1", "-s", "-F3", "-l", "--no-backup-if-mismatch", "-r", "-", *more, *(["-R"] if back else [])]
            status, text = run([*argv, "-i", mutant.path], self.tree)
            if status:
                return text
        return None

    def kernel(self, lab):
        make = os.environ.get("MAKE", "make").split()[0]
        return run([make, "--no-print-directory", f"B={self.build}", f"LAB={lab}", f"{self.build}/lab-{lab}/kernel.elf"], self.tree)

    def judge(self, mutant, tests, seed, out):
        """{test: result} of the tests on the kernel as it is now."""
        if os.path.exists(out):
            os.unlink(out)
        argv = [sys.executable, "-m", "grade.run", "grade", "--no-build", "--build", self.build, "--jobs", "1", "--seed", str(seed),
                "--test", ",".join(tests), "--lab", str(mutant.lab), "--json", out]
        _, text = run(argv, ROOT)
        try:
            with open(out) as f:
                return {t["name"]: t for t in json.load(f)["tests"]}, text
        except (OSError, ValueError):
            return {}, text


class Outcome:
    """kills: {test: class or "" for survived}; trouble: why it could not be tried."""

    def __init__(self, mutant):
        self.mutant, self.kills, self.trouble, self.seconds, self.seed = mutant, {}, None, 0.0, None

    @property
    def caught(self):
        return not self.trouble and any(k in self.mutant.kinds for k in self.kills.values())

    def line(self):
        m = self.mutant
        name = f"{m.lab:2} {m.name:34}"
        if self.trouble:
            return f"{name} CANNOT BE TRIED: {self.trouble}"
        told = ", ".join(f"{t} ({k or 'passed'})" for t, k in self.kills.items())
        if self.caught:
            return f"{name} caught by {told}  seed {self.seed}, {self.seconds:.1f} s"
        return f"{name} NOT CAUGHT as {'/'.join(m.kinds)}: {told}\n   {m.about}"


def try_one(nursery, mutant, seeds=SEEDS):
    out, began = Outcome(mutant), time.monotonic()
    said = nursery.patch(mutant)
    if said:
        out.trouble = "the patch does not fit the sources any more\n" + said
        return out
    try:
        status, text = nursery.kernel(mutant.lab)
        if status and "no-build" in mutant.kinds:
            out.kills = {mutant.tests[0]: "no-build"}
        elif status:
            out.trouble = "it does not build\n" + text[-1500:]
        else:
            for seed in seeds:
                results, text = nursery.judge(mutant, mutant.tests, seed, os.path.join(nursery.build, "verdicts.json"))
                gone = [t for t in mutant.tests if t not in results]
                if gone:
                    out.trouble = f"there is no test {', '.join(gone)}\n{text[-1500:]}"
                    break
                out.kills, out.seed = {t: results[t]["class"] for t in mutant.tests}, seed
                if out.caught:
                    break
    except subprocess.TimeoutExpired:
        out.trouble = "its tests did not end"
    finally:
        nursery.patch(mutant, back=True)
    out.seconds = time.monotonic() - began
    return out


def matrix(outcomes):
    """For each lab: a row for each mutant, a column for each test that is named."""
    rows = []
    for lab in sorted({o.mutant.lab for o in outcomes}):
        mine = [o for o in outcomes if o.mutant.lab == lab]
        tests = list(dict.fromkeys(t for o in mine for t in o.mutant.tests))
        rows.append(f"\nlab {lab}: columns " + "  ".join(f"{i + 1} {t}" for i, t in enumerate(tests)))
        rows.append(" " * 36 + "".join(f"{i + 1:4}" for i in range(len(tests))))
        for o in mine:
            cells = "".join(f"{letter(o, t):>4}" for t in tests)
            rows.append(f"  {o.mutant.name:34}{cells}")
    rows.append("  (the class: W wrong, P panic, T triple fault, I idle hang, B busy hang, D deadlock, F flood, N not built;"
                " . passed, - skipped: it needs one that failed)")
    return "\n".join(rows)


def letter(outcome, test):
    if test not in outcome.kills:
        return " " if not outcome.trouble else "?"
    kind = outcome.kills[test]
    return {"": ".", "skipped": "-", "no-build": "N", "not-written": "n", "grader": "g"}.get(kind, kind[:1].upper())


def work(number, jobs, todo, built, top, show):
    nursery = None
    while True:
        try:
            mutant = todo.get_nowait()
        except queue.Empty:
            break
        nursery = nursery or Nursery(os.path.join(top, f"worker{number}"), built)
        show(try_one(nursery, mutant))


def try_all(chosen, built, jobs, say=print):
    """Tries the mutants, `jobs` at once. Returns their outcomes."""
    todo, outcomes, lock = queue.Queue(), [], threading.Lock()
    for m in chosen:
        todo.put(m)

    def show(outcome):
        with lock:
            outcomes.append(outcome)
            say(f"[{len(outcomes)}/{len(chosen)}] {outcome.line()}")

    top = os.path.join(built, "mutants")
    workers = [threading.Thread(target=work, args=(i, jobs, todo, built, top, show)) for i in range(min(jobs, len(chosen)))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    shutil.rmtree(top, ignore_errors=True)
    order = {m.path: i for i, m in enumerate(chosen)}
    return sorted(outcomes, key=lambda o: order[o.mutant.path])


def main():
    ap = argparse.ArgumentParser(prog="make mutants")
    ap.add_argument("--build", default="build")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--mutant", default="*")
    ap.add_argument("--jobs", type=int, default=2)
    args = ap.parse_args()
    sys.path.insert(0, ROOT)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("B", "LAB", "MUTANT", "JOBS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"):
        os.environ.pop(name, None)
    from grade.eclipse import products
    try:
        chosen = mutants(args.lab, args.mutant)
    except ValueError as e:
        sys.exit(f"mutants: {e}")
    if not chosen:
        sys.exit("mutants: there is none of that name")
    began = time.monotonic()
    built = os.path.abspath(os.path.join(ROOT, args.build))
    products.for_labs(sorted({m.lab for m in chosen}), built, args.jobs)
    outcomes = try_all(chosen, built, args.jobs, lambda s: print(s, flush=True))
    print(matrix(outcomes))
    missed = [o for o in outcomes if not o.caught]
    print(f"\n{len(outcomes)} mutants in {time.monotonic() - began:.0f} s: {len(outcomes) - len(missed)} caught, {len(missed)} not")
    if missed:
        print("not caught: " + " ".join(f"{o.mutant.lab}/{o.mutant.name}" for o in missed))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
