"""`make crash`: record the workloads, cut the power everywhere, let the kernel recover a sample, and try
the mutants.

Idea.       record.py makes $(B)/crash/NAME.log; crashcheck (check.c) looks at thousands of images of each;
            a few images of each are also mounted, walked, changed and unmounted by the kernel itself and
            judged again; one recovery of each is recorded like a workload, and the power is cut in it,
            too. Mutants: mutants.py.
Interface.  python3 -m grade.crash.run; see crash.mk. The functions are what test_crash.py calls.
"""

import argparse
import concurrent.futures
import os
import random
import re
import struct
import subprocess
import sys
import time
import zlib

from grade.crash import record
from grade.eclipse.nbd import Recorder
from grade.eclipse import build

DISKS = 15                     # crashed disks, as partitions of one disk, in one boot


class CrashError(AssertionError):
    """A promise was broken; the text says which and how to see it again."""


def folder(*parts):
    path = build.path("crash", *parts)
    os.makedirs(path, exist_ok=True)
    return path


def log_of(name, where=None):
    return os.path.join(where or folder(), name + ".log")


def checker(log, *args):
    """Runs crashcheck; returns (status, output)."""
    p = subprocess.run([build.tool("crashcheck"), *map(str, args), log], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, errors="replace")
    return p.returncode, p.stdout


def check(log, seed=1, images=1000, jobs=1, more=()):
    """Explores a recording. Returns (images looked at, report); raises CrashError."""
    status, out = checker(log, "-s", seed, "-n", images, "-j", jobs, *more)
    if status:
        raise CrashError(out.strip())
    return int(re.search(r"(\d+) images", out)[1]), out.strip().splitlines()[-1]


def points_of(log):
    """The number of events in a recording, without its data."""
    n = 0
    with open(log, "rb") as f:
        size = struct.unpack("<8xQ", f.read(16))[0]
        f.seek(size, os.SEEK_CUR)
        while len(head := f.read(24)) == 24:
            f.seek(struct.unpack("<16xI4x", head)[0], os.SEEK_CUR)
            n += 1
    return n


# ---------------------------------------------------------------- the kernel's own recovery

def make_samples(log, where, seed, count):
    """Images at random points. Returns [(image, point)]."""
    rng = random.Random(seed)
    name = os.path.basename(log)[:-4]
    out = []
    points = points_of(log)
    for k in range(count):
        point = (points - 1) * (k + 1) // (count + 1) + rng.randrange(-5, 6)
        image = os.path.join(where, f"{name}-{k}.img")
        status, text = checker(log, "-q", "-s", seed, "-p", point, "-v", rng.randrange(8), "-o", image)
        if status:
            raise CrashError(f"{name}: point {point} is bad already:\n{text}")
        out.append((image, point))
    return out


SECTOR = 512
LINUX_GUID = bytes.fromhex("af3dc60f838472478e793d69d8477de4")


def gpt_disk(images, path):
    """One disk with each image as a partition. Returns the byte offsets."""
    start, entries, offsets = 2048, b"", []
    for k, image in enumerate(images):
        n = os.path.getsize(image) // SECTOR
        entries += LINUX_GUID + bytes([k + 1] * 16) + struct.pack("<QQQ", start, start + n - 1, 0) + bytes(72)
        offsets.append(start * SECTOR)
        start += n
    entries = entries.ljust(128 * 128, b"\0")
    total = start + 64

    def header(mine, other, table):
        def head(crc):
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, mine, other, 34,
                               total - 34, b"\x77" * 16, table, 128, 128, zlib.crc32(entries))
        return head(zlib.crc32(head(0)))

    with open(path, "wb") as f:
        f.truncate(total * SECTOR)
        mbr = struct.pack("<4B4BII", 0, 0, 2, 0, 0xEE, 255, 255, 255, 1, total - 1)
        f.write(bytes(446) + mbr + bytes(48) + b"\x55\xaa")
        f.write(header(1, total - 1, 2).ljust(SECTOR, b"\0") + entries)
        for image, at in zip(images, offsets):
            with open(image, "rb") as g:
                f.seek(at)
                f.write(g.read())
        f.seek((total - 33) * SECTOR)
        f.write(entries + header(total - 1, 1, total - 33).ljust(SECTOR, b"\0"))
    return offsets


def kernel_recovers(samples, where, kernel=None, archive=None):
    """Lets the kernel mount, walk, change and unmount [(log, image, point)], then judges what it left.
    Raises CrashError."""
    for at in range(0, len(samples), DISKS):
        part = samples[at:at + DISKS]
        disk = os.path.join(where, "all.img")
        offsets = gpt_disk([s[1] for s in part], disk)
        names = " ".join(f"/dev/vda{k + 1}" for k in range(len(part)))
        args = ["-drive", f"file={disk},format=raw,if=none,id=d", "-device", "virtio-blk-pci,drive=d"]
        try:
            console = record.boot(args, "/tests/crash walk " + names, kernel, archive)
        except record.RecordError as e:
            raise CrashError(str(e)) from None
        if f"crash: walked {len(part)} disks, 0 bad" not in console:
            raise CrashError(f"the kernel could not use {[s[1] for s in part]}:\n{console[-3000:]}")
        for (log, image, point), offset in zip(part, offsets):
            with open(disk, "rb") as f, open(image + ".after", "wb") as g:
                f.seek(offset)
                g.write(f.read(os.path.getsize(image)))
            fsck = [build.tool("fsck.eclipsefs"), "-n", image + ".after"]
            p = subprocess.run(fsck, stdout=subprocess.PIPE, text=True)
            status, out = checker(log, "-p", point, "-i", image + ".after")
            if p.returncode or status or "note" in p.stdout:
                raise CrashError(f"{image}, recovered by the kernel to {image}.after:\n{p.stdout}{out}")
            os.unlink(image + ".after")


