"""Runs one workload in QEMU and keeps what its disk was told.

record(name, log, ...) makes a small file system, boots the kernel with it as /dev/vda and a marker disk as
/dev/vdb, and runs user/tests/crash.c. Raises RecordError with the end of the console when the workload did
not come to its end.
"""

import itertools
import os
import struct
import subprocess
import tempfile

from grade.eclipse.nbd import FLUSH, WRITE, Recorder
from grade.eclipse import build

# name: (MiB of disk, KiB of journal, CPUs)
WORKLOADS = {
    "append": (4, 256, 1), "storm": (4, 256, 1), "overwrite": (4, 256, 1), "grow": (4, 256, 1),
    "truncate": (4, 256, 1), "full": (4, 256, 1), "reuse": (4, 512, 1), "many": (8, 512, 4),
    "trees": (4, 256, 1), "links": (4, 256, 1), "mmap": (4, 256, 1),
    "orphans": (4, 256, 1), "mixture": (4, 256, 1), "idle": (4, 256, 1),
    "badwrites": (2, 256, 1), "badlog": (2, 256, 1), "badflush": (2, 256, 1),
}
LOG = (16 * 4096, (16 + 64) * 4096)             # where mkfs puts the log of these disks


def bad_blocks(in_log, rate):
    """Blocks go bad: from then on every write to them fails."""
    bad = set()

    def fails(rng, kind, offset, length):
        here = range(offset // 4096, (offset + length + 4095) // 4096)
        if kind == WRITE and (LOG[0] <= offset < LOG[1]) == in_log and rng.randrange(rate) == 0:
            bad.add(rng.choice(here))
        return kind == WRITE and any(b in bad for b in here)
    return fails


def bad_flushes(rate):
    flushes = itertools.count()

    def fails(rng, kind, offset, length):
        return kind == FLUSH and next(flushes) > 8 and rng.randrange(rate) == 0        # mounted by then
    return fails


# Workloads on disks that fail, and how
FAULTS = {
    "badwrites": lambda: bad_blocks(False, 40),
    "badlog": lambda: bad_blocks(True, 60),
    "badflush": lambda: bad_flushes(30),
}
PATIENCE = 90


class RecordError(AssertionError):
    """The guest did not do its part."""


def make_disk(path, mib, journal_kib):
    argv = [build.tool("mkfs.eclipsefs"), "-q", "-s", f"{mib}M", "-J", f"{journal_kib}K", path]
    subprocess.run(argv, check=True)


def boot(args, command, kernel=None, archive=None, cpus=1, mem=128, patience=PATIENCE):
    """One QEMU run of `command` as the only program. Returns what the console said."""
    archive = build.need(archive or build.path("test-archive.cpio"))
    argv = [build.QEMU, "-machine", "pc", "-cpu", "max", "-accel", "tcg", "-m", str(mem), "-smp", str(cpus),
            "-display", "none", "-nodefaults", "-no-user-config", "-net", "none", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", build.need(kernel or build.kernel()),
            "-initrd", archive, "-append", f"root=none loglevel=4 init=/bin/init -- {command}", *args]
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=patience)
    except subprocess.TimeoutExpired as e:
        raise RecordError(f"{command}: not done after {patience} s:\n" + tail(e.stdout or b"")) from None
    console = p.stdout.decode("utf-8", "replace").replace("\r", "")
    if p.returncode != 0:
        raise RecordError(f"{command}: QEMU ended with status {p.returncode}:\n" + console[-3000:])
    return console


def tail(text):
    return text.decode("utf-8", "replace").replace("\r", "")[-3000:]


def record(name, log, seed=1, kernel=None, archive=None):
    """Records workload `name` into the file `log`. Returns the number of events."""
    mib, journal, cpus = WORKLOADS[name]
    with tempfile.TemporaryDirectory(prefix="eclipse-crash-") as folder:
        image = os.path.join(folder, "disk.img")
        make_disk(image, mib, journal)
        with open(image, "rb") as f:
            start = f.read()
        unfinished = log + ".part"
        with Recorder(start, unfinished, seed, FAULTS[name]() if name in FAULTS else None) as r:
            command = f"/tests/crash {name} /dev/vda /dev/vdb {seed}"
            console = boot(r.qemu_args(), command, kernel, archive, cpus)
        if r.problem:
            raise RecordError(f"recording {name}: {r.problem}")
        if f"crash: {name}: done" not in console:
            raise RecordError(f"workload {name} failed:\n{console[-3000:]}")
    os.replace(unfinished, log)
    return r.events


def load(log, image, seconds, seed=1, cpus=4, mem=96, hog=44, kernel=None, archive=None):
    """Eight processes on `cpus` CPUs for so many seconds, short of memory. Leaves the unmounted disk in
    `image`, and in `log` a recording of that disk and all announcements. Returns the number of operations."""
    make_disk(image, 64, 2048)
    with Recorder(b"", log + ".part") as r:
        args = ["-drive", f"file={image},format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d"]
        command = f"/tests/crash load /dev/vda /dev/vdb {seed} {seconds} {hog}"
        args += r.qemu_args(["marks"])
        console = boot(args, command, kernel, archive, cpus, mem, PATIENCE + 4 * seconds)
    if r.problem:
        raise RecordError(f"recording load: {r.problem}")
    if "crash: load: done" not in console:
        raise RecordError(f"workload load failed:\n{console[-3000:]}")
    with open(log + ".part", "rb") as f, open(log, "wb") as g, open(image, "rb") as d:
        disk = d.read()
        g.write(b"ECRASH01" + struct.pack("<Q", len(disk)) + disk)
        f.seek(16)
        g.write(f.read())
    os.unlink(log + ".part")
    return r.events
