"""The host tools of EclipseFS: mkfs, fsck and the reader, against each other and against hostile images."""
import os
import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("ECLIPSE_BUILD", "build")).resolve()
MKFS, FSCK, EFS = (str(BUILD / "bin" / n) for n in ("mkfs.eclipsefs", "fsck.eclipsefs", "eclipsefs"))
BLOCK = 4096

pytestmark = pytest.mark.skipif(not Path(MKFS).exists(), reason="host tools are not built")


def run(*args, status=0, **kw):
    """Run a tool; it must end with `status` (None: any but a crash)."""
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **kw)
    assert p.returncode in (0, 1, 2, 4, 8), (args, p.returncode, p.stderr)
    if status is not None:
        assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
    return p.stdout


def tree_make(top):
    """A tree with every kind of thing that an ordinary user can make."""
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").write_bytes(b"hello\n")
    (top / "a/big").write_bytes(random.Random(1).randbytes(3_000_001))
    (top / "empty").write_bytes(b"")
    os.link(top / "a/b/file", top / "hard")
    os.symlink("a/b/file", top / "short")
    os.symlink("x/" * 200 + "y", top / "long")
    os.mkfifo(top / "fifo")
    with open(top / "sparse", "wb") as f:
        for i in range(600):
            f.seek(i * 2 * BLOCK)
            f.write(b"x%d" % i)
        f.truncate(5 << 30)
    (top / "many").mkdir()
    for i in range(1000):
        (top / "many" / f"name-{i}").write_bytes(b"%d" % i)
    os.chmod(top / "a/b/file", 0o751)
    for p in (top / "a/b/file", top / "a", top / "short"):
        os.utime(p, ns=(1_234_567_890_123_456_789,) * 2, follow_symlinks=False)
    return top


