"""The kernel's EclipseFS driver on the host, under sanitizers: random operations against a model, hostile images."""
import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from test_eclipsefs import BLOCK, FSCK, MKFS, V2, blocks_of, crc32c, run, seal, small, v2_image  # noqa: F401

TOP = Path(__file__).resolve().parents[2]
SOURCES = [line.split()[0] for lab in ("08-eclipsefs", "09-journal") for line in (TOP / "labs" / lab / "files").read_text().splitlines()
           if re.match(r"\S+/(?!test_|observe_)\w+\.c\s", line)]
FLAGS = ["-g", "-O1", "-std=gnu11", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
         "-fno-sanitize=alignment,null", "-fno-builtin", "-I.", "-DKERN_BOOT_INITCALL_H",
         "-DINITCALL(lab,fn)=static void __attribute__((constructor)) ctor_##fn(void) { fn(); }"]

pytestmark = [
    pytest.mark.skipif(not Path(MKFS).exists(), reason="host tools are not built"),
    pytest.mark.skipif(os.uname().sysname != "Linux" or os.uname().machine != "x86_64", reason="x86-64 Linux only"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc"),
]


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    """The driver and the journal as a program; FUZZ_SIM names one that is built already."""
    if os.environ.get("FUZZ_SIM"):
        return Path(os.environ["FUZZ_SIM"])
    out = tmp_path_factory.mktemp("sim") / "sim"
    sources = [*SOURCES, "grade/host/eclipsefs_sim.c"]
    subprocess.run(["gcc", *FLAGS, *sources, "-o", out], cwd=TOP, check=True)
    return out


def drive(sim, *args):
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    p = subprocess.run([sim, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, env=env)
    assert p.returncode == 0, (args, p.stdout[-3000:].decode("latin1"))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fail_alloc", [0, 40])
def test_random_operations(sim, tmp_path, seed, fail_alloc):
    """Whatever is done, contents and names are those of the model, and fsck finds nothing."""
    img = tmp_path / "fs"
    run(MKFS, "-q", "-s", "24M", "-J", "0" if seed == 0 else "256K", img)
    drive(sim, "random", img, seed + 100, 2500, fail_alloc)
    assert b"note" not in run(FSCK, "-n", img)


def test_large(sim, tmp_path):
    """12,000 names in a directory; 3,000 extents in a file; beyond 4 GiB."""
    img = tmp_path / "fs"
    run(MKFS, "-q", "-s", "64M", "-N", "20000", img)
    drive(sim, "large", img, 1, 12000)
    run(FSCK, "-n", img)


@pytest.mark.parametrize("journal", ["256K", "1M"])
@pytest.mark.parametrize("seed", range(3))
def test_crashes(sim, tmp_path, seed, journal):
    """The power fails at random writes: all that was promised is there, nothing is there that never was, fsck is happy."""
    img = tmp_path / "fs"
    run(MKFS, "-q", "-s", "6M", "-J", journal, img)
    drive(sim, "crash", img, seed + 10, 250, 12, FSCK)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_images(sim, small, tmp_path, seed):  # noqa: F811
    """Mutated images, with right checksums mostly: errors, but no crash and no panic; afterwards fsck can mend them."""
    metas = [b for m in (b"EBMP", b"EIMP", b"EINO", b"EEXT", b"EDIR", b"EJSB") for b in blocks_of(small, m)]
    img = tmp_path / "fs"
    for it in range(60):
        r = random.Random(seed * 1000 + it)
        d = bytearray(small)
        for _ in range(r.choice([1, 2, 8])):
            b = r.choice(metas)
            for _ in range(r.choice([1, 4, 16])):
                o = r.choice([r.randrange(8, BLOCK - 4), r.randrange(32, 300), 256 + r.randrange(1500)])
                struct.pack_into("<I", d, b * BLOCK + o, r.choice([0, 1, 3, 0xFFFFFFFF, r.randrange(1 << 32), r.choice(metas)]))
            if r.random() < 0.9:
                seal(d, b)
        img.write_bytes(d)
        drive(sim, "walk", img, it, 0)
        subprocess.run([FSCK, "-y", img], stdout=subprocess.DEVNULL)
        run(FSCK, "-n", img)


def test_hostile_many(sim, small, tmp_path):  # noqa: F811
    """500 more, and as many with an unrecovered journal, all in one process: `make fuzz` has ten times as many."""
    img = tmp_path / "fs"
    img.write_bytes(small)
    drive(sim, "mutate", img, 7, 500)
    run(MKFS, "-q", "-s", "3M", "-J", "256K", img)
    drive(sim, "leave", img, 1, 100)
    run(FSCK, "-n", img)
    drive(sim, "mutate", img, 7, 500)


def test_version_2(sim, tmp_path):
    img = tmp_path / "fs"
    base = v2_image(V2).ljust(20 * BLOCK, b"\0")
    for it in range(60):
        r = random.Random(it)
        d = bytearray(base)
        for _ in range(r.choice([0, 1, 3, 10])):
            d[r.choice([r.randrange(65), 4096 + r.randrange(200), r.randrange(4096, 24000)])] = r.randrange(256)
        img.write_bytes(d)
        drive(sim, "walk", img, it, 0)
        assert img.read_bytes() == d
