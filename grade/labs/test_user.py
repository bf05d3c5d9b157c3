"""User programs: Linux is the oracle. Each is run on the host and on Eclipse; output and exit status must be the same.

All programs of a group share one boot. When one of them takes the machine down, it has failed and the next one gets a fresh
machine.
"""

import re

import pytest

from grade.eclipse import build, usertests
from grade.eclipse.qemu import GuestError, Machine
from grade.eclipse.shell import Shell


class Group:
    """One boot for many programs."""

    def __init__(self, cpus):
        self.cpus = cpus
        self.machine = None

    def run(self, name):
        if self.machine is None:
            self.machine = Machine(image=build.test_image(), cpus=self.cpus, archive=build.path("archive.cpio"))
            try:
                self.shell = Shell(self.machine)
                self.shell.ok("cd /tmp")
            except GuestError:
                self.close()
                raise
        try:
            return self.shell.quiet(f"/tests/{name}", busy=90)
        except GuestError:
            self.close()
            raise

    def close(self):
        if self.machine:
            self.machine.close()
        self.machine = None


@pytest.fixture(scope="module")
def groups():
    g = {cpus: Group(cpus) for cpus in (1, 4)}
    yield g
    for group in g.values():
        group.close()


def on_disk():
    out = []
    for cpus in (1, 4):
        for name in usertests.names():
            lab = max(usertests.lab_of(name), 8 if cpus == 1 else 13)
            out.append(pytest.param(name, cpus, id=f"{name}-{cpus}",
                                    marks=[pytest.mark.lab(lab), pytest.mark.xdist_group(f"user{cpus}")]))
    return out


def compare(name, got, tmp_path):
    output, status = got
    if usertests.own_judge(name):
        assert status == 0 and output.rstrip().endswith("ok"), f"status {status}:\n{output}"
        return
    want, want_status = usertests.expected(name, tmp_path)
    if output != want:
        pytest.fail(f"{name}:\n{usertests.difference(output, want)}", pytrace=False)
    assert status == want_status, f"{name}: status {status} on Eclipse, {want_status} on Linux"


@pytest.mark.points(2)
@pytest.mark.parametrize("name,cpus", on_disk())
def test_user(name, cpus, groups, tmp_path):
    compare(name, groups[cpus].run(name), tmp_path)


def early():
    return [pytest.param(name, id=name, marks=pytest.mark.lab(usertests.lab_of(name)))
            for name in usertests.names() if usertests.lab_of(name) < 7 and not usertests.own_judge(name)]


@pytest.mark.points(2)
@pytest.mark.parametrize("name", early())
def test_user_as_init(name, tmp_path):
    """A program of an early lab, as the first process of a kernel of labs 1..N: no shell, no disk, only the archive."""
    lab = usertests.lab_of(name)
    want, status = usertests.expected(name, tmp_path)
    with Machine(kernel=build.kernel(lab), archive=build.path("test-archive.cpio"), append=f"init=/tests/{name}") as m:
        for line in want.splitlines():
            m.expect("^" + re.escape(line) + r"$")
        m.expect(r"init exited with status (\d+)" if status < 128 else "init")
        assert status >= 128 or f"init exited with status {status}" in m.console, m.error(f"{status} on Linux")
