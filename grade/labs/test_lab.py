"""Every lab's kernel builds, boots and says what it has and what it lacks; and can do what its title line says."""

import re

import pytest

from grade.eclipse import build, labs
from grade.eclipse.qemu import Machine
from grade.eclipse.shell import Shell


def each(least=1):
    return [pytest.param(n, marks=pytest.mark.lab(n)) for n in labs.numbers() if n >= least]


def boots():
    """Every lab's kernel directly; through GRUB, which makes no difference to a lab, three of them."""
    return [pytest.param(n, boot, marks=pytest.mark.lab(n)) for boot in ("direct", "bios") for n in labs.numbers()
            if boot == "direct" or n in (1, 4, 8)]


@pytest.mark.points(3)
@pytest.mark.parametrize("lab,boot", boots())
def test_says_what_it_has(lab, boot, tmp_path):
    """A line per lab: `has N title: what` or `lacks N title: what`."""
    image = str(tmp_path / "lab.img") if boot == "bios" else None
    if image:
        make_image(lab, image)
    with Machine(boot=boot, kernel=build.kernel(lab), image=image, archive=build.path("test-archive.cpio")) as m:
        for other in labs.all_labs():
            word = "has" if other.number <= lab else "lacks"
            m.expect(rf"{word}\s+{other.number} {re.escape(other.title)}: {re.escape(other.what)}")


def make_image(lab, image):
    """An image with the kernel of labs 1..lab, as `make LAB=N` makes it."""
    import subprocess
    import sys
    grub = [p for p in ("/usr/lib/grub/i386-pc", "/usr/local/lib/grub/i386-pc") if build.os.path.isdir(p)]
    subprocess.run([sys.executable, build.os.path.join(build.ROOT, "lib/host/mkimage.py"), image,
                    "--boot-img", grub[0] + "/boot.img", "--core", build.need(build.path("grub/core.img")),
                    "--esp", "kernel.elf=" + build.need(build.kernel(lab)),
                    "--esp", "EFI/BOOT/BOOTX64.EFI=" + build.need(build.path("grub/bootx64.efi")),
                    "--esp", "grub/grub.cfg=" + build.os.path.join(build.ROOT, "lib/host/grub.cfg"),
                    "--esp", "archive=" + build.need(build.path("test-archive.cpio")),
                    "--root", build.need(build.path("test-rootfs.img"))], check=True)


@pytest.mark.points(3)
@pytest.mark.parametrize("lab", each(7))
def test_shell_from_the_archive(lab):
    """From lab 7 on there is a shell, also without a disk: pipes, files, listings."""
    with Machine(kernel=build.kernel(lab), archive=build.path("archive.cpio")) as m:
        sh = Shell(m)
        assert "sh" in sh.ok("ls /bin").split()
        assert sh.ok("echo one two | wc -w").strip() == "2"
        assert sh.ok("echo kept > /tmp/f; cat /tmp/f") == "kept\n"


@pytest.mark.points(3)
@pytest.mark.parametrize("lab", each(8))
def test_root_on_disk(lab):
    """From lab 8 on the root is on the disk, and BusyBox is there."""
    with Machine(kernel=build.kernel(lab), image=build.test_image(), archive=build.path("archive.cpio")) as m:
        sh = Shell(m)
        assert sh.ok("busybox echo from the disk") == "from the disk\n"
        assert sh.ok("cat /etc/hostname") == "eclipse\n"


@pytest.mark.points(2)
@pytest.mark.lab(10)
def test_procfs():
    with Machine(kernel=build.kernel(), image=build.test_image(), archive=build.path("archive.cpio")) as m:
        sh = Shell(m)
        assert re.search(r"^\s*1\b.*init", sh.ok("ps"), re.M)
        assert re.search(r"^MemFree:\s+\d+ kB", sh.ok("cat /proc/meminfo"), re.M)
        assert re.search(r"^\s*1 .*init", sh.ok("busybox ps"), re.M)
        assert re.search(r"Mem:\s+\d+", sh.ok("busybox free"))


@pytest.mark.points(2)
@pytest.mark.lab(11)
def test_interrupt_character():
    with Machine(kernel=build.kernel(), image=build.test_image(), archive=build.path("archive.cpio")) as m:
        sh = Shell(m)
        m.send("echo sta''rted; sleep 1000\n")
        m.expect(r"^started\n")
        m.drain(0.5)
        m.send("\x03")
        m.expect(sh.prompt)
        assert sh.run("echo $?")[0] == "130\n"


@pytest.mark.points(2)
@pytest.mark.lab(13)
@pytest.mark.parametrize("cpus", [2, 4, 8])
def test_every_cpu_works(cpus):
    """All CPUs are in /proc/stat, and all of them get something to do."""
    with Machine(kernel=build.kernel(), image=build.test_image(), archive=build.path("archive.cpio"), cpus=cpus) as m:
        sh = Shell(m)
        burn = "busybox awk 'BEGIN { while (i < 200000) i++ }' & "
        sh.run(burn * cpus + "wait", busy=200)
        busy = re.findall(r"^cpu\d+ (\d+) \d+ (\d+)", sh.ok("cat /proc/stat"), re.M)
        assert len(busy) == cpus
        assert all(int(u) + int(s) > 0 for u, s in busy), f"idle CPUs: {busy}"
