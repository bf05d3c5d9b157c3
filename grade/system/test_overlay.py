"""ROOTFS=dir is laid over the root file system of the image: what a course adds is there, modes and links included."""

import os
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import STATUS_POWEROFF, Machine
from grade.eclipse.shell import Shell

pytestmark = pytest.mark.lab(8)


@pytest.mark.points(2)
def test_rootfs_overlay(tmp_path):
    overlay = tmp_path / "overlay"
    (overlay / "opt").mkdir(parents=True)
    (overlay / "etc").mkdir()
    (overlay / "opt" / "tool").write_text("#!/bin/sh\necho the tool says $1\n")
    (overlay / "opt" / "tool").chmod(0o755)
    (overlay / "opt" / "link").symlink_to("tool")
    (overlay / "etc" / "hostname").write_text("elsewhere\n")
    image = str(tmp_path / "root.img")
    programs = sorted(str(p) for p in map(build.path, os.listdir(build.path("user/strip/bin"))))
    programs = [build.path("user/strip/bin", os.path.basename(p)) for p in programs]
    env = dict(os.environ, OVERLAY=str(overlay), BUSYBOX="", MKFS=build.tool("mkfs.eclipsefs"), SIZE="16M", TESTS="", DATA="")
    p = subprocess.run(["sh", os.path.join(build.ROOT, "lib/host/mkroot.sh"), image, str(tmp_path / "root"), *programs], env=env,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    # A bare file system without a partition table is a disk too: root= names it.
    with Machine(image=image, append="root=/dev/vda") as m:
        sh = Shell(m)
        assert sh.ok("cat /etc/hostname") == "elsewhere\n"
        assert sh.ok("/opt/link hello") == "the tool says hello\n"
        assert sh.run("/nowhere/x 2>/dev/null")[1] == 127
        assert sh.poweroff() == STATUS_POWEROFF
