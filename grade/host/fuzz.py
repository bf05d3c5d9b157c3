"""Fuzz EclipseFS on the host: `make fuzz`. Each part prints what it did; a failure prints how to see it again, and is the exit status.

    python3 grade/host/fuzz.py [--seconds N] [--images N] [--crashes N] [--first SEED] [--only PART ...]
"""
import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from test_eclipsefs import V2, v2_image

BUILD = Path(os.environ.get("ECLIPSE_BUILD", "build")).resolve()
MKFS, FSCK, EFS = (BUILD / "bin" / n for n in ("mkfs.eclipsefs", "fsck.eclipsefs", "eclipsefs"))
SIM, FSCK_SAN, LIBFUZZER = (BUILD / "fuzz" / n for n in ("sim", "fsck.eclipsefs", "libfuzzer"))
JOBS = os.cpu_count() or 1
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1")
failures = 0


def call(*args, ok=(0,), timeout=600):
    """Run it; None, or what went wrong."""
    args = [str(a) for a in args]
    try:
        p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"{' '.join(args)}: does not end"
    return None if p.returncode in ok else f"{' '.join(args)}: status {p.returncode}\n{p.stdout[-2000:].decode('latin1')}"


def report(name, began, count, problems):
    global failures
    problems = [p for p in problems if p]
    failures += len(problems)
    for p in problems[:5]:
        print(f"FAILED {name}: {p}", flush=True)
    print(f"{name}: {count}, {len(problems)} failed, {time.time() - began:.0f} s", flush=True)


def base_images(tmp):
    """A tidy image, one with an unrecovered journal, one without a journal; small, with everything in them."""
    tree = tmp / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_bytes(b"hello\n")
    (tree / "big").write_bytes(random.Random(1).randbytes(150_000))
    os.link(tree / "a/b/file", tree / "hard")
    os.symlink("x/" * 150 + "y", tree / "long")
    os.symlink("a", tree / "short")
    with open(tree / "sparse", "wb") as f:
        for i in range(40):
            f.seek(i * 8192)
            f.write(b"x")
    for i in range(90):
        (tree / f"a/name-{i:040}").write_bytes(b"%d" % i)
    out = []
    for name, journal, leave in (("tidy", "256K", 0), ("crashed", "256K", 1), ("plain", "0", 0)):
        img = tmp / name
        subprocess.run([MKFS, "-q", "-d", tree, "-s", "4M", "-J", journal, img], check=True)
        if leave:
            subprocess.run([SIM, "leave", img, "1", "120"], check=True, env=ENV)
        out.append(img)
    return out


def hostile(tmp, bases, n, first):
    """The kernel's sources walk and write mutated images, many in one process."""
    for img in bases:
        began, part = time.time(), n // JOBS + 1
        with ThreadPoolExecutor(JOBS) as pool:
            jobs = [pool.submit(call, SIM, "mutate", img, first + j * part, part) for j in range(JOBS)]
            report(f"hostile images, {img.name}", began, part * JOBS, [j.result() for j in jobs])


def crashes(tmp, n, first):
    def one(seed):
        img = tmp / f"crash{seed}"
        mkfs = [MKFS, "-q", "-s", "6M", "-J", random.Random(seed).choice(["256K", "512K", "1M"]), img]
        subprocess.run(mkfs, check=True)
        bad = call(SIM, "crash", img, seed, 400, 8, FSCK)
        if not bad:
            img.unlink()
        return bad and f"{' '.join(map(str, mkfs))}; {bad}"
    began = time.time()
    with ThreadPoolExecutor(JOBS) as pool:
        report("crashes", began, f"{n} histories", pool.map(one, range(first, first + n)))


