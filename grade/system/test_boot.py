"""The same image by every firmware and from every disk, from GRUB to the shell and off again."""

import re

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import STATUS_POWEROFF, Machine, cpu_seconds, disk_args
from grade.eclipse.shell import Shell

pytestmark = pytest.mark.lab(11)


def session(m, root):
    """A first look round, then off: what README.md promises."""
    sh = Shell(m)
    assert sh.ok("echo hello, world") == "hello, world\n"
    assert "Linux" in sh.ok("uname") or "Eclipse" in sh.ok("uname")
    assert sh.ok("ls /").split() >= ["bin"], "no /bin"
    assert re.search(r"\b1\b.*\b3\b.*\b14\b", sh.ok("echo one two three | wc"))
    mounts = sh.ok("cat /proc/mounts")
    assert re.search(root + r" / ", mounts), f"the root is not {root}:\n{mounts}"
    assert sh.run("false")[1] == 1
    assert sh.poweroff() == STATUS_POWEROFF


@pytest.mark.points(3)
@pytest.mark.parametrize("boot,disk,root", [
    ("bios", "virtio", "/dev/vda2"), ("bios", "ata", "/dev/sda2"), ("bios", "virtio-modern", "/dev/vda2"),
    pytest.param("uefi", "virtio", "/dev/vda2", marks=pytest.mark.cost(10)),
    pytest.param("uefi", "ata", "/dev/sda2", marks=pytest.mark.cost(10)),
    ("direct", "virtio", "/dev/vda2"), ("direct", "ata", "/dev/sda2"), ("direct", "virtio-mmio", "/dev/vda2"),
])
def test_session(boot, disk, root):
    with Machine(boot=boot, disk=disk, image=build.path("eclipse.img")) as m:
        session(m, root)


@pytest.mark.points(3)
@pytest.mark.parametrize("boot", ["bios", pytest.param("uefi", marks=pytest.mark.cost(10))])
def test_usb_stick(boot):
    """There is no USB driver: the kernel says that it finds no root disk and starts init from the boot archive."""
    with Machine(boot=boot, disk="usb", image=build.path("eclipse.img")) as m:
        sh = Shell(m)
        assert re.search(r"root", m.console, re.I), m.error("no word on the missing root disk")
        assert "init" in sh.ok("ls /bin").split()
        assert sh.poweroff() == STATUS_POWEROFF


@pytest.mark.parametrize("cpus,mem", [(1, 64), (1, 512), (1, 4096), (2, 128), (4, 512), (8, 512)])
def test_sizes(cpus, mem):
    with Machine(image=build.path("eclipse.img"), cpus=cpus, mem=mem) as m:
        sh = Shell(m)
        info = sh.ok("cat /proc/meminfo")
        total = int(re.search(r"MemTotal:\s+(\d+) kB", info)[1])
        assert mem * 1024 * 0.85 < total <= mem * 1024, f"{total} kB of {mem} MiB"
        stat = sh.ok("cat /proc/stat")
        assert len(re.findall(r"^cpu\d+ ", stat, re.M)) == cpus
        assert sh.poweroff() == STATUS_POWEROFF


@pytest.mark.points(2)
def test_reboot():
    with Machine(boot="bios", image=build.path("eclipse.img")) as m:
        sh = Shell(m)
        m.send("reboot\n")
        again = Shell(m)
        assert again.ok("echo back") == "back\n"
        assert sh.poweroff() == STATUS_POWEROFF


@pytest.mark.points(2)
def test_no_disk():
    """Without a disk: a message, and init from the boot archive."""
    with Machine() as m:
        sh = Shell(m)
        assert re.search(r"root", m.console, re.I)
        assert sh.ok("echo alive") == "alive\n"


@pytest.mark.points(2)
def test_many_disks_without_a_root(tmp_path):
    """With several disks the BIOS reserves part of the memory where QEMU has put the boot archive: it is used all the same."""
    extra = []
    for i in range(6):
        name = tmp_path / f"empty{i}.img"
        name.write_bytes(bytes(1 << 20))
        extra += disk_args("virtio", str(name), False, f"empty{i}", boot=False)
    with Machine(extra=extra) as m:
        assert Shell(m).ok("ls /dev/vdf") == "/dev/vdf\n"


def test_boot_is_quick():
    """From `qemu -kernel` to the prompt in under a second of CPU time, QEMU's own start included."""
    best = 99.0
    for _ in range(3):
        with Machine(image=build.path("eclipse.img")) as m:
            Shell(m)
            best = min(best, cpu_seconds(m.process.pid) or 0)
    assert best < 1.0, f"{best:.2f} s of CPU time until the prompt"


@pytest.mark.points(2)
def test_kernel_words_reach_the_kernel():
    """`make qemu APPEND=...` works through GRUB too."""
    for boot in ("bios", "direct"):
        with Machine(boot=boot, image=build.path("eclipse.img"), append="loglevel=4 some,thing=1") as m:
            sh = Shell(m)
            assert "loglevel=4 some,thing=1" in sh.ok("cat /proc/cmdline")


@pytest.mark.points(2)
@pytest.mark.parametrize("boot,size", [("bios", 10240), ("direct", 4095)])
def test_kernel_words_of_10_kib(boot, size):
    """Far more words than the kernel keeps. `qemu -kernel` itself keeps 4 KiB: its loader has no larger buffer."""
    words = "x" * 3000 + " y=" + "z" * 1000 + " " + "w " * 3500
    with Machine(boot=boot, image=build.path("eclipse.img"), append=words[:size]) as m:
        assert Shell(m).ok("echo alive") == "alive\n"


def test_init_word():
    """init= chooses the first program, and the words after -- are its arguments."""
    with Machine(image=build.path("eclipse.img"), append="init=/bin/echo -- one two") as m:
        m.expect(r"^one two\n")


@pytest.mark.parametrize("append", ["root=/dev/vda2", "root=/dev/nonsense", "root=", "console=ttyS0",
                                    "console=nowhere", "loglevel=99999999999999999999", "panic=x", "=", "root=/dev/vda1", "x" * 300])
def test_odd_words(append):
    """No kernel word takes the machine down: the shell comes up, by the fall-back if need be."""
    if append in ("console=nowhere",):
        return check_silent(append)
    with Machine(image=build.path("eclipse.img"), append=append) as m:
        assert Shell(m).ok("echo alive") == "alive\n"


def test_init_that_is_not_there():
    """A first program that cannot be started is named; that is no panic."""
    with Machine(image=build.path("eclipse.img"), append="init=/nowhere") as m:
        m.expect(r"/nowhere")
        m.drain(2)
        assert "panic" not in m.console, m.error("a panic")


def check_silent(append):
    with Machine(image=build.path("eclipse.img"), append=append) as m:
        m.drain(2)
        assert m.process.poll() is None, m.error("the machine ended")
