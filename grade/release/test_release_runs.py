"""The students' repository at work: each lab's skeleton builds, boots and scores its baseline; scripted students
reach the end.

`make test` looks at some labs and lets one student work through lab 1; `make release-check` does all for every lab.
"""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import STATUS_PANIC, Machine

pytest.importorskip("clang.cindex", reason="python3-clang is missing: make setup")

from grade.release import source  # noqa: E402
from grade.release.manifest import all_manifests  # noqa: E402
from grade.release.pupil import Pupil, make, other_function, prime  # noqa: E402
from grade.release.sample import ALL, EVERYTHING, checkout, flags, paths, repo, stripped, tree  # noqa: E402

FIRST, LAST = min(ALL), max(ALL)
SOME = ALL if EVERYTHING else sorted({FIRST, LAST})
STARTS = [n for n in (ALL if EVERYTHING else (5,)) if n in ALL and n != FIRST]
pytestmark = pytest.mark.xdist_group("release")


# ---------------------------------------------------------------- no warning

def half_written(path):
    """(what, text): the file with each one body missing, and with each one written."""
    t = tree()
    s, m = t.source(path), t.manifests[t.lab_of[path]]
    names = m.by_file()[path][0]
    for name in names:
        for what, todo in ((f"only {name} missing", [name]), (f"only {name} written", [n for n in names if n != name])):
            if todo:
                yield what, source.apply(s.bytes, s.edits(todo, [], m.number, m.folder))


def compiles(job):
    path, (what, text) = job
    words = flags().split() if "gcc" in flags() else ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *flags().split()]
    p = subprocess.run([*words, "-x", "c", "-c", "-o", os.devnull, "-"], input=text, cwd=build.ROOT,
                       stderr=subprocess.PIPE)
    return "" if p.returncode == 0 and not p.stderr else f"{path}, {what}: {p.stderr.decode(errors='replace')}"


@pytest.mark.cost(15 if EVERYTHING else 4)
def test_no_warning_while_a_file_is_being_written():
    """In whatever order the bodies are written, what is still missing makes the compiler complain about nothing."""
    chosen = list(tree().edits) if EVERYTHING else list(tree().edits)[::8]
    jobs = [(path, half) for path in chosen for half in half_written(path)]
    for seed in "123":                       # what kept back tests leave of the observers
        jobs += [(path, (f"SEED={seed}", tree(seed).solved(path))) for path in tree(seed).always]
    with ThreadPoolExecutor(2) as pool:
        complaints = [c for c in pool.map(compiles, jobs) if c]
    assert not complaints, "\n".join(complaints)[:4000]


# ---------------------------------------------------------------- skeletons

def tree_of(branch, to):
    where = checkout(repo(), branch, str(to))
    prime(where)
    return where


def kernel_of(where, lab):
    status, said = make(where, f"LAB={lab}", "kernel")
    assert status == 0 and "warning" not in said, said[-4000:]
    return os.path.join(where, "build", f"lab-{lab}", "kernel.elf")


def stops_at(m, number, names):
    """The machine says which function is missing, and leaves."""
    said = m.expect(r"lab (\d+): (\w+) is not written yet, see (labs/[\w-]+)")
    assert int(said[1]) == number and said[2] in names, said[0]
    assert m.wait_exit() == STATUS_PANIC


def score_of(results, lab):
    return sum(t["points"] for t in results["tests"] if t["lab"] == lab)


def baseline_is(results, lab):
    m = tree().manifests[lab]
    got = {t["name"]: t["points"] for t in results["tests"] if t["lab"] == lab and t["points"]}
    assert sum(got.values()) == m.baseline, f"{m.path} says baseline = {m.baseline}; points are for {got}"
    odd = {t["name"]: t.get("class") for t in results["tests"]
           if t["lab"] == lab and t.get("class") in ("grader", "no-build")}
    assert not odd, f"the grader's own trouble: {odd}"


@pytest.mark.cost(20)
@pytest.mark.parametrize("lab", SOME)
def test_skeleton(tmp_path, lab):
    """Branch labN builds without a warning, boots, and says which function of the first lab is missing."""
    where = tree_of(f"lab{lab}", tmp_path / "t")
    with Machine(kernel=kernel_of(where, lab), archive=build.path("test-archive.cpio")) as m:
        stops_at(m, FIRST, tree().manifests[FIRST].functions())
    if lab == FIRST:
        pupil = Pupil.at(where)
        baseline_is(pupil.grade()[0], lab)