def contents(img, out):
    """The digests of all files that can be read."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    subprocess.run([EFS, "extract", "-C", out, img], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return {hashlib.sha1(p.read_bytes()).digest() for p in out.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size < 1 << 20}


def mend(tmp, base, seed, good):
    """fsck of one damaged image: never crashes, -n changes nothing, -y mends, and what could be read before can be read after."""
    img = tmp / f"{base.name}-{seed}"
    shutil.copy(base, img)
    bad = call(SIM, "spoil", img, seed, 0)
    before = img.read_bytes()
    had = set() if bad else contents(img, tmp / f"out{base.name}{seed}") & good
    bad = bad or call(FSCK_SAN, "-n", img, ok=(0, 4, 8), timeout=60)
    if not bad and img.read_bytes() != before:
        bad = f"fsck -n wrote to {img}"
    p = None if bad else subprocess.run([FSCK_SAN, "-y", img], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV, timeout=60)
    if p and p.returncode == 8 and img.read_bytes() == before:
        p = None                                # not an image any more that could be mended, and left alone
    elif p:
        bad = None if p.returncode in (0, 1) else f"fsck -y {img}: status {p.returncode} {p.stdout[-1500:].decode('latin1')}"
        bad = bad or call(FSCK_SAN, "-n", img, timeout=60)
    if p and not bad:
        lost = len(had - contents(img, tmp / f"out{base.name}{seed}"))
        bad = f"fsck -y lost {lost} of {len(had)} files" if lost else None
    shutil.rmtree(tmp / f"out{base.name}{seed}", ignore_errors=True)
    img.unlink()
    return bad and f"cp {base} {img}; {SIM} spoil {img} {seed} 0; fsck: {bad}"


def fsck(tmp, bases, n, first):
    each = -(-n // len(bases))
    for base in bases:
        good = contents(base, tmp / "good")
        assert good, f"nothing can be read from {base}"
        began = time.time()
        with ThreadPoolExecutor(JOBS + 1) as pool:
            jobs = pool.map(lambda s: mend(tmp, base, s, good), range(first, first + each))
            report(f"fsck, {base.name}", began, f"{each} damaged images, {len(good)} files watched", jobs)


def guided(tmp, bases, seconds):
    """libFuzzer: changes that reach new code are kept and changed further."""
    if not LIBFUZZER.exists():
        print("coverage-guided: no clang here, left out")
        return
    for base in bases:
        corpus = tmp / f"corpus-{base.name}"
        corpus.mkdir()
        began = time.time()
        ENV["EFS_IMAGE"] = str(base)
        argv = [LIBFUZZER, f"-max_total_time={max(1, seconds // len(bases))}", "-max_len=512", "-timeout=20",
                "-print_final_stats=1", f"-artifact_prefix={tmp}/", corpus]
        p = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV,
                           text=True, errors="replace")
        runs = re.search(r"number_of_executed_units: (\d+)", p.stdout)
        bad = f"{' '.join(map(str, argv))}: status {p.returncode}\n{p.stdout[-2000:]}" if p.returncode else None
        kept = len(list(corpus.iterdir()))
        report(f"coverage-guided, {base.name}", began, f"{runs[1] if runs else 0} images, {kept} kept", [bad])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--images", type=int, default=5000)
    p.add_argument("--crashes", type=int, default=40)
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--only", action="append", choices=["hostile", "crashes", "fsck", "guided"])
    a = p.parse_args()
    tmp = Path(tempfile.mkdtemp(prefix="eclipse-fuzz-"))
    bases = base_images(tmp)
    old = tmp / "version2"
    old.write_bytes(v2_image(V2).ljust(24 * 4096, b"\0"))
    parts = {
        "hostile": lambda: hostile(tmp, [*bases, old], a.images, a.first),
        "crashes": lambda: crashes(tmp, a.crashes, a.first),
        "fsck": lambda: fsck(tmp, bases, a.images, a.first),
        "guided": lambda: guided(tmp, [*bases, old], a.seconds),
    }
    for name in a.only or parts:
        parts[name]()
    if failures:
        print(f"{failures} failures; the images are in {tmp}")
        return 1
    shutil.rmtree(tmp)
    return 0


sys.exit(main())
