"""Debian's BusyBox, unmodified: scripts whose output and status must be the same as on the host.

grade/guest/bb/NAME.sh exercises one applet; it runs in an empty directory, on the host and, from /tests/bb, on Eclipse.
"""

import os
import shutil
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import GuestError, Machine
from grade.eclipse.shell import Shell
from grade.eclipse.usertests import difference

SCRIPTS = [os.path.basename(f)[:-3] for f in build.sources("grade/guest/bb/*.sh")]


class Guest:
    """One boot for all scripts; a fresh one after a crash."""

    def __init__(self, cpus):
        self.cpus = cpus
        self.machine = None

    def run(self, name):
        if self.machine is None:
            self.machine = Machine(image=build.test_image(), cpus=self.cpus)
            try:
                self.shell = Shell(self.machine)
            except GuestError:
                self.close()
                raise
        try:
            self.shell.ok(f"mkdir -p /tests/w/{name} && cd /tests/w/{name}")
            # BusyBox calls its own applets, as on the host.
            return self.shell.quiet(f"PATH=/usr/bin:/bin /usr/bin/busybox sh ../../bb/{name}.sh", busy=90)
        except GuestError:
            self.close()
            raise

    def close(self):
        if self.machine:
            self.machine.close()
        self.machine = None


@pytest.fixture(scope="module")
def guests():
    g = {cpus: Guest(cpus) for cpus in (1, 4)}
    yield g
    for guest in g.values():
        guest.close()


def on_host(name, tmp_path):
    shutil.copytree(os.path.join(build.ROOT, "grade/guest/bb"), tmp_path / "bb")
    work = tmp_path / "w" / name
    work.mkdir(parents=True)
    env = {"PATH": "/bin:/usr/bin", "HOME": "/root"}
    with open(tmp_path / "out", "w+") as out:
        p = subprocess.run([build.busybox(), "sh", f"../../bb/{name}.sh"], cwd=work, env=env, stdin=subprocess.DEVNULL,
                           stdout=out, stderr=out, timeout=60)
        out.seek(0)
        return out.read(), p.returncode


def cases():
    return [pytest.param(name, cpus, id=f"{name}-{cpus}", marks=pytest.mark.xdist_group(f"busybox{cpus}"))
            for cpus in (1, 4) for name in SCRIPTS]


@pytest.mark.points(2)
@pytest.mark.lab(11)
@pytest.mark.parametrize("name,cpus", cases())
def test_busybox(name, cpus, guests, tmp_path):
    want, want_status = on_host(name, tmp_path)
    got, status = guests[cpus].run(name)
    if got != want:
        pytest.fail(f"{name}:\n{difference(got, want)}", pytrace=False)
    assert status == want_status
