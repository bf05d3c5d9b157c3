"""What is written stays written, on every transport; the host's tools agree with the kernel about it."""

import re
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import STATUS_POWEROFF, Machine, disk_args
from grade.eclipse.shell import Shell
from grade.host import test_eclipsefs as efs

pytestmark = pytest.mark.lab(8)


def fsck(image):
    p = subprocess.run([build.tool("fsck.eclipsefs"), "-n", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, f"fsck says {p.returncode}:\n{p.stdout}"


def workload(sh):
    """A little of everything, checked by sums: the same on all transports."""
    sh.ok("mkdir -p /work/a/b; cd /work")
    sh.ok("for i in 1 2 3 4 5 6 7 8 9; do echo file $i > a/f$i; done")
    sh.ok("busybox seq 1 60000 > numbers; cp numbers a/b/copy; mv a/f1 a/b/moved; rm a/f2; ln numbers hard; ln -s numbers soft")
    sh.ok("busybox dd if=/dev/zero of=big bs=64k count=64 2>/dev/null; busybox dd if=numbers of=big bs=4096 seek=900 conv=notrunc 2>/dev/null")
    sh.ok("echo tail >> a/b/copy; rmdir a/none 2>/dev/null; sync; cd /")
    return sh.ok("cd /work; busybox md5sum numbers a/b/copy a/b/moved big soft hard; ls a; cd /")


@pytest.fixture(scope="module")
def sums():
    return {}


@pytest.mark.points(3)
@pytest.mark.cost(20)
@pytest.mark.xdist_group("transports")
@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("disk", ["virtio", "virtio-modern", "ata", "virtio-mmio"])
def test_workload(disk, cpus, tmp_path, sums):
    image = build.copy_sparse(build.path("eclipse.img"), str(tmp_path / "disk.img"))
    with Machine(disk=disk, image=image, writable=True, cpus=cpus) as m:
        sh = Shell(m)
        first = workload(sh)
        assert sh.poweroff() == STATUS_POWEROFF
    fsck(image)
    with Machine(disk=disk, image=image, writable=True, cpus=cpus) as m:
        sh = Shell(m)
        again = sh.ok("cd /work; busybox md5sum numbers a/b/copy a/b/moved big soft hard; ls a; cd /")
        assert again == first, "what was written reads differently after a new start"
        sh.ok("rm -r /work; sync")
        assert sh.poweroff() == STATUS_POWEROFF
    fsck(image)
    assert sums.setdefault("sums", first) == first, "another transport gave other contents"
    assert re.search(r"^[0-9a-f]{32}  numbers$", first, re.M)


@pytest.mark.points(2)
def test_host_reads_what_the_guest_wrote(tmp_path):
    image = build.copy_sparse(build.path("eclipse.img"), str(tmp_path / "disk.img"))
    with Machine(image=image, writable=True) as m:
        sh = Shell(m)
        sh.ok("mkdir /there; echo from the guest > /there/letter; sync")
        assert sh.poweroff() == STATUS_POWEROFF
    fsck(image)
    out = subprocess.run([build.tool("eclipsefs"), "cat", image, "/there/letter"], stdout=subprocess.PIPE, text=True)
    assert (out.returncode, out.stdout) == (0, "from the guest\n")


@pytest.mark.points(2)
def test_reboot_keeps_files(tmp_path):
    image = build.copy_sparse(build.path("eclipse.img"), str(tmp_path / "disk.img"))
    with Machine(boot="bios", image=image, writable=True) as m:
        sh = Shell(m)
        sh.ok("echo kept > /kept")
        m.send("reboot\n")
        sh = Shell(m)
        assert sh.ok("cat /kept") == "kept\n"
        assert sh.poweroff() == STATUS_POWEROFF
    fsck(image)


def test_second_disk(tmp_path):
    """Two disks, one of them of another kind; mounted beside the root."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "note").write_text("on the second disk\n")
    second = str(tmp_path / "second.img")
    subprocess.run([build.tool("mkfs.eclipsefs"), "-d", str(tree), "-s", "16M", second], check=True, stdout=subprocess.DEVNULL)
    for kind, name in (("virtio", "/dev/vdb"), ("ata", "/dev/sda")):
        with Machine(image=build.path("eclipse.img"), extra=disk_args(kind, second, True, "disk1", boot=False)) as m:
            sh = Shell(m)
            sh.ok(f"mount -t eclipsefs {name} /mnt")
            assert sh.ok("cat /mnt/note") == "on the second disk\n"
            sh.ok(f"echo {kind} > /mnt/{kind}; umount /mnt")
            assert sh.poweroff() == STATUS_POWEROFF
    fsck(second)


@pytest.mark.points(2)
def test_version_2_image(tmp_path):
    """An image of EclipseFS 2.0 mounts beside the root, read-only; another version is refused by name."""
    good, newer = str(tmp_path / "v2.img"), str(tmp_path / "v9.img")
    with open(good, "wb") as f:
        f.write(efs.v2_image(efs.V2, checksum=True).ljust(1 << 17, b"\0"))
    with open(newer, "wb") as f:
        f.write(efs.v2_image(efs.V2, version=0x00090001).ljust(1 << 17, b"\0"))
    extra = disk_args("virtio", good, False, "good", boot=False) + disk_args("virtio", newer, False, "newer", boot=False)
    with Machine(image=build.path("eclipse.img"), extra=extra) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt")
        assert sh.ok("ls /mnt").split() == ["bin", "readme.txt"]
        assert sh.ok("cat /mnt/readme.txt; echo") == "read me\n"
        assert sh.ok("cat /mnt/bin/sh | wc -c").strip() == "17000"
        assert sh.ok("busybox readlink /mnt/bin/sh") == "hello\n"
        output, status = sh.run("echo x > /mnt/readme.txt")
        assert status != 0 and "ead-only" in output, output
        sh.ok("umount /mnt")
        output, status = sh.run("mount -t eclipsefs /dev/vdc /mnt")
        assert status != 0
        assert re.search(r"9\.1|0x0*90001", m.console), m.error("the version found is not named")


@pytest.mark.points(2)
def test_full_disk(tmp_path):
    """A disk that fills up gives ENOSPC to who fills it; removing the file gives the room back."""
    second = str(tmp_path / "small.img")
    subprocess.run([build.tool("mkfs.eclipsefs"), "-s", "8M", second], check=True, stdout=subprocess.DEVNULL)
    with Machine(image=build.path("eclipse.img"), extra=disk_args("virtio", second, True, "disk1", boot=False)) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt")
        sh.ok("echo x > /mnt/x; rm /mnt/x; sync")          # the directory has its first block
        before = sh.ok("busybox df /mnt")
        output, status = sh.run("busybox dd if=/dev/zero of=/mnt/all bs=64k 2>&1; sync")
        assert "No space left" in output, output
        sh.ok("rm /mnt/all; sync")
        assert sh.ok("busybox df /mnt") == before
        sh.ok("umount /mnt")
        assert sh.poweroff() == STATUS_POWEROFF
    fsck(second)