def snapshot(top):
    """What must survive the way into an image and back: path -> everything."""
    out, links = {}, {}
    for dirpath, dirs, files in os.walk(top):
        for n in dirs + files:
            p = Path(dirpath) / n
            st = p.lstat()
            kind = st.st_mode >> 12
            body = os.readlink(p) if kind == 10 else None
            if kind == 8 and st.st_size < 1 << 30:
                body = p.read_bytes()
            rel = str(p.relative_to(top))
            first = links.setdefault(st.st_ino, rel)
            out[rel] = (st.st_mode, st.st_size if kind == 8 else 0, body, st.st_mtime_ns, first if kind != 4 else None)
    return out


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return tree_make(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def image(tree, tmp_path_factory):
    img = tmp_path_factory.mktemp("img") / "fs.img"
    run(MKFS, "-d", tree, "-s", "32M", "-L", "test", img)
    return img


def test_tree_comes_back(tree, image, tmp_path):
    run(EFS, "extract", "-C", tmp_path / "out", image)
    want, got = snapshot(tree), snapshot(tmp_path / "out")
    assert want.keys() == got.keys()
    for k in want:
        assert want[k][:4] == got[k][:4] and (want[k][4] is None) == (got[k][4] is None), k
    with open(tmp_path / "out/sparse", "rb") as f:
        for i in (0, 1, 299, 599):
            f.seek(i * 2 * BLOCK)
            assert f.read(4) == (b"x%d" % i).ljust(4, b"\0")[:4]
        assert (tmp_path / "out/sparse").stat().st_size == 5 << 30


def test_fresh_image_is_clean_and_sparse(image, tmp_path):
    run(FSCK, "-n", image)
    img = tmp_path / "big.img"
    run(MKFS, "-s", "2G", img)
    run(FSCK, "-n", img)
    assert img.stat().st_blocks * 512 < 4 << 20


def test_reader_commands(image):
    assert b"hard" in run(EFS, "ls", image).split()
    assert run(EFS, "ls", image, "/a/b").split() == [b"file"]
    assert run(EFS, "cat", image, "/short") == b"hello\n"
    assert run(EFS, "cat", image, "a/../hard") == b"hello\n"
    st = run(EFS, "stat", image, "/a/b/file").decode()
    assert "links: 2" in st and "mode: 100751" in st and "mtime: 1234567890.123456789" in st
    assert b"label: test" in run(EFS, "stat", image)
    run(EFS, "cat", image, "/nothing", status=1)
    run(EFS, "cat", image, "/a", status=1)


def test_header_is_that_of_every_version(image):
    head = image.read_bytes()[:65]
    magic, version, off, size, inodes, crc = struct.unpack_from("<9sIQQII", head)
    assert magic == b"ECLIPSEFS" and version == 0x00030000 and off % BLOCK == 0 and size % BLOCK == 0 and inodes
    assert crc == zlib.crc32(head[:33] + head[45:])


def test_deterministic(tree, tmp_path):
    env = dict(os.environ, SOURCE_DATE_EPOCH="1600000000")
    for n in ("1", "2"):
        run(MKFS, "-d", tree, "-s", "32M", "-r", tmp_path / n, env=env)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    st = run(EFS, "stat", tmp_path / "1", "/empty").decode()
    assert "mtime: 1600000000.000000000" in st and "uid: 0" in st


def test_offset_touches_nothing_else(tree, tmp_path):
    img = tmp_path / "disk"
    noise = random.Random(2).randbytes(40 << 20)
    img.write_bytes(noise)
    off, size = 1 << 20, 32 << 20
    run(MKFS, "-d", tree, "-s", size, "--offset", off, img)
    data = img.read_bytes()
    assert len(data) == len(noise)
    assert data[:off] == noise[:off] and data[off + size:] == noise[off + size:]
    run(FSCK, "-n", "--offset", off, img)
    assert run(EFS, "--offset", "1M", "cat", img, "hard") == b"hello\n"


def gpt_disk(size, parts):
    """A whole-disk image with a GPT: parts are (first LBA, last LBA, type GUID as on disk)."""
    d = bytearray(size)
    entries = b"".join(struct.pack("<16s16sQQQ72s", g, os.urandom(16), a, b, 0, b"") for a, b, g in parts).ljust(128 * 128, b"\0")
    d[1024:1024 + len(entries)] = entries
    struct.pack_into("<8sIIIIQQQQ16sQIII", d, 512, b"EFI PART", 0x10000, 92, 0, 0, 1, size // 512 - 1, 34, size // 512 - 34,
                     os.urandom(16), 2, 128, 128, zlib.crc32(entries))
    struct.pack_into("<I", d, 512 + 16, zlib.crc32(bytes(d[512:604])))
    return d


LINUX = bytes.fromhex("AF3DC60F838472478E793D69D8477DE4")
EFI = bytes.fromhex("28732AC11FF8D211BA4B00A0C93EC93B")


def test_finds_the_partition(tree, tmp_path):
    img = tmp_path / "disk"
    d = gpt_disk(64 << 20, [(2048, 20479, EFI), (20480, 110591, LINUX)])
    img.write_bytes(d)
    run(MKFS, "-d", tree, img)
    run(FSCK, "-n", img)
    assert run(EFS, "cat", img, "/hard") == b"hello\n"
    now = img.read_bytes()
    assert now[:20480 * 512] == d[:20480 * 512] and now[110592 * 512:] == d[110592 * 512:]
    run(MKFS, "-s", "60M", img, status=1)


# ---- version 2.0 ----

def v2_image(nodes, entry=8, version=0x00020000, checksum=False, patch=None):
    """nodes: list of (type, mode, content or list of (name, ino))"""
    recs = []
    for i, (kind, mode, body) in enumerate(nodes, 1):
        tlv = struct.pack("<HIB", 1, 1, kind) + struct.pack("<HII", 2, 4, mode) + struct.pack("<HIq", 7, 8, 1640995200)
        tlv += struct.pack("<HI3s", 0x77, 3, b"???")
        if kind == 2:
            body = b"".join(struct.pack("<II", len(n), c) + n for n, c in body)
            tag = 0xB
        else:
            tag = 0xA
            tlv += struct.pack("<HIQ", 5, 8, len(body))
        if body:
            tlv += struct.pack("<HI", tag, len(body)) + body
        recs.append(struct.pack("<II", i, 8 + len(tlv)) + tlv)
    table, rel = b"", 0
    for i, r in enumerate(recs, 1):
        table += struct.pack("<II" if entry == 8 else "<QQ", i, rel)
        rel += len(r)
    head = struct.pack("<9sIQQI", b"ECLIPSEFS", version, 4096, len(table), len(nodes))
    tail = struct.pack("<QQI", 1640995200, 1640995200, 0)
    crc = zlib.crc32(head + tail) if checksum else 0
    head += struct.pack("<III", crc, 0, 0) + tail
    return head.ljust(4096, b"\0") + table + b"".join(recs) + b"\xff" * 1000


V2 = [(2, 0o40755, [(b"bin", 2), (b"readme.txt", 5), (b"bin", 5)]), (2, 0o40755, [(b"hello", 3), (b"sh", 4)]),
      (1, 0o100755, b"Hello, EclipseFS!" * 1000), (3, 0o120777, b"hello"), (1, 0o100644, b"read me")]


@pytest.mark.parametrize("entry", [8, 16])
@pytest.mark.parametrize("checksum", [False, True])
def test_v2_is_read(entry, checksum, tmp_path):
    img = tmp_path / "v2"
    img.write_bytes(v2_image(V2, entry, checksum=checksum))
    assert run(EFS, "ls", img).split() == [b"bin", b"readme.txt"]
    assert run(EFS, "ls", img, "/bin").split() == [b"hello", b"sh"]
    assert run(EFS, "cat", img, "/bin/sh") == V2[2][2]
    run(EFS, "extract", "-C", tmp_path / "out", img)
    assert (tmp_path / "out/readme.txt").read_bytes() == b"read me"
    assert os.readlink(tmp_path / "out/bin/sh") == "hello"


def test_v2_header_check_value():
    head = struct.pack("<9sIQQI", b"ECLIPSEFS", 0x20000, 4096, 40, 5) + struct.pack("<QQI", 1640995200, 1640995200, 0)
    assert zlib.crc32(head) == 0x30F95B54


def refusal(tmp_path, data):
    img = tmp_path / "bad"
    img.write_bytes(data)
    p = subprocess.run([EFS, "ls", str(img)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.returncode == 1
    return p.stderr.decode()


def test_v2_refusals(tmp_path):
    assert "2.1" in refusal(tmp_path, v2_image(V2, version=0x00020001))
    bad = bytearray(v2_image(V2, checksum=True))
    bad[45] ^= 1
    assert "checksum" in refusal(tmp_path, bad)
    assert "root" in refusal(tmp_path, v2_image(V2, 16)[:4096 + 80] + bytes(4096))
    assert refusal(tmp_path, v2_image([]))
    assert refusal(tmp_path, b"")
    assert refusal(tmp_path, b"ECLIPSEFS")


# ---- damage ----

def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8):
                i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
            table.append(i)
    c = 0xFFFFFFFF
    for b in data:
        c = table[(c ^ b) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def seal(d, block):
    struct.pack_into("<I", d, block * BLOCK + 4, 0)
    struct.pack_into("<I", d, block * BLOCK + 4, crc32c(d[block * BLOCK:(block + 1) * BLOCK]))


def blocks_of(d, magic):
    return [i for i in range(len(d) // BLOCK) if d[i * BLOCK:i * BLOCK + 4] == magic]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small image with inodes, directories and extent nodes, as bytes."""
    top = tmp_path_factory.mktemp("small")
    (top / "d/e").mkdir(parents=True)
    for i in range(100):
        (top / "d" / f"f{i}").write_bytes(b"%d" % i)
    os.link(top / "d/f1", top / "hard")
    os.symlink("d/f1", top / "link")
    with open(top / "holes", "wb") as f:
        for i in range(600):
            f.seek(i * 2 * BLOCK)
            f.write(b"x")
    img = tmp_path_factory.mktemp("small-img") / "fs"
    run(MKFS, "-q", "-d", top, "-s", "4M", img)
    d = img.read_bytes()
    assert blocks_of(d, b"EEXT") and blocks_of(d, b"EDIR")
    return d


def mended(tmp_path, d):
    """`d` is broken, -n says so and changes nothing, -y mends it."""
    img = tmp_path / "fs"
    img.write_bytes(d)
    out = run(FSCK, "-n", img, status=4)
    assert img.read_bytes() == d
    run(FSCK, "-y", img, status=1)
    run(FSCK, "-n", img, status=0)
    return out.decode(), img


def test_backup_superblock(small, tmp_path):
    d = bytearray(small)
    d[:BLOCK] = bytes(BLOCK)
    out, img = mended(tmp_path, d)
    assert run(EFS, "cat", img, "/link") == b"1"


@pytest.mark.parametrize("magic", [b"EBMP", b"EIMP", b"EINO", b"EEXT", b"EDIR", b"EJSB"])
def test_flipped_bit_is_noticed_and_mended(small, tmp_path, magic):
    d = bytearray(small)
    d[blocks_of(d, magic)[0] * BLOCK + 300] ^= 4
    out, img = mended(tmp_path, d)
    assert "checksum" in out


def test_wrong_counts(small, tmp_path):
    d = bytearray(small)
    table = blocks_of(d, b"EINO")[0]
    for ino, field in ((1, 4), (3, 4), (3, 24), (2, 96)):
        struct.pack_into("<I", d, table * BLOCK + 256 * ino + field, 77)
    seal(d, table)
    out, img = mended(tmp_path, d)
    assert "link count" in out and "block count" in out and "parent" in out
    assert run(EFS, "cat", img, "/hard") == b"1"


def test_lost_directory_goes_to_lost_and_found(small, tmp_path):
    d = bytearray(small)
    block = blocks_of(d, b"EDIR")[-1]          # the root's, written last
    at = block * BLOCK + 32
    assert d[at + 12:at + 13] == b"d"
    d[at:at + 8] = bytes(8)
    d[at + 10:at + 12] = bytes(2)
    seal(d, block)
    out, img = mended(tmp_path, d)
    assert b"lost+found" in run(EFS, "ls", img)
    assert run(EFS, "cat", img, "/lost+found/#2/f7") == b"7"


def test_journal_is_replayed(small, tmp_path):
    """A committed transaction is replayed, one without its commit block is not."""
    d = bytearray(small)
    start, fsid = struct.unpack_from("<Q", d, 184)[0], struct.unpack_from("<I", d, 124)[0]
    table = blocks_of(d, b"EINO")[0]
    good = bytes(d[table * BLOCK:(table + 1) * BLOCK])
    struct.pack_into("<I", d, table * BLOCK + 256 + 4, 99)      # home place: wrong and torn

    def control(magic, at, seq, body):
        d[at * BLOCK:(at + 1) * BLOCK] = (struct.pack("<4sIQQII", magic, 0, at, seq, fsid, 0) + body).ljust(BLOCK, b"\0")
        seal(d, at)
        return struct.unpack_from("<I", d, at * BLOCK + 4)[0]

    def transaction(pos, seq, image, commit):
        c = control(b"EJDS", start + pos, seq, struct.pack("<IIQQII", 1, 0, 0, table, crc32c(image), 0))
        d[(start + pos + 1) * BLOCK:(start + pos + 2) * BLOCK] = image
        if commit:
            control(b"EJCM", start + pos + 2, seq, struct.pack("<IIIIq", 1, 1, crc32c(struct.pack("<I", c)), 0, 0))

    transaction(1, 5, good, True)
    transaction(4, 6, bytes(BLOCK), False)
    control(b"EJSB", start, 0, struct.pack("<IIQ", struct.unpack_from("<Q", d, 192)[0], 1, 5))
    img = tmp_path / "fs"
    img.write_bytes(d)
    run(FSCK, "-n", img, status=0)             # looked at as if replayed
    assert img.read_bytes() == d
    run(FSCK, "-y", img, status=1)
    run(FSCK, "-n", img, status=0)
    now = img.read_bytes()
    assert now[table * BLOCK:(table + 1) * BLOCK] == good
    assert struct.unpack_from("<IQ", now, start * BLOCK + 36) == (0, 6)


@pytest.mark.parametrize("seed", range(4))
def test_mutations(small, tmp_path, seed):
    """Garbage of all kinds, with right checksums mostly: no tool crashes, what fsck says it mended is clean."""
    metas = [b for m in (b"EBMP", b"EIMP", b"EINO", b"EEXT", b"EDIR", b"EJSB") for b in blocks_of(small, m)]
    img = tmp_path / "fs"
    for it in range(25):
        r = random.Random(seed * 1000 + it)
        d = bytearray(small)
        for _ in range(r.choice([1, 2, 8])):
            b = r.choice(metas)
            for _ in range(r.choice([1, 4, 16])):
                o = r.choice([r.randrange(8, BLOCK - 4), r.randrange(32, 300), 256 + r.randrange(1500)])
                struct.pack_into("<I", d, b * BLOCK + o, r.choice([0, 1, 3, 0xFFFFFFFF, r.randrange(1 << 32), r.choice(metas)]))
            if r.random() < 0.8:
                seal(d, b)
        img.write_bytes(d)
        run(EFS, "ls", "-lR", img, status=None)
        n = subprocess.run([FSCK, "-n", img], stdout=subprocess.DEVNULL).returncode
        assert n in (0, 4) and img.read_bytes() == d
        y = subprocess.run([FSCK, "-y", img], stdout=subprocess.DEVNULL).returncode
        assert y == (0 if n == 0 else 1), (seed, it)
        run(FSCK, "-n", img, status=0)
        run(EFS, "ls", "-lR", img, status=0)


def test_v2_mutations(tmp_path):
    base = v2_image(V2)
    img = tmp_path / "v2"
    for it in range(100):
        r = random.Random(it)
        d = bytearray(base[:-900])
        for _ in range(r.choice([1, 3, 10])):
            d[r.choice([r.randrange(65), 4096 + r.randrange(200), r.randrange(4096, len(d))])] = r.randrange(256)
        img.write_bytes(d[:r.choice([len(d), r.randrange(len(d))])])
        run(EFS, "ls", "-lR", img, status=None)
        run(EFS, "extract", "-C", tmp_path / "out", img, status=None)
