"""The kernel with sanitizers (SAN=1): it catches what it promises to catch, and finds nothing in a whole system at work."""

import os
import re

import pytest

from grade.eclipse import build, labs, usertests
from grade.eclipse.qemu import STATUS_OK, STATUS_PANIC, Machine
from grade.eclipse.shell import Shell

pytestmark = [pytest.mark.xdist_group("san"), pytest.mark.lab(max(labs.numbers()))]

CRIMES = {
    "asan_after_free": r"asan: read of 1 bytes[\s\S]*asan_after_free",
    "asan_behind_end": r"asan: write of 1 bytes[\s\S]*asan_behind_end",
    "asan_freed_page": r"asan: read of 4 bytes[\s\S]*asan_freed_page",
    "asan_copy_too_long": r"asan: read of \d+ bytes[\s\S]*asan_copy_too_long",
    "ubsan_shift": r"test_asan\.c:\d+: ubsan: shift",
    "ubsan_overflow": r"test_asan\.c:\d+: ubsan: signed addition overflows",
    "ubsan_index": r"test_asan\.c:\d+: ubsan: index outside the array",
}


# They take all memory or all processes that there are: minutes under sanitizers, and the others reach the same code.
HEAVY = {"crowd", "forkbomb", "forkfull", "fuzz", "hog", "large", "memback", "membomb", "scarce", "sharedvm"}


@pytest.fixture(scope="module")
def kernel():
    where = build.path("san")
    status, text = build.make("kernel", "-j2", build=where, SAN=1)
    assert status == 0, text[-3000:]
    return os.path.join(where, "kernel.elf")


@pytest.mark.cost(40)
@pytest.mark.parametrize("name", CRIMES)
def test_caught(kernel, name):
    with Machine(kernel=kernel, append=f"ktest={name}") as m:
        assert m.wait_exit() == STATUS_PANIC, m.error("not caught")
        assert re.search(CRIMES[name], m.console), m.error(f"caught, but not as {CRIMES[name]}")


@pytest.mark.points(3)
@pytest.mark.parametrize("cpus", [1, 4])
def test_kernel_tests(kernel, cpus):
    with Machine(kernel=kernel, cpus=cpus, append="ktest=all", image=build.test_image()) as m:
        m.expect(r"^ktest: \d+ ok, 0 failed", busy=300)
        assert m.wait_exit() == STATUS_OK, m.error("failed")


@pytest.mark.points(5)
@pytest.mark.cost(60)
def test_programs(kernel):
    """The programs of user/tests, on 4 CPUs; what they print is for other tests to judge."""
    with Machine(kernel=kernel, cpus=4, image=build.test_image()) as m:
        sh = Shell(m)
        sh.ok("cd /tmp")
        for name in sorted(set(usertests.names()) - HEAVY):
            sh.quiet(f"/tests/{name}", busy=400)
        m.send("poweroff\n")
        assert m.wait_exit(busy=200) == 0, m.error("not off")
