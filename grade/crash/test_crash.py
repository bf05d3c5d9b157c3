"""The crash exploration at a size that fits the tests: `make crash` is the whole of it."""

import os
import re
import shutil
import subprocess

import pytest

from grade.crash import mutants, record, run
from grade.eclipse import build

pytestmark = [
    pytest.mark.lab(9),
    pytest.mark.xdist_group("crash"),
    pytest.mark.skipif(os.uname()[0::4] != ("Linux", "x86_64"), reason="x86-64 Linux only"),
    pytest.mark.skipif(not shutil.which("patch") or not shutil.which("cc"), reason="patch and cc are needed"),
]

IMAGES = 300
FEW_MUTANTS = ["data-after-metadata", "commit-not-flushed"]


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    status, out = build.make(build.path("bin", "crashcheck"))
    assert status == 0, out
    return str(tmp_path_factory.mktemp("crash"))


@pytest.mark.points(2)
@pytest.mark.parametrize("name", [n for n in record.WORKLOADS if n != "idle"])         # which takes its time
def test_power_lost(name, where):
    """Wherever the power goes in this workload: fsck is content, what was promised is there, and no more."""
    log = run.log_of(name, where)
    record.record(name, log)
    images, _ = run.check(log, images=IMAGES)
    assert images >= 100


@pytest.mark.points(4)
def test_kernel_recovers(where):
    """A sample of the crashed disks is mounted, walked, changed and unmounted by the kernel; one of its
    recoveries is cut off, too."""
    samples = []
    for name in record.WORKLOADS:
        log = run.log_of(name, where)
        if os.path.exists(log) and name not in record.FAULTS:
            samples += [(log, *s) for s in run.make_samples(log, where, 3, 1)]
    assert samples
    run.kernel_recovers(samples, where)
    log, image, point = samples[-1]
    run.recovery_recorded(log, image, point, os.path.join(where, "recovery.log"), images=200)


@pytest.mark.points(2)
@pytest.mark.parametrize("mem,hog", [(96, 0), (64, 36)])
def test_load(mem, hog, where):
    """Eight processes at once on four CPUs, and short of memory: names and contents are the model's."""
    assert run.under_load(where, 3, 1, mem, hog) > 100


@pytest.fixture(scope="module")
def nursery(where):
    return mutants.Nursery(os.path.join(where, "mutant"))


def chosen():
    """All mutants of recovery, which only need the checker; of the others some."""
    return [n for n in mutants.names() if n.startswith("recover-") or n in FEW_MUTANTS]


@pytest.mark.points(1)
@pytest.mark.parametrize("name", chosen())
def test_mutant(name, where, nursery, monkeypatch):
    """A journal that is broken on purpose is found out."""
    monkeypatch.setattr(run, "folder", lambda *parts: where)
    what, _ = mutants.description(name)
    assert nursery.caught(name, images=1500), f"not caught: {what}"


@pytest.mark.points(1)
def test_mutants_fit():
    """Every mutant's patch applies to the sources as they are."""
    assert len(mutants.names()) >= 6
    for name in mutants.names():
        patch = os.path.join(mutants.HERE, name + ".patch")
        p = subprocess.run(["patch", "-p1", "-s", "-F3", "-l", "--dry-run", "-i", patch], cwd=build.ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert p.returncode == 0, f"{name}.patch: renew it\n{p.stdout}"


@pytest.mark.points(1)
def test_invariants_are_checked():
    """Each invariant of the journal has a row in FORMAT.md; its tests, mutants and functions are there, and
    no mutant is without an invariant."""
    def text(*parts):
        with open(os.path.join(build.ROOT, *parts)) as f:
            return f.read()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in text("fs", "eclipsefs", "FORMAT.md").splitlines() if re.match(r"\| [JF]\d+ \|", line)]
    numbers = [row[0] for row in rows]
    assert numbers == [f"F{n}" for n in range(1, 14)] + [f"J{n}" for n in range(1, 9)]
    header, tests = text("fs", "journal", "journal.h"), text("fs", "journal", "test_journal.c")
    sources = text("fs", "journal", "commit.c") + text("fs", "eclipsefs", "alloc.c")
    named = set()
    for number, _, asserted, test, broken in (row for row in rows if row[0].startswith("J")):
        assert f"{number} (" in header, f"{number} is not in journal.h"
        for name in test.split(", "):
            assert f"KTEST(9, {name})" in tests, f"{number}: no test {name}"
        for name in re.findall(r"`(\w+)\(\)`", asserted):
            assert re.search(rf"^{name}\(", sources, re.M), f"{number}: no function {name}"
        named |= set(broken.split(", "))
    assert named == set(mutants.names())
