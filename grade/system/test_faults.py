"""Disks that fail while a file system on them is in use: EIO to who asked, nothing lost that was promised, the
machine goes on."""

import re
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import Machine, disk_args
from grade.eclipse.shell import Shell
from grade.system.vhost import MODES, Disk

pytestmark = pytest.mark.lab(11)

# One file after the other, each made durable; prints the numbers of those for which that was said.
WRITE = ("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "
         "busybox dd if=/bin/cat of=/mnt/f$i bs=1000 count=3 conv=fsync 2>/dev/null && echo kept $i; done")


def small_disk(tmp_path):
    disk = tmp_path / "disk.img"
    subprocess.run([build.tool("mkfs.eclipsefs"), "-q", "-s", "16M", "-J", "256K", str(disk)], check=True)
    return disk


def kept(output):
    return [int(line.split()[1]) for line in output.splitlines() if line.startswith("kept ")]


def check_kept(disk, numbers):
    """What was promised is there, seen by the host; fsck can mend what there is to mend."""
    with open(disk, "rb") as f:
        before = f.read()
    for i in numbers:
        cat = [build.tool("eclipsefs"), "cat", str(disk), f"/f{i}"]
        assert len(subprocess.run(cat, check=True, stdout=subprocess.PIPE).stdout) == 3000, f"/f{i}"
    with open(disk, "rb") as f:
        assert f.read() == before
    for how, good in ("-y", (0, 1)), ("-n", (0,)):
        fsck = [build.tool("fsck.eclipsefs"), how, str(disk)]
        assert subprocess.run(fsck, stdout=subprocess.DEVNULL).returncode in good


@pytest.mark.points(3)
@pytest.mark.parametrize("kind", ["virtio", "ata"])
def test_journal_cannot_be_written(kind, tmp_path):
    """One bad sector in the log: fsync fails from then on, the file system is read-only, promises are kept."""
    disk = small_disk(tmp_path)
    config = tmp_path / "rules.conf"
    log_block = 16 + 30                             # mkfs puts the log at block 16
    config.write_text('[inject-error]\nevent = "none"\niotype = "write"\nerrno = "5"\nonce = "off"\n'
                      f'sector = "{log_block * 8}"\n')
    spec = ["driver=raw", "file.driver=blkdebug", f"file.config={config}", "file.image.driver=file",
            f"file.image.filename={disk}"]
    with Machine(image=build.test_image(), extra=disk_args(kind, spec, True, "disk1", boot=False)) as m:
        sh = Shell(m)
        sh.ok(f"mount -t eclipsefs /dev/{'vdb' if kind == 'virtio' else 'sda'} /mnt")
        output, _ = sh.run(WRITE, idle=100)
        done = kept(output)
        assert 0 < len(done) < 20 and done == list(range(1, len(done) + 1)), output
        assert sh.run("echo x > /mnt/new")[1] != 0
        assert sh.ok("busybox wc -c < /mnt/f1").strip() == "3000"
        sh.run("umount /mnt", idle=100)
        assert sh.ok("echo alive | cat") == "alive\n"
        assert sh.poweroff() == 0
    check_kept(disk, done)


PCI_EJECT, PCI_SELECT = 0xAE08, 0xAE10              # QEMU's ACPI hot-plug controller


@pytest.mark.points(3)
def test_disk_vanishes(tmp_path):
    """The device is pulled out while it is written to: device_del, and from outside the ejection that the guest's
    firmware would do. Errors to who asks, and the machine goes on."""
    disk = small_disk(tmp_path)
    words = disk_args("virtio", str(disk), True, "disk1", boot=False)
    words[-1] += ",id=gone,addr=0x1e"
    with Machine(image=build.test_image(), extra=words) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt")
        done = kept(sh.run(WRITE, idle=100)[0])
        assert len(done) == 20
        sh.m.send("busybox sh -c 'n=0; while busybox dd if=/bin/cat of=/mnt/more bs=1000 conv=fsync 2>/dev/null; "
                  "do n=$((n+1)); test $n = 3 && echo bu''sy; done; echo en''ded' &\n")
        m.expect("busy\\n")
        m.qmp("device_del", id="gone")
        m.monitor(f"o /4 {PCI_SELECT:#x} 0")
        m.monitor(f"o /4 {PCI_EJECT:#x} {1 << 0x1e:#x}")
        assert "gone" not in m.monitor("info pci"), "the device is still there"
        m.expect("ended\\n", idle=100)
        m.send("\n")
        m.expect(sh.prompt)
        assert sh.run("echo x > /mnt/new; busybox dd if=/mnt/f1 of=/mnt/f2 conv=fsync", idle=100)[1] != 0
        sh.run("sync; umount /mnt", idle=100)
        assert sh.ok("echo alive | cat") == "alive\n"
        assert sh.poweroff() == 0
    check_kept(disk, done)


@pytest.mark.points(2)
def test_slow_disk(tmp_path):
    """A disk that takes its time for everything loses nothing."""
    disk = small_disk(tmp_path)
    spec = [f"file={disk}", "format=raw", "throttling.iops-total=60"]
    with Machine(image=build.test_image(), extra=disk_args("virtio", spec, True, "disk1", boot=False)) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt", idle=100)
        done = kept(sh.run(WRITE, idle=100, wall=100)[0])
        sh.ok("umount /mnt", idle=100)
        assert len(done) == 20
    check_kept(disk, done)


@pytest.mark.points(2)
@pytest.mark.parametrize("mode", [m for m in MODES if m != "good"])
def test_device_lies(mode, tmp_path):
    """A VirtIO disk that is no good any more, in one of many ways: EIO or the truth to who reads, never something
    else; what was promised is there; the machine goes on."""
    disk = small_disk(tmp_path)
    with Disk(str(disk)) as d, Machine(image=build.test_image(), extra=d.qemu_args(512)) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt", idle=100)
        assert d.asked > 0
        done = kept(sh.run(WRITE, idle=100)[0])
        assert len(done) == 20, d.problem
        sh.ok("umount /mnt; mount -t eclipsefs /dev/vdb /mnt", idle=100)
        d.mode = mode
        output, status = sh.run("busybox cmp -n 3000 /mnt/f1 /bin/cat 2>&1", idle=100)
        assert (status == 0) == (mode in ("slow", "no-write", "no-flush")), output
        assert "differ" not in output and "EOF" not in output, output
        if status:
            assert re.search("I/O error|Input/output error|No such device", output), output
        promised = kept(sh.run("busybox dd if=/bin/cat of=/mnt/f21 bs=1000 count=3 conv=fsync 2>/dev/null && "
                               "echo kept 21", idle=100)[0])
        assert mode == "no-read" or promised == ([21] if mode == "slow" else []), d.problem
        d.mode = "good"
        sh.run("umount /mnt", idle=100)
        assert sh.ok("echo alive | cat") == "alive\n"
        assert sh.poweroff() == 0
    assert d.problem is None
    check_kept(disk, done + promised)