def recovery_recorded(log, image, point, out, seed=1, images=500, jobs=1, kernel=None, archive=None):
    """Records the recovery of `image` and cuts the power in it, too. Returns the number of images."""
    with open(image, "rb") as f:
        start = f.read()
    with Recorder(start, out, seed) as r:
        try:
            console = record.boot(r.qemu_args(), "/tests/crash walk /dev/vda", kernel, archive)
        except record.RecordError as e:
            raise CrashError(str(e)) from None
    if "crash: walked 1 disks, 0 bad" not in console:
        raise CrashError(f"the kernel could not use {image}:\n{console[-3000:]}")
    return check(out, seed, images, jobs, ("-m", log, "-M", point))[0]


# ---------------------------------------------------------------- load

def under_load(where, seconds, seed=1, mem=64, hog=36):
    """Eight processes on four CPUs, short of memory: afterwards fsck is clean and every name and byte is
    what the model says. Returns the number of operations; raises CrashError."""
    log, image = os.path.join(where, "load.log"), os.path.join(where, "load.img")
    try:
        n = record.load(log, image, seconds, seed, mem=mem, hog=hog)
    except record.RecordError as e:
        raise CrashError(str(e)) from None
    p = subprocess.run([build.tool("fsck.eclipsefs"), "-n", image], stdout=subprocess.PIPE, text=True)
    status, out = checker(log, "-p", points_of(log) - 1, "-i", image)
    if p.returncode or status or "note" in p.stdout:
        raise CrashError(f"after {n} operations under load:\n{p.stdout}{out}")
    return n


# ---------------------------------------------------------------- everything

def one_workload(name, args, where):
    """Record and explore. Returns (images, report)."""
    log = log_of(name, where)
    record.record(name, log, args.seed)
    return check(log, args.seed, args.images)


def explore_all(names, args):
    where = folder()
    total, bad = 0, 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = {pool.submit(one_workload, name, args, where): name for name in names}
        for job in concurrent.futures.as_completed(jobs):
            try:
                images, report = job.result()
                total += images
                print(report, flush=True)
            except (CrashError, record.RecordError) as e:
                bad += 1
                print(e, flush=True)
    return total, bad


def recover_all(names, args):
    """A sample of each through the kernel. Returns the number of failures."""
    where = folder("samples")
    bad = total = 0
    try:
        samples, again = [], []
        for name in names:
            if name in record.FAULTS:            # damage was seen there: only to be read until fsck
                continue
            found = make_samples(log_of(name), where, args.seed, 4)
            samples += [(log_of(name), *s) for s in found]
            again.append((name, *found[1]))
        kernel_recovers(samples, where)
        print(f"{len(samples)} images mounted, walked, changed and unmounted by the kernel: all good",
              flush=True)
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            def one(s):
                return recovery_recorded(log_of(s[0]), s[1], s[2], s[1].replace(".img", ".log"), args.seed)
            total = sum(pool.map(one, again))
        print(f"power lost during {len(again)} recoveries: {total} images, all good", flush=True)
    except CrashError as e:
        bad += 1
        print(e, flush=True)
    return total, bad


def one_point(args):
    log = log_of(args.workloads.split()[0])
    if not os.path.exists(log):
        sys.exit(f"{log}: no recording; run make crash W={args.workloads} first")
    more = ["-v", args.variant] if args.variant is not None else []
    if args.image:
        more += ["-o", args.image]
    status, out = checker(log, "-s", args.seed, "-p", args.point, *more)
    print(out, end="")
    sys.exit(status)


def main():
    ap = argparse.ArgumentParser(prog="make crash")
    ap.add_argument("--workloads", default="")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--images", type=int, default=3000)
    ap.add_argument("--point", type=int)
    ap.add_argument("--variant", type=int)
    ap.add_argument("--image")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--load", type=int, default=0)
    ap.add_argument("--mutants", action="store_true")
    args = ap.parse_args()
    if args.point is not None:
        one_point(args)
    names = args.workloads.split() or list(record.WORKLOADS)
    for name in names:
        if name not in record.WORKLOADS:
            sys.exit(f"no workload {name}; there are: {' '.join(record.WORKLOADS)}")
    began = time.monotonic()
    total, bad = explore_all(names, args)
    if not bad:
        more, worse = recover_all(names, args)
        total, bad = total + more, bad + worse
    if not bad and args.load:
        try:
            n = under_load(folder(), args.load, args.seed)
            print(f"{n} operations by 8 processes on 4 CPUs in {args.load} s, 64 MiB of memory: all good")
        except CrashError as e:
            bad += 1
            print(e)
    verdict = "FAILED" if bad else "all good"
    print(f"{len(names)} workloads, {total} images in {time.monotonic() - began:.0f} s: {verdict}")
    if args.mutants and not bad:
        from grade.crash import mutants
        bad += mutants.try_all(args.seed)
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
