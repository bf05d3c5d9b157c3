"""The kernel's last words: our own bugs, made on purpose (KTEST_MANUAL), end in a panic that says what, where and on which CPU, with a
symbolised backtrace, and leave QEMU with a status of their own. Power-off and reboot are in the same list.
"""

import os
import re

import pytest

from grade.eclipse import build, labs
from grade.eclipse.qemu import STATUS_PANIC, STATUS_POWEROFF, Machine

SAYS = {
    "panic": r"asked for by ktest=panic[\s\S]*a lock of the panic test",
    "lock_order": r"(?i)rank|order",
    "heap_double_free": r"(?i)free",
    "page_double_free": r"(?i)free|refs|ref",
    "write_after_free": r"(?i)free",
    "kernel_fault": r"page fault[\s\S]*0000000000000010",
    "kernel_text_write": r"page fault[\s\S]*write[\s\S]*syscall_entry|syscall_entry[\s\S]*write|page fault[\s\S]*write",
    "kernel_stack_overflow": r"(?i)stack|double fault",
    "smp_panic": r"asked for, with \d CPUs",
}


def manual():
    """[(lab, name)] of the tests that are only run by name, as the sources register them."""
    found = []
    for _, f in labs.ordered_files():
        if f.endswith(".c") and os.path.exists(os.path.join(build.ROOT, f)):
            with open(os.path.join(build.ROOT, f)) as g:
                found += [(int(n), name) for n, name in re.findall(r"^KTEST_MANUAL\(\s*(\d+)\s*,\s*(\w+)\s*\)", g.read(), re.M)]
    return found


@pytest.mark.points(2)
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.lab(lab)) for lab, name in manual()
                                  if name not in ("poweroff", "reboot")])
def test_panic(name, cpus):
    with Machine(cpus=cpus, append=f"ktest={name}", archive=build.path("test-archive.cpio")) as m:
        m.expect(r"^panic: [\w/.]+:\d+: ")
        status = m.wait_exit()
        report = m.console[m.console.index("panic: "):]
        assert status == STATUS_PANIC, m.error(f"status {status}")
        assert re.search(r"cpu \d", report), m.error("no CPU named")
        frames = re.findall(r"^\s+ffffffff8\w+\s+\w+\+0x", report, re.M)
        assert len(frames) >= (1 if name == "kernel_stack_overflow" else 2), m.error("no backtrace with names")
        assert re.search(SAYS.get(name, ""), m.console), m.error(f"nothing about {SAYS[name]}")
        assert report.count("panic: ") == 1, m.error("a panic in the panic")


@pytest.mark.points(2)
@pytest.mark.lab(3)
@pytest.mark.parametrize("machine", ["virtio", "virtio-mmio"])
def test_poweroff(machine):
    with Machine(append="ktest=poweroff", disk=machine, archive=build.path("test-archive.cpio")) as m:
        assert m.wait_exit() == STATUS_POWEROFF, m.error("not off")


@pytest.mark.points(2)
@pytest.mark.lab(3)
@pytest.mark.parametrize("machine", ["virtio", "virtio-mmio"])
def test_reboot(machine):
    """With -no-reboot QEMU ends where it would start again."""
    with Machine(append="ktest=reboot", disk=machine, archive=build.path("test-archive.cpio"), extra=["-no-reboot"]) as m:
        assert m.wait_exit() == 0, m.error("no reboot")
