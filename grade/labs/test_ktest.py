"""The tests inside the kernel, per lab, on one CPU and on four: `ktest=labN` runs them and leaves QEMU.

The names come from the sources, so a test that does not report is a failure, and so is a lab's kernel that panics.
"""

import os
import re

import pytest

from grade.eclipse import build, labs
from grade.eclipse.qemu import STATUS_OK, Machine, disk_args


def ktests():
    """{lab: [names]} as the sources listed in the labs register them."""
    found = {}
    for _, f in labs.ordered_files():
        if f.endswith(".c") and os.path.exists(os.path.join(build.ROOT, f)):
            text = re.sub(r"/\*.*?\*/", "", open(os.path.join(build.ROOT, f)).read(), flags=re.S)
            for lab, name in re.findall(r"^KTEST\(\s*(\d+)\s*,\s*(\w+)\s*\)", text, re.M):
                found.setdefault(int(lab), []).append(name)
    return found


def run(lab, cpus, kernel, disk="virtio", words="", extra=()):
    names = ktests().get(lab, [])
    assert names, f"lab {lab} has no test in the kernel (KTEST({lab}, ...) in a listed file)"
    image = build.test_image() if lab >= 6 else None
    with Machine(kernel=kernel, cpus=cpus, append=f"ktest=lab{lab} {words}", archive=build.path("test-archive.cpio"),
                 image=image, disk=disk, extra=extra) as m:
        end = m.expect(r"^ktest: (\d+) ok, (\d+) failed", busy=120)
        status = m.wait_exit()
        bad = re.findall(r"^ktest: (\w+) FAIL.*", m.console, re.M)
        silent = [n for n in names if not re.search(rf"^ktest: {n} (ok|FAIL)", m.console, re.M)]
        if bad or silent or int(end[2]) or status != STATUS_OK or int(end[1]) < len(names):
            raise m.error(f"failed: {bad}, not reported: {silent}, status {status}")


def tested():
    """The labs with tests in the kernel: all but those that are tested from outside only."""
    elsewhere = {9: "grade/crash"}                       # power cuts cannot be tested from inside
    return [pytest.param(n, marks=pytest.mark.lab(n)) for n in labs.numbers()
            if n in ktests() or not os.path.isdir(os.path.join(build.ROOT, elsewhere.get(n, "nowhere")))]


@pytest.mark.points(5)
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("lab", tested())
def test_ktest(lab, cpus):
    """The lab's tests in the kernel that is being graded."""
    run(lab, cpus, build.kernel())


@pytest.mark.points(2)
@pytest.mark.parametrize("lab", tested())
def test_ktest_alone(lab):
    """The lab's tests in a kernel of labs 1..lab: nothing later is needed."""
    run(lab, 1, build.kernel(lab))


@pytest.mark.points(3)
@pytest.mark.lab(6)
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("disk,name", [("virtio", "vdb"), ("virtio-modern", "vdb"), ("virtio-mmio", "vdb"), ("ata", "sdb")])
def test_disk_drivers(disk, name, cpus, tmp_path):
    """The block tests with a scratch disk to write on, by every driver."""
    scratch = tmp_path / "scratch.img"
    with open(scratch, "wb") as f:
        f.truncate(64 << 20)
    run(6, cpus, build.kernel(), disk, f"testdisk={name}", disk_args(disk, str(scratch), True, "scratch", boot=False))
    with open(scratch, "rb") as f:
        assert any(chunk.strip(b"\0") for chunk in iter(lambda: f.read(1 << 20), b"")), "nothing was written to the scratch disk"
