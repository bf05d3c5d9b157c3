"""The tests inside the kernel, per lab, on one CPU and on four: `ktest=labN` runs them and leaves QEMU.

The names come from the sources, so a test that does not report is a failure, and so is a lab's kernel that panics.
"""

import os
import re

import pytest

from grade.eclipse import build, labs
from grade.eclipse.qemu import STATUS_OK, Machine


def ktests():
    """{lab: [names]} as the sources listed in the labs register them."""
    found = {}
    for _, f in labs.ordered_files():
        if f.endswith(".c") and os.path.exists(os.path.join(build.ROOT, f)):
            text = re.sub(r"/\*.*?\*/", "", open(os.path.join(build.ROOT, f)).read(), flags=re.S)
            for lab, name in re.findall(r"^KTEST\(\s*(\d+)\s*,\s*(\w+)\s*\)", text, re.M):
                found.setdefault(int(lab), []).append(name)
    return found


def run(lab, cpus, kernel):
    names = ktests().get(lab, [])
    assert names, f"lab {lab} has no test in the kernel (KTEST({lab}, ...) in a listed file)"
    image = build.path("test-rootfs.img") if lab >= 6 else None
    with Machine(kernel=kernel, cpus=cpus, append=f"ktest=lab{lab}", archive=build.path("test-archive.cpio"),
                 image=build.test_image() if image else None) as m:
        end = m.expect(r"^ktest: (\d+) ok, (\d+) failed", busy=120)
        status = m.wait_exit()
        bad = re.findall(r"^ktest: (\w+) FAIL.*", m.console, re.M)
        silent = [n for n in names if not re.search(rf"^ktest: {n} (ok|FAIL)", m.console, re.M)]
        if bad or silent or int(end[2]) or status != STATUS_OK or int(end[1]) < len(names):
            raise m.error(f"failed: {bad}, not reported: {silent}, status {status}")


@pytest.mark.points(5)
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("lab", [pytest.param(n, marks=pytest.mark.lab(n)) for n in labs.numbers()])
def test_ktest(lab, cpus):
    """The lab's tests in the kernel that is being graded."""
    run(lab, cpus, build.kernel())


@pytest.mark.points(2)
@pytest.mark.parametrize("lab", [pytest.param(n, marks=pytest.mark.lab(n)) for n in labs.numbers()])
def test_ktest_alone(lab):
    """The lab's tests in a kernel of labs 1..lab: nothing later is needed."""
    run(lab, 1, build.kernel(lab))