@pytest.mark.cost(20)
@pytest.mark.parametrize("lab", STARTS)
def test_start(tmp_path, lab):
    """Branch labN-start builds without a warning and boots, up to a function of lab N that is missing.

    With all of release-check: it scores full on the labs before N, and on lab N the baseline of its lab.toml."""
    where = tree_of(f"lab{lab}-start", tmp_path / "t")
    kernel = kernel_of(where, lab)
    image = build.test_image() if lab >= 6 else None
    with Machine(kernel=kernel, archive=build.path("test-archive.cpio"), append=f"ktest=lab{lab}", image=image) as m:
        stops_at(m, lab, tree().manifests[lab].functions())
    if EVERYTHING:
        results, said = Pupil.at(where).grade()
        short = [t["name"] for t in results["tests"] if t["lab"] < lab and t["points"] < t["of"]]
        assert not short, f"not full on the labs before {lab}: {short}\n{said[-6000:]}"
        assert {t["lab"] for t in results["tests"]} == {n for n in ALL if n <= lab}
        baseline_is(results, lab)


# ---------------------------------------------------------------- students

@pytest.mark.cost(40)
@pytest.mark.parametrize("style", ["plain", "other"])
def test_student(tmp_path, style):
    """A student goes from the first lab to the last by `make next-lab` without a conflict, and ends with what compiles.

    With all of release-check: and has full points. Otherwise the second one has them after the first lab."""
    p = Pupil(tree(), repo(), tmp_path / "mine", style)
    for n in ALL:
        p.solve(n)
        p.commit(f"lab {n}")
        if n == FIRST and style == "other" and not EVERYTHING:
            prime(p.where)
            full(p)
        status, said = p.next_lab()
        assert status == 0 and (f"lab {[*ALL, 0][ALL.index(n) + 1]} is here" in said or n == LAST), said
        assert not p.git("status", "--porcelain"), "something is left of the merge"
    mine = set(p.git("diff", "--name-only", f"origin/lab{LAST}", "HEAD").split())
    assert set(tree().edits) <= mine and set(paths(p.where, "HEAD")) >= set(paths(repo(), f"lab{LAST}"))
    prime(p.where)
    kernel = kernel_of(p.where, LAST)
    with Machine(kernel=kernel, archive=build.path("archive.cpio"), image=build.test_image()) as m:
        m.expect(r"(?:^|\n)# \Z")
    if EVERYTHING:
        full(p)


def full(p):
    results, said = p.grade()
    short = [t["name"] for t in results["tests"] if t["points"] < t["of"]]
    assert results["tests"] and not short and results["score"] == results["total"], f"not full: {short}\n{said[-6000:]}"


def test_second_student_is_another():
    """He hands in no body with variables as the reference has it, not even with other spaces."""
    for _, path, name, _ in stripped(tree()):
        s = tree().source(path)
        if name in s.functions and s.functions[name].locals:
            above, body = other_function(s, name)
            text = (above + body).replace(" ", "").replace("\n", "")
            assert re.sub(r"[\t\n ]", "", s.text(*s.functions[name].body)) not in text, name


# ---------------------------------------------------------------- naive versions

def naive_labs():
    """[(lab, one naive function of each file)]: those of one file belong together."""
    return [(n, [f for f in names if f in m.naive()][0]) for n, m in all_manifests().items()
            for names, _ in m.by_file().values() if set(names) & set(m.naive())]


@pytest.mark.cost(60)
@pytest.mark.parametrize("lab,name", naive_labs() if EVERYTHING else [])
def test_a_naive_version_costs_points(tmp_path, lab, name):
    """Who writes everything but what replaces the naive version does not get all the points of the lab."""
    t = tree()
    where = tree_of(f"lab{lab}", tmp_path / "t")
    for path in t.edits:
        if t.lab_of[path] <= lab:
            names, helpers = t.manifests[t.lab_of[path]].by_file()[path]
            keep = {n: text for n, text in t.manifests[lab].naive().items() if n in names} if name in names else {}
            s = t.source(path)
            edits = s.edits(list(keep), [], lab, t.manifests[lab].folder, keep) if keep else []
            text = source.apply(s.bytes, edits)
            with open(os.path.join(where, path), "wb") as f:
                f.write(text)
    prime(where)
    results, said = Pupil.at(where).grade(f"LAB={lab}")
    lost = [x["name"] for x in results["tests"] if x["points"] < x["of"]]
    assert lost, f"{name} as it is handed out gets all points of lab {lab}"
    assert {x["lab"] for x in results["tests"] if x["points"] < x["of"]} == {lab}, said[-4000:]
