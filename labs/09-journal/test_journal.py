"""Judges of lab 9.

Half of them watch a disk: the machine's disk is a server here (grade/eclipse/nbd.py) that notes every write, every
answer and every flush, while user/tests/diskwork.c does what a drawn script says. From such a recording follows what a
power cut at any moment would leave: all that a completed flush covers, and of the writes after it any part. Such images
are given to fsck -n, which looks through the journal on them, and to the reader; names and contents are compared with
what the script's operations allow. Or the order of the writes is compared with the law: journal.h's J1 to J6.

The other half makes logs by hand, lets the kernel mount the disks, and looks at every block of them afterwards. The
kernel mounts them read-only for that, so that nothing but recovery writes.
"""

import functools
import os
import random as python_random
import shutil
import struct
import subprocess
import zlib

from grade.eclipse import build
from grade.eclipse.judge import Run
from grade.eclipse.nbd import DONE, FLUSH, FLUSHED, LOST, MARK, WRITE, Recorder
from grade.eclipse.observe import Random
from grade.eclipse.qemu import disk_args

BLOCK, SECTOR = 4096, 512
EIO, ENOSPC, EROFS = 5, 28, 30
DESCRIPTOR, REVOKE, COMMIT, LOG_SUPER = b"EJDS", b"EJRV", b"EJCM", b"EJSB"
METADATA = (b"EBMP", b"EIMP", b"EINO", b"EEXT", b"EDIR")
ERRORS, CLEAN = 2, 1
STALE = b"=STALE=STALE=ST\n"           # what free blocks hold before anything is written
TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82f63b78 if _n & 1 else 0)
    TABLE.append(_n)


@functools.lru_cache(maxsize=20000)
def crc32c(data):
    crc, table = 0xffffffff, TABLE
    for b in data:
        crc = table[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


# ---------------------------------------------------------------- what is on the disk

class Super:
    def __init__(self, image):
        (self.fsid,) = struct.unpack_from("<I", image, 124)
        self.blocks, self.bmap, _ = struct.unpack_from("<QQQ", image, 128)
        self.area, self.length, self.data = struct.unpack_from("<QQQ", image, 184)
        self.state, self.orphans = struct.unpack_from("<II", image, 216)

    def free(self, image):
        """The numbers of the free blocks; of small disks, whose map is one block."""
        bits = int.from_bytes(image[self.bmap * BLOCK + 32:self.bmap * BLOCK + 32 + 3960], "little")
        return [b for b in range(self.data, self.blocks) if not bits >> b & 1]

    def in_log(self, block):
        return self.area <= block < self.area + self.length


def block_of(image, n):
    return bytes(image[n * BLOCK:(n + 1) * BLOCK])


def head_trouble(block, place, fsid):
    """What is wrong with the head of a metadata block at `place`, or None."""
    magic, crc, number, _, owner_fs, _ = struct.unpack_from("<4sIQQII", block)
    if number != place:
        return f"its head says block {number}, it lies in {place}"
    if owner_fs != fsid:
        return "its head has another file system's fsid"
    if crc32c(block[:4] + bytes(4) + block[8:]) != crc:
        return f"the checksum of the {magic.decode('latin-1')} block is wrong"
    return None


def sealed(block):
    return block[:4] + struct.pack("<I", crc32c(block[:4] + bytes(4) + block[8:])) + block[8:]


class Transaction:
    def __init__(self, seq):
        self.seq, self.images, self.revokes, self.rings = seq, [], [], []      # images: (home, ring block)


class Log:
    """The transactions that count in an image, by FORMAT.md section 8. `why`: why the one after them does not."""

    def __init__(self, image):
        self.image, self.sb = image, Super(image)
        js = block_of(image, self.sb.area)
        self.trouble = head_trouble(js, self.sb.area, self.sb.fsid)
        self.length, self.start, self.next = struct.unpack_from("<IIQ", js, 32)
        if self.length != self.sb.length:
            self.trouble = self.trouble or f"the log says that it has {self.length} blocks; there are {self.sb.length}"
        self.transactions, self.why = [], "the log is empty"
        ring, self.left = 0 if self.trouble else self.start, self.length - 1
        while ring:
            t = Transaction(self.next)
            self.why = self.follow(t, ring)
            if self.why:
                break
            self.transactions.append(t)
            self.next += 1
            ring = t.rings[-1] % (self.length - 1) + 1

    def take(self, t, ring):
        if self.left == 0:
            return None
        self.left -= 1
        t.rings.append(ring)
        return block_of(self.image, self.sb.area + ring)

    def follow(self, t, ring):
        """Reads one transaction. Returns what is wrong with it, or None."""
        chain, after = [], lambda r: r % (self.length - 1) + 1
        while True:
            b = self.take(t, ring)
            if b is None:
                return "the ring is at its end"
            where = f"log block {ring}, of transaction {t.seq}: "
            wrong = head_trouble(b, self.sb.area + ring, self.sb.fsid)
            magic, seq = b[:4], struct.unpack_from("<Q", b, 16)[0]
            if wrong or magic not in (DESCRIPTOR, REVOKE, COMMIT):
                return where + (wrong or "no control block")
            if seq != t.seq:
                return where + f"it has the number {seq}"
            ring = after(ring)
            if magic == COMMIT:
                said = struct.unpack_from("<III", b, 32)
                is_so = len(chain), len(t.images), crc32c(b"".join(chain))
                if said == is_so:
                    return None
                return where + f"controls, images, chain are {is_so}; the commit block says {said}"
            count, index = struct.unpack_from("<II", b, 32)
            if index != len(chain) or not 1 <= count <= (506 if magic == REVOKE else 253):
                return where + f"count {count}, index {index}"
            chain.append(b[4:8])
            if magic == REVOKE:
                t.revokes += struct.unpack_from(f"<{count}Q", b, 48)
                continue
            for i in range(count):
                home, crc = struct.unpack_from("<QI", b, 48 + 16 * i)
                at, image = ring, self.take(t, ring)
                ring = after(ring)
                where = f"log block {at}, an image of block {home} in transaction {t.seq}: "
                if home >= self.sb.blocks or self.sb.in_log(home):
                    return where + "no place for an image"
                if image is None or crc32c(image) != crc:
                    return where + "not what its tag's checksum says"
                wrong = head_trouble(image, home, self.sb.fsid) if home else None
                if wrong:
                    return where + wrong
                t.images.append((home, at))

    def last(self):
        """{block: what replay writes there}"""
        out = {}
        for t in self.transactions:
            for block in t.revokes:
                out.pop(block, None)
            for home, ring in t.images:
                out[home] = block_of(self.image, self.sb.area + ring)
        return out

    def rings(self):
        return {r for t in self.transactions for r in t.rings}


def recovered(image):
    """The image as recovery must leave it, but for the log's superblock; and the number that comes next."""
    log, out = Log(image), bytearray(image)
    for home, data in log.last().items():
        out[home * BLOCK:(home + 1) * BLOCK] = data
    return out, log.next


# ---------------------------------------------------------------- images for the host's tools

def new_disk(run, mib=2, log=256, inodes=None, stale=True):
    """A fresh file system; its free blocks hold what must never show."""
    path = os.path.join(run.folder(), "new.img")
    more = ["-N", str(inodes)] if inodes else []
    subprocess.run([build.tool("mkfs.eclipsefs"), "-q", "-s", f"{mib}M", "-J", f"{log}K", *more, path], check=True)
    with open(path, "rb") as f:
        image = bytearray(f.read())
    for b in Super(image).free(image) if stale else ():
        image[b * BLOCK:(b + 1) * BLOCK] = STALE * (BLOCK // len(STALE))
    return image


class Looker:
    """Gives images to fsck -n and to the reader."""

    def __init__(self, run):
        self.run, self.folder = run, run.folder()
        self.path = os.path.join(self.folder, "image")

    def keep(self, image):
        with open(self.path, "wb") as f:
            f.write(image)

    def tool(self, name, *words):
        p = subprocess.run([build.tool(name), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace")
        return p.returncode, p.stdout

    def fsck(self, image, when):
        self.keep(image)
        status, text = self.tool("fsck.eclipsefs", "-n", self.path)
        self.run.check(status == 0, "wrong", f"{when}, the file system is damaged: fsck -n says", text[:1500])

    def tree(self, image, when):
        """{path: bytes, or None for a directory}"""
        self.keep(image)
        top, out = os.path.join(self.folder, "tree"), {}
        shutil.rmtree(top, ignore_errors=True)
        os.mkdir(top)
        status, text = self.tool("eclipsefs", "extract", "-C", top, self.path)
        self.run.check(status == 0, "wrong", f"{when}, the file system cannot be read", text[:1500])
        for folder, dirs, names in os.walk(top):
            out.update((os.path.relpath(os.path.join(folder, d), top), None) for d in dirs)
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    out[os.path.relpath(os.path.join(folder, name), top)] = f.read()
        return out


# ---------------------------------------------------------------- what the operations allow

def pattern(seed, off, n):
    """What diskwork.c writes."""
    cells = "".join("%08x%07x\n" % (seed, c) for c in range(off // 16, (off + n - 1) // 16 + 1))
    return cells.encode()[off % 16:][:n]


class File:
    def __init__(self, op):
        self.versions, self.syncs, self.named = [(op, b"")], [], op         # named: the last operation on its names

    def now(self):
        return self.versions[-1][1]

    def allowed(self, b):
        """Contents that may be found while operation b is under way."""
        since = max([s for s in self.syncs if s < b], default=-1)
        before = [v for op, v in self.versions if op <= since][-1:]
        return before + [v for op, v in self.versions if since < op <= b]

    def trouble(self, data, b):
        """None if `data` may be its content at operation b."""
        can = self.allowed(b) or [b""]
        if data in can:
            return None
        sizes = min(map(len, can)), max(map(len, can))
        if not sizes[0] <= len(data) <= sizes[1]:
            return f"{len(data)} bytes long; expected {sizes[0]} to {sizes[1]}"
        for i, byte in enumerate(data):
            if not any(i < len(c) and c[i] == byte for c in can) and (byte or all(i < len(c) for c in can)):
                want = next((c[i:i + 16] for c in can if i < len(c)), b"")
                return f"at byte {i}: expected {want!r}, seen {bytes(data[i:i + 16])!r}"
        return None


class Model:
    """The trees that a script leads through. snaps[after[k]] is the tree after operation k."""

    def __init__(self, script, results):
        self.script, self.snaps, self.after, self.promises = script, [{}], [], []
        self.lo = 0
        for k, line in enumerate(script):
            if k < len(results):
                self.operation(k, line.split(), dict(self.snaps[-1]), results[k])
            self.after.append(len(self.snaps) - 1)
            self.promises.append(self.lo)

    def operation(self, k, words, tree, result):
        op, args = words[0], words[1:]
        if result < 0 and op not in ("write", "owrite", "dwrite"):
            return
        f = tree.get(args[0]) if args else None
        if op in ("make", "mkdir", "unlink", "rmdir", "rename", "link", "nest", "unnest"):
            self.names(k, op, args, tree, result)
        elif op in ("write", "owrite", "dwrite") and result > 0:
            off, data = int(args[1]), pattern(int(args[3]), int(args[1]), result)
            old = f.now().ljust(off, b"\0")
            f.versions.append((k, old[:off] + data + old[off + result:]))
        elif op == "trunc":
            f.versions.append((k, f.now()[:int(args[1])].ljust(int(args[1]), b"\0")))
        if op in ("owrite", "dwrite", "fdatasync") or op == "fsync" and f:
            f.syncs.append(k)
        if op == "owrite" or op == "fsync":
            self.promise(f.named if f else k)
        if op in ("sync", "umount"):
            self.promise(k)
            for file in {id(f): f for f in tree.values() if f}.values():
                file.syncs.append(k)

    def promise(self, op):
        self.lo = max(self.lo, self.after[op] if op < len(self.after) else len(self.snaps) - 1)

    def names(self, k, op, args, tree, result):
        if op in ("nest", "unnest"):
            for i in range(result):
                folder, file = f"{args[0]}/{i}", f"{args[0]}/{i}/x"
                for name in (folder, file) if op == "nest" else (file, folder):
                    if op == "nest":
                        tree[name] = File(k) if name == file else None
                    else:
                        tree.pop(name)
                    self.snaps.append(dict(tree))
            return
        if op in ("make", "mkdir"):
            tree[args[0]] = File(k) if op == "make" else None
        elif op in ("unlink", "rmdir"):
            f = tree.pop(args[0])
            if f:
                f.named = k
        elif op == "link":
            tree[args[1]] = tree[args[0]]
            tree[args[1]].named = k
        elif op == "rename":
            f = tree[args[1]] = tree.pop(args[0])
            f.named = k
        self.snaps.append(tree)

    def check(self, run, tree, b, when):
        """The tree must be one that may be found while operation b is under way."""
        lo = self.promises[b - 1] if b > 0 else 0
        hi = self.after[b] if b < len(self.after) else self.after[-1]
        fits = [s for s in self.snaps[lo:hi + 1]
                if s.keys() == tree.keys() and all((s[p] is None) == (tree[p] is None) for p in s)]
        if not fits:
            want = self.snaps[hi]
            extra = [p for p in tree if p not in want][:5]
            run.fail("wrong",
                     f"{when}, the names on the disk are not those after any operation since what was promised last",
                     f"expected e.g. those after operation {b}: missing are {[p for p in want if p not in tree][:5]}",
                     f"seen     besides, or instead: {extra}", *self.context(b))
        found = []
        for s in fits:
            bad = [(p, why) for p, why in ((p, f.trouble(tree[p], b)) for p, f in s.items() if f) if why]
            if not bad:
                return
            found = bad
        run.fail("wrong", f"{when}, the file {found[0][0]} is not what it may be", found[0][1],
                 "(zero bytes: never written; STALE: what the free block held before)", *self.context(b))

    def context(self, b):
        return [f"operation {i}{'  <- under way' if i == b else ''}: {self.script[i]}"
                for i in range(max(0, b - 4), b + 1) if i < len(self.script)]


# ---------------------------------------------------------------- recordings

class Watched(Recorder):
    """Knows how far the script is. broken(kind, offset, length, line) says which requests fail."""

    def __init__(self, image, path, seed, broken):
        self.line = -1
        super().__init__(image, path, seed, broken and (lambda _, *what: broken(*what, self.line)))

    def event(self, kind, number, offset, data):
        if kind == MARK:
            self.line = int(data.split()[0])
        super().event(kind, number, offset, data)


class State:
    """The disk at one point of a recording: what is durable, and what may or may not be."""

    def __init__(self, image):
        self.base, self.pending, self.done, self.covers = bytearray(image), {}, set(), {}
        self.line, self.results = 0, []

    def step(self, kind, number, offset, data):
        if kind == WRITE:
            self.pending[number] = offset, data
        elif kind == DONE:
            self.done.add(number)
        elif kind == LOST:
            self.pending.pop(number, None)
        elif kind == FLUSH:
            self.covers[number] = [n for n in self.pending if n in self.done]
        elif kind == FLUSHED:
            for n in self.covers.pop(number):
                if n in self.pending:
                    self.put(self.base, *self.pending.pop(n))
        elif kind == MARK:
            self.line, result = map(int, data.split()[:2])
            if self.line:
                self.results.append(result)

    @staticmethod
    def put(image, offset, data):
        image[offset:offset + len(data)] = data

    def image(self, which=lambda offset: True):
        """With those pending writes of which which(offset) is true."""
        out = bytearray(self.base)
        for offset, data in self.pending.values():
            if which(offset):
                self.put(out, offset, data)
        return out

    def torn(self, random):
        """With some sectors of some of the pending writes."""
        out, few = bytearray(self.base), 1 + random.below(8)
        for offset, data in self.pending.values():
            whole = random.below(few)
            for at in range(0, len(data), SECTOR):
                if whole == 0 or (whole == 1 and random.below(2)):
                    self.put(out, offset + at, data[at:at + SECTOR])
        return out


class Recording:
    def __init__(self, image, path):
        self.start, self.events = image, []
        with open(path, "rb") as f:
            f.seek(16 + len(image))
            while len(head := f.read(24)) == 24:
                kind, number, offset, n = struct.unpack("<B3xIQI4x", head)
                self.events.append((kind, number, offset, f.read(n)))
        self.results = [int(e[3].split()[1]) for e in self.events if e[0] == MARK][1:]

    def states(self):
        """(event, the state before it, the same after it) - one State, which goes on."""
        s = State(self.start)
        for e in self.events:
            yield e, s
            s.step(*e)

    def points(self, random, n):
        """States at n random points of the work, in order."""
        marks = [i for i, e in enumerate(self.events) if e[0] == MARK]
        span = range(marks[1], len(self.events))
        wanted = sorted({span[random.below(len(span))] for _ in range(n)})
        for i, (_, s) in enumerate(self.states()):
            if i in wanted:
                yield i, s

    def at_notes(self):
        """The state whenever an operation has returned."""
        for e, s in self.states():
            if e[0] == MARK:
                yield int(e[3].split()[0]), s

    def end(self, line):
        """The state when this line is about to begin."""
        for e, s in self.states():
            if e[0] == MARK and int(e[3].split()[0]) == line:
                return s
        return None


def play(run, image, script, broken=None, disks=(), recorded=True):
    """Runs the script. /dev/vdb is a disk with this image, and recorded; after it, or in its place, come `disks`."""
    path = os.path.join(run.folder(), "log")
    with Watched(bytes(image), path, run.seed, broken) as r:
        text = ("\n".join(script) + "\n").encode()
        assert len(text) < len(r.disks["marks"])
        r.disks["marks"][:len(text)] = text
        extra = r.qemu_args(("marks", "disk") if recorded else ("marks",))
        for i, disk in enumerate(disks):
            extra += disk_args("virtio", disk, True, f"d{i}", boot=False)
        g = run.boot("loglevel=3 root=none init=/tests/diskwork -- /dev/vda", mem=128, icount=False, extra=extra,
                     archive=build.path("test-archive.cpio"))
        g.program = "/tests/diskwork"
        run.expect_end(g, g.watch(), "off")
        g.close()
        run.check(not r.problem, "grader", "the recording disk failed", r.problem)
    run.check("init exited with status 0" in g.console, "wrong", "the script's program did not come to its end",
              g.console[-800:])
    return Recording(bytes(image), path)


def record(run, script, **words):
    """On a new disk; every operation must succeed."""
    script = ["mount /dev/vdb", *script]
    rec = play(run, new_disk(run, **words), script)
    bad = [(line, r) for line, r in zip(script, rec.results) if r < 0]
    run.check(not bad and len(rec.results) == len(script), "wrong", f"{len(bad)} operations failed",
              *[f"{line}: error {-r}" for line, r in bad[:4]])
    return rec, Model(script, rec.results), Looker(run)


def judge(run, model, look, image, b, when):
    """fsck -n looks through the log; names and contents are read once its images are written home, because the tools
    look for metadata only in there: a block that became data, and was not revoked, shows only afterwards."""
    look.fsck(image, when)
    model.check(run, look.tree(recovered(image)[0], when), b, when)


# ---------------------------------------------------------------- scripts

class Script:
    """Draws operations that will succeed."""

    def __init__(self, random):
        self.random, self.lines, self.files, self.free, self.serial = random, [], {}, [], 0

    def say(self, *words):
        self.lines.append(" ".join(map(str, words)))

    def make(self, folder=""):
        name = f"{folder}f{self.serial}"
        self.serial += 1
        self.say("make", name)
        self.files[name] = 0
        return name

    def write(self, name, off, n, op="write"):
        self.serial += 1
        self.say(op, name, off, n, self.serial)
        self.files[name] = max(self.files[name], off + n)

    def any(self):
        return self.random.choice(sorted(self.files)) if self.files else self.make()

    def step(self, syncs):
        r = self.random
        name = self.any()
        kind = r.below(14)
        if kind < 4 or len(self.files) < 4:
            name = self.make()
            self.write(name, 0, 1 + r.below(12000))
        elif kind < 7:
            self.write(name, r.below(self.files[name] + 3000), 1 + r.below(9000))
        elif kind < 8:
            size = r.below(self.files[name] + 2000)
            self.say("trunc", name, size)
            self.files[name] = size
        elif kind < 10:
            self.say("unlink", name)
            del self.files[name]
        elif kind < 11:
            other = self.any()
            if other != name:
                self.say("rename", name, other)
                self.files[other] = self.files.pop(name)
        else:
            self.settle(name, syncs)

    def settle(self, name, syncs):
        op = self.random.choice(syncs)
        if op in ("owrite", "dwrite"):
            self.write(name, self.files[name], 1 + self.random.below(5000), op)
        else:
            self.say(*([op] if op == "sync" else [op, name]))


def mixture(random, n, syncs=("fsync", "fsync", "fdatasync", "sync", "owrite")):
    s, quiet = Script(random), 0
    while len(s.lines) < n:
        s.step(syncs)
        quiet = 0 if s.lines[-1].split()[0] in syncs else quiet + 1
        if quiet > 4:
            s.settle(s.make(), syncs)
            quiet = 0
    return s.lines


def second_random(run):
    """Another stream of the same seed: for what is drawn after the run."""
    return Random(run.seed ^ 0x5bd1e995)


def cut_at(p, state):
    return f"after a power cut at event {p} of the recording, in operation {state.line}"


# ---------------------------------------------------------------- the log as it is written

def test_log_blocks(run: Run):
    """Many commits: what lies in the log is what FORMAT.md says, whole."""
    rec, _, _ = record(run, mixture(run.random, 50, ("fsync", "sync")) + ["sync"])
    sb, commits = Super(rec.start), 0
    for line, s in rec.at_notes():
        log = Log(s.base)
        run.check(not log.trouble, "wrong", f"the log's superblock: {log.trouble}")
        for ring in range(1, sb.length):
            b = block_of(s.base, sb.area + ring)
            magic, seq = b[:4], struct.unpack_from("<Q", b, 16)[0]
            if magic in (DESCRIPTOR, REVOKE, COMMIT) and seq >= log.next:
                run.fail("wrong", f"log block {ring} belongs to transaction {seq}, but {log.next} is not whole",
                         log.why)
        commits = max(commits, log.next)
    run.check(commits > 4, "wrong", "nothing, or next to nothing, is in the log after all these commits")


def test_log_images(run: Run):
    """In a transaction each changed block is once, marked with its number; and not what has not changed."""
    r, s = run.random, Script(run.random)
    for _ in range(14):                     # nothing is taken back: each block that changes is another one afterwards
        for _ in range(1 + r.below(4)):
            name = s.make() if r.below(3) or not s.files else s.any()
            s.write(name, s.files[name], BLOCK + r.below(9000))
        s.say("fsync", name)
    rec, _, _ = record(run, s.lines, log=512)
    before, again, total, last = {}, [], 0, 0
    for line, s in rec.at_notes():
        log = Log(s.base)
        for t in (t for t in log.transactions if t.seq > last):
            homes = [home for home, _ in t.images]
            run.equal(sorted(homes), sorted(set(homes)), f"the blocks of transaction {t.seq}, each once")
            for home, ring in t.images:
                b = block_of(s.base, log.sb.area + ring)
                seq = struct.unpack_from("<Q", b, 16 if home else 256)[0]
                run.equal(seq, t.seq, f"the transaction in the image of block {home}")
                again += [f"block {home} in transaction {t.seq}"] if before.get(home) == b[32:] else []
                total, last, before[home] = total + 1, t.seq, b[32:]
    run.check(total > 20, "wrong", "next to nothing is in the log after all these commits")
    run.check(not again, "wrong", f"{len(again)} of {total} images are of blocks that had not changed",
              ", ".join(again[:8]))


def test_log_laps(run: Run):
    """The log is gone round several times: numbers without a gap, and no block that still counts is written over."""
    r, s = run.random, Script(run.random)
    for i in range(24):
        s.write(s.make(), 0, 1 + r.below(3000))
        s.say("mkdir", f"d{i}")
        s.say("fsync", f"d{i}")
    rec, model, look = record(run, s.lines)
    sb, last, laps, cached = Super(rec.start), 0, 0, (None, None)
    for (kind, number, offset, data), state in rec.states():
        if kind != WRITE or not sb.in_log(offset // BLOCK):
            continue
        flushed = zlib.crc32(state.base[sb.area * BLOCK:(sb.area + sb.length) * BLOCK])
        if cached[0] != flushed:
            cached = flushed, Log(state.base).rings()
        for at in range(0, len(data), BLOCK):
            ring, b = offset // BLOCK + at // BLOCK - sb.area, data[at:at + BLOCK]
            run.check(ring not in cached[1], "wrong",
                      f"log block {ring} is written over; its transaction is still needed", *model.context(state.line))
            if b[:4] == COMMIT and ring:
                seq = struct.unpack_from("<Q", b, 16)[0]
                run.check(not last or seq == last + 1, "wrong", f"transaction {seq} follows {last}")
                last, laps = seq, laps + (ring < 20)
    run.check(laps > 1, "wrong", "the log was not gone round even once")
    for p, state in rec.points(second_random(run), 8):
        judge(run, model, look, state.torn(r), state.line, cut_at(p, state))


def test_log_long(run: Run):
    """A transaction of hundreds of blocks: many to a descriptor, and more than one request can carry."""
    n = 110 + run.random.below(60)
    rec, model, look = record(run, ["mkdir d", f"nest d {n}", "fsync d"], mib=8, log=2048, inodes=1000)
    run.equal(rec.results[2], n, "directories that could be made")
    log = Log(rec.end(len(model.script)).base)
    for ring in range(1, log.length):
        b = block_of(log.image, log.sb.area + ring)
        if not log.trouble and b[:4] in (DESCRIPTOR, COMMIT) and struct.unpack_from("<Q", b, 16)[0] >= log.next:
            run.fail("wrong", f"log block {ring} belongs to transaction {log.next} or a later one, which is not whole",
                     log.why)
    judge(run, model, look, log.image, len(model.script), "after a power cut once all was in the log")
    for p, state in rec.points(second_random(run), 4):
        judge(run, model, look, state.torn(run.random), state.line, cut_at(p, state))


# ---------------------------------------------------------------- what was promised

def kept(run, syncs, n=34):
    """Whenever one of `syncs` has returned: what is durable then."""
    rec, model, look = record(run, mixture(run.random, n, syncs))
    promised = [line for line, words in enumerate(model.script) if words.split()[0] in syncs]
    picked = set(second_random(run).shuffle(list(promised))[:12])
    for line, s in rec.at_notes():
        if line - 1 in picked:
            judge(run, model, look, s.base, line, f"after a power cut once `{model.script[line - 1]}` had returned")


def test_fsync_kept(run: Run):
    """What fsync and fdatasync returned for is there."""
    kept(run, ("fsync", "fdatasync"))


def test_sync_kept(run: Run):
    """... and sync, and writes with O_SYNC and O_DSYNC."""
    kept(run, ("sync", "owrite", "dwrite"))


# ---------------------------------------------------------------- the order of writes

def test_write_ahead(run: Run):
    """No metadata goes home that is not, durable, in the log (J1)."""
    rec, model, _ = record(run, mixture(run.random, 50) + ["umount"])
    sb, cached, seen = Super(rec.start), (None, None), 0
    for (kind, number, offset, data), state in rec.states():
        for at in range(0, len(data) if kind == WRITE else 0, BLOCK):
            home, b = (offset + at) // BLOCK, data[at:at + BLOCK]
            if sb.in_log(home) or home == 15 or home and b[:4] not in METADATA:
                continue
            flushed = zlib.crc32(state.base[sb.area * BLOCK:(sb.area + sb.length) * BLOCK])
            if cached[0] != flushed:
                cached = flushed, Log(state.base).last()
            seen += 1
            run.check(cached[1].get(home) == b, "wrong",
                      f"block {home} ({'superblock' if not home else b[:4].decode()}) is written home; "
                      + ("the log has another image of it" if home in cached[1]
                         else "no whole, durable transaction has it"),
                      *model.context(state.line))
    run.check(seen > 3, "wrong", "the file system was unmounted, and its metadata was never written home")


def test_data_first(run: Run):
    """File data is durable before the commit block that leads to it is written (J2)."""
    r, s = run.random, Script(run.random)
    for _ in range(14):
        name = s.make() if r.below(3) or not s.files else s.any()
        s.write(name, s.files[name], 4096 * (1 + r.below(4)) + r.below(4096))
        s.say("fsync", name)
    rec, model, look = record(run, s.lines)
    sb, random, picked = Super(rec.start), second_random(run), []
    commits = [i for i, (kind, _, offset, data) in enumerate(rec.events) if kind == WRITE and sb.in_log(offset // BLOCK)
               and any(data[at:at + 4] == COMMIT for at in range(0, len(data), BLOCK))]
    picked = set(random.shuffle(list(commits))[:14])
    run.check(picked, "wrong", "no commit block was ever written")
    for i, (e, s) in enumerate(rec.states()):
        if i - 1 in picked:
            image = s.image(lambda offset: sb.in_log(offset // BLOCK))
            when = cut_at(i, s) + ": the commit block had reached the disk, data not yet flushed had not"
            judge(run, model, look, image, s.line, when)


def test_crash_anywhere(run: Run):
    """Random operations, cut at random points; of the writes under way some sectors have reached the disk."""
    rec, model, look = record(run, mixture(run.random, 60))
    random = second_random(run)
    for p, s in rec.points(random, 26):
        judge(run, model, look, s.torn(random), s.line, cut_at(p, s))


def test_rename_atomic(run: Run):
    """As editors save: under the name is the old text or the new, whole, at every moment."""
    r, s = run.random, Script(run.random)
    for i in range(12):
        name = s.make("new")
        s.write(name, 0, 1 + r.below(9000))
        s.say("fsync", name)
        s.say("rename", name, f"text{r.below(2)}")
        if r.below(3) == 0:
            s.say("fsync", ".")
    rec, model, look = record(run, s.lines)
    random = second_random(run)
    for p, state in rec.points(random, 24):
        judge(run, model, look, state.torn(random), state.line, cut_at(p, state))


# ---------------------------------------------------------------- freed blocks

def free_blocks(run, mib):
    image = new_disk(run, mib, stale=False)
    return len(Super(image).free(image))


def test_freed_kept(run: Run):
    """Blocks of files that were dropped a moment ago hold their content until that is durable (J3)."""
    r, s = run.random, Script(run.random)
    first = [s.make("first") for _ in range(6)]
    for name in first:
        s.write(name, 0, BLOCK * (40 + r.below(20)))
    second, rest = s.make("second"), s.make("rest")
    s.write(second, 0, BLOCK * 300)
    s.write(rest, 0, BLOCK * (free_blocks(run, 4) - sum(s.files.values()) // BLOCK - 12))
    s.say("sync")
    s.say("unlink", second)
    s.say("sync")
    for name in first[:5]:
        s.say("unlink", name) if r.below(3) else s.say("trunc", name, 0)
        new = s.make("new")
        s.write(new, 0, BLOCK * (30 + r.below(10)))
        s.say("fsync", new)
    rec, model, look = record(run, s.lines, mib=4)
    sb, began = Super(rec.start), model.script.index(f"unlink {second}") + 1
    data = [i for i, e in enumerate(rec.events)
            if e[0] == WRITE and e[2] >= sb.data * BLOCK and e[3][:4] not in METADATA]
    picked = set(second_random(run).shuffle(data)[:40])
    for p, (_, state) in enumerate(rec.states()):
        if p - 1 in picked and state.line > began:
            image = state.image(lambda offset: not sb.in_log(offset // BLOCK))
            when = cut_at(p, state) + ", when of what was not flushed all but the log had reached the disk"
            judge(run, model, look, image, state.line, when)


def test_freed_revoked(run: Run):
    """Blocks of directories become blocks of files, while the log has them as directories (J6)."""
    r, s = run.random, Script(run.random)
    s.write(s.make("fill"), 0, BLOCK * (free_blocks(run, 2) - 64 - 30))
    s.say("sync")
    for i in range(8):
        s.lines += [f"mkdir d{i}", f"make d{i}/x", f"fsync d{i}/x",
                    f"make b{i}", f"write b{i} 0 {16 * BLOCK} {i}", f"fsync b{i}",
                    f"unlink b{i}", f"unlink d{i}/x", f"rmdir d{i}", "fsync .",
                    f"make f{i}", f"write f{i} 0 {(22 + r.below(4)) * BLOCK} {100 + i}", f"fsync f{i}", f"unlink f{i}"]
    rec, model, look = record(run, s.lines, log=512)
    for line, state in rec.at_notes():
        if line and model.script[line - 1].startswith("fsync f"):
            judge(run, model, look, state.base, line, f"after a power cut once `{model.script[line - 1]}` had returned")


# ---------------------------------------------------------------- home, and room

def test_log_given_up(run: Run):
    """Before the log forgets a transaction its blocks are at home, durable (J5)."""
    rec, model, look = record(run, mixture(run.random, 130, ("fsync", "sync", "owrite")) + ["umount"])
    sb, random = Super(rec.start), second_random(run)
    gives = [i for i, e in enumerate(rec.events) if e[0] == WRITE and e[2] == sb.area * BLOCK]
    run.check(gives, "wrong", "the log's superblock is never written")
    picked = set(random.shuffle(gives[1:])[:12]) | {gives[-1]}
    for i, (e, state) in enumerate(rec.states()):
        if i in picked:
            image = bytearray(state.base)
            state.put(image, e[2], e[3])
            when = cut_at(i, state) + ": of what was not flushed only the log's superblock had reached the disk"
            judge(run, model, look, image, state.line, when)


def test_clean_end(run: Run):
    """After an unmount all is at home and the log is empty; numbers go on with the next mount."""
    lines = mixture(run.random, 20)
    rec, model, look = record(run, [*lines, "umount", "mount /dev/vdb", "make later", "fsync later", "umount"])
    last = 0
    for line in (len(lines) + 2, len(model.script)):
        state = rec.end(line)
        image, log = bytearray(state.base), Log(state.base)
        run.equal(log.start, 0, "where the log of an unmounted file system begins (0: it is empty)")
        blocks = (block_of(image, log.sb.area + r) for r in range(1, log.length))
        commits = [struct.unpack_from("<Q", b, 16)[0] for b in blocks if b[:4] in (COMMIT, DESCRIPTOR)]
        run.check(commits and log.next > max(commits) > last, "wrong", f"the next transaction's number is {log.next}",
                  f"in the log lie {sorted(set(commits))}; the numbers of the last mount went up to {last}")
        last = max(commits)
        run.equal(log.sb.state, CLEAN, "the state in the superblock (1: clean)")
        image[(log.sb.area + 1) * BLOCK:(log.sb.area + log.length) * BLOCK] = bytes((log.length - 1) * BLOCK)
        judge(run, model, look, image, line,
              "once the file system had been unmounted, without what the log still holds")


def test_large_changes(run: Run):
    """More changes than the log can hold at once, and nobody asks for a commit."""
    n = 90 + run.random.below(30)
    rec, model, look = record(run, ["mkdir d", f"nest d {n}", f"unnest d {n // 2}", "fsync d"], inodes=1000)
    run.equal(rec.results[2:4], [n, n // 2], "directories that could be made, and dropped")
    random = second_random(run)
    judge(run, model, look, rec.end(len(model.script)).base, len(model.script), "at the end")
    for p, state in rec.points(random, 4):
        judge(run, model, look, state.torn(random), state.line, cut_at(p, state))


def test_full_disk(run: Run):
    """A full disk: what is freed can be used at once, and nothing is damaged."""
    r, all_blocks = run.random, free_blocks(run, 2)
    script = ["mount /dev/vdb"]
    for i in range(3):
        big = all_blocks - 30 - r.below(8)
        script += [f"make a{i}", f"write a{i} 0 {big * BLOCK} {i}", f"fsync a{i}" if r.below(2) else "sync",
                   f"unlink a{i}", f"make b{i}", f"write b{i} 0 {(big - 8) * BLOCK} {i + 50}",
                   f"make c{i}", f"write c{i} 0 {80 * BLOCK} {i + 80}", f"fsync b{i}", f"unlink b{i}", f"unlink c{i}"]
    rec = play(run, new_disk(run), script)
    for line, got in zip(script, rec.results):
        words = line.split()
        if words[0] == "write" and words[1][0] == "c":
            run.check(got == -ENOSPC or 0 < got < 80 * BLOCK, "wrong", f"`{line}` has more room than the disk",
                      f"seen {got}")
        else:
            run.equal(got, int(words[3]) if words[0] == "write" else 0, f"the result of `{line}`")
    model, look = Model(script, rec.results), Looker(run)
    judge(run, model, look, rec.end(len(script)).base, len(script), "at the end")
    for p, state in rec.points(second_random(run), 3):
        judge(run, model, look, state.base, state.line, cut_at(p, state))


# ---------------------------------------------------------------- disks that fail

def failing(run, broken, data=False):
    """From the 6th line on the disk fails some requests: broken(sb, kind, block). data: there is file data to be
    written then."""
    image, r = new_disk(run), run.random
    sb = Super(image)
    kept, lost = 1 + r.below(20000), 1 + r.below(20000)
    script = ["mount /dev/vdb", "make kept", f"write kept 0 {kept} 1", "fsync kept", "sync",
              "make lost", f"write lost 0 {lost} 2" if data else "mkdir lostdir", "fsync lost", "fsync lost",
              "make new", "mkdir more", "rename kept other", "sum kept"]

    def fails(kind, offset, length, line):
        blocks = range(offset // BLOCK, (offset + length + BLOCK - 1) // BLOCK)
        return 5 <= line and broken(sb, kind, blocks)

    rec = play(run, image, script, broken=fails)
    got = dict(enumerate(rec.results))
    for i, line in enumerate(script[:7]):
        run.check(got.get(i, -1) >= 0, "wrong",
                  f"`{line}` failed while the disk was good, or nothing had to be written", f"result {got.get(i)}")
    for i in (7, 8):
        run.equal(got[i], -EIO,
                  f"the result of `{script[i]}`, once the disk fails ({'again' if i == 8 else 'first time'})")
    for i in (9, 10, 11):
        run.check(got[i] in (-EIO, -EROFS), "wrong", f"`{script[i]}` changes a file system whose log cannot be trusted",
                  f"result {got[i]}")
    run.equal(got[12], zlib.adler32(pattern(1, 0, kept)), "the checksum of the file that was kept, read afterwards")
    model, look, state = Model(script, rec.results), Looker(run), State(rec.start)
    for e in rec.events:
        state.step(*e)
    for image in (state.base, state.image()):
        model.check(run, look.tree(image, "once the disk had failed"), len(script), "once the disk had failed")
    return Super(state.image())


def test_bad_log(run: Run):
    """The log cannot be written: EIO, no change any more, and what was promised stays."""
    sb = failing(run, lambda sb, kind, blocks: kind == WRITE and any(sb.area < b < sb.area + sb.length for b in blocks))
    run.check(sb.state & ERRORS, "wrong", "the superblock does not say that damage was seen", f"state {sb.state}")


def test_bad_flush(run: Run):
    """The disk cannot flush: nothing can be promised, and nobody forgets it."""
    failing(run, lambda sb, kind, blocks: kind == FLUSH)


def test_bad_data(run: Run):
    """File data cannot be written: the transaction that would show its blocks does not commit."""
    failing(run, lambda sb, kind, blocks: kind == WRITE and any(b >= sb.data for b in blocks), data=True)


# ---------------------------------------------------------------- logs made by hand

class Crafted:
    """A disk with a log in it that the kernel did not write."""

    def __init__(self, run, random, image, at_end=False):
        self.run, self.random, self.image, self.sb = run, random, bytearray(image), Super(image)
        self.bytes = python_random.Random(random.next())
        free = self.sb.free(image)
        self.homes = [free[i] for i in sorted({random.below(len(free)) for _ in range(60)})]
        self.length = self.sb.length
        self.start = self.ring = self.length - 1 - random.below(12) if at_end else 1 + random.below(self.length - 1)
        self.seq = self.first = 2 + random.next() % (1 << 40)
        self.left = self.length - 1

    def image_of(self, home, seq=None):
        """Metadata that belongs at `home`."""
        r = self.random
        seq = self.seq if seq is None else seq
        head = struct.pack("<4sIQQII", r.choice(METADATA), 0, home, seq, self.sb.fsid, r.below(99))
        return sealed(head + self.bytes.randbytes(BLOCK - 32))

    def put(self, block):
        at = (self.sb.area + self.ring) * BLOCK
        self.image[at:at + BLOCK] = block
        self.ring = self.ring % (self.length - 1) + 1
        self.left -= 1

    def control(self, magic, payload, **lie):
        place = lie.get("place", self.sb.area + self.ring)
        head = struct.pack("<4sIQQII", magic, 0, place, lie.get("seq", self.seq), lie.get("fsid", self.sb.fsid), 0)
        block = bytearray(sealed((head + payload).ljust(BLOCK, b"\0")))
        if lie.get("bit"):
            block[32 + self.random.below(8)] ^= 1 << self.random.below(8)
        self.put(bytes(block))
        return bytes(block[4:8])

    def transaction(self, homes=None, revokes=(), lie=None, **words):
        """One transaction; `lie` says what is wrong with it. Images are cut into several descriptors at random."""
        r, chain = self.random, []
        lies = {lie: words or True} if lie else {}
        homes = list(homes if homes is not None else {r.choice(self.homes) for _ in range(1 + r.below(6))})
        total, revokes = len(homes), list(revokes)
        hurt = r.below(max(1, total))
        if "empty" in lies:
            chain.append(self.control(DESCRIPTOR, struct.pack("<IIQ", 0, 0, 0)))
        if "revokes" in lies:
            void = [r.choice(self.homes) for _ in range(506)]
            chain.append(self.control(REVOKE, struct.pack("<IIQ506Q", lies["revokes"]["n"], 0, 0, *void)))
        while homes or revokes:
            if revokes and (not homes or r.below(2)):
                n = 1 + r.below(len(revokes))
                part, revokes = revokes[:n], revokes[n:]
                chain.append(self.control(REVOKE, struct.pack(f"<IIQ{n}Q", n, len(chain), 0, *part)))
                continue
            n = 1 + r.below(len(homes))
            part, homes = homes[:n], homes[n:]
            self.descriptor(part, chain, lies, hurt)
            hurt -= n
        if lie == "no-commit":
            return self.put(bytes(BLOCK))
        said = [len(chain), total, crc32c(b"".join(chain))]
        for i, what in enumerate(("controls", "images", "chain")):
            said[i] ^= (1 + r.below(7)) if lie == what else 0
        self.control(COMMIT, struct.pack("<IIIIq", *said, r.below(10**9), 1700000000), **lies.get("commit", {}))
        self.seq += 1

    def descriptor(self, part, chain, lies, hurt):
        target = lies.get("target", {}).get("block")
        images = [lies["image"]["block"] if i == hurt and "image" in lies else self.image_of(home)
                  for i, home in enumerate(part)]
        tags = [(home, crc32c(image)) for home, image in zip(part, images)]
        if target is not None and 0 <= hurt < len(part):
            images[hurt] = self.image_of(target)
            tags[hurt] = target, crc32c(images[hurt])
        count, home_of = lies.get("count", {}).get("n", len(part)), [home for home, _ in tags]
        index = len(chain) + ("index" in lies)
        payload = struct.pack("<IIQ", count, index, 0) + b"".join(struct.pack("<QII", *t, 0) for t in tags)
        chain.append(self.control(DESCRIPTOR, payload, **lies.get("descriptor", {})))
        for i, image in enumerate(images):
            if i == hurt and "stale" in lies:
                image = self.image_of(home_of[i])
            if i == hurt and "torn" in lies:
                at = SECTOR * self.random.below(8)
                image = image[:at] + self.bytes.randbytes(SECTOR) + image[at + SECTOR:]
            self.put(image)

    def finish(self, start=None):
        """The log's superblock; returns the disk."""
        payload = struct.pack("<IIQ", self.length, self.start if start is None else start, self.first)
        head = struct.pack("<4sIQQII", LOG_SUPER, 0, self.sb.area, 0, self.sb.fsid, 0)
        at = self.sb.area * BLOCK
        self.image[at:at + BLOCK] = sealed((head + payload).ljust(BLOCK, b"\0"))
        return bytes(self.image)

    def noise(self, n):
        """Old transactions in blocks that come after the last one: a log that has been gone round before."""
        was = self.ring, self.seq, self.left
        self.seq -= 1 + self.random.below(3)
        while self.left > 14 and n > 0:
            self.transaction()
            self.seq -= 1
            n -= 1
        self.ring, self.seq, self.left = was


def judge_recovery(run, cases):
    """cases: [(what it is, disk)]. The kernel mounts them all, and must leave each as our own recovery does."""
    paths = []
    for i, (_, disk) in enumerate(cases):
        paths.append(os.path.join(run.folder(), f"disk{i}"))
        with open(paths[-1], "wb") as f:
            f.write(disk)
    play(run, b"", [f"mountro /dev/vd{chr(ord('b') + i)}" for i in range(len(cases))], disks=paths, recorded=False)
    for (what, disk), path in zip(cases, paths):
        want, number = recovered(disk)
        log, sb = Log(disk), Super(disk)
        with open(path, "rb") as f:
            got = bytearray(f.read())
        count = len(log.transactions)
        told = [f"of the {count} transactions that count the first is {log.next - count}",
                f"the log ends because: {log.why}"]
        for b in range(sb.blocks):
            if b != sb.area and block_of(got, b) != block_of(want, b):
                why = "is not the image that should be there"
                if block_of(got, b) == block_of(disk, b):
                    why = "was not written home"
                elif block_of(want, b) == block_of(disk, b):
                    why = "was written; it should have stayed as it was"
                run.fail("wrong", f"recovery of {what}: block {b} {why}", *told)
        after = Log(got)
        run.check(not after.trouble and after.start == 0, "wrong",
                  f"recovery of {what}: the log is not empty afterwards",
                  after.trouble or f"start is {after.start}", *told)
        run.equal(after.next, number, f"the number of the next transaction after recovery of {what}")


def crafted(run, n, **words):
    image, random = new_disk(run, 1, stale=False), run.random
    for i in range(n):
        yield i, Crafted(run, random, image, **words)


def test_replay_whole(run: Run):
    """Transactions of all shapes, all of them whole, and older ones behind them."""
    cases = []
    for i, c in crafted(run, 8):
        for _ in range(1 + c.random.below(5)):
            c.transaction()
        c.noise(3)
        cases.append((f"log {i} from ring block {c.start} on", c.finish()))
    judge_recovery(run, cases)


def test_replay_laps(run: Run):
    """Logs that go past the end of the ring; one that fills it to the last block."""
    cases = []
    for i, c in crafted(run, 6, at_end=True):
        while c.left > (12 if i else 30):
            c.transaction()
        if i == 0:
            while c.left > 2:
                c.transaction(c.homes[:min(3, c.left - 2)])
        what = f"log {i} from ring block {c.start} of {c.length} on, {c.length - 1 - c.left} blocks long"
        cases.append((what, c.finish()))
    judge_recovery(run, cases)


def test_replay_newest(run: Run):
    """Few blocks, many images of each: the newest counts."""
    cases = []
    for i, c in crafted(run, 6):
        c.homes = c.homes[:3 + c.random.below(4)]
        for _ in range(4 + c.random.below(5)):
            c.transaction()
        c.noise(2)
        cases.append((f"log {i} from ring block {c.start} on, with {len(c.homes)} blocks", c.finish()))
    judge_recovery(run, cases)


def test_replay_revoked(run: Run):
    """Revokes void older images, not younger ones and not those of their own transaction."""
    cases = []
    for i, c in crafted(run, 8):
        c.homes = c.homes[:5]
        for _ in range(4 + c.random.below(4)):
            revokes = {c.random.choice(c.homes) for _ in range(c.random.below(4))}
            c.transaction(revokes=sorted(revokes))
        if i % 2:
            c.transaction(revokes=c.homes, lie="no-commit")
        cases.append((f"log {i} from ring block {c.start} on, with revokes", c.finish()))
    judge_recovery(run, cases)


def with_lies(run, lies):
    """Good transactions, one with a lie, and a good one after it, which must not count either."""
    cases = []
    for (lie, words), (_, c) in zip(lies, crafted(run, len(lies))):
        for _ in range(1 + c.random.below(3)):
            c.transaction()
        words = words(c) if callable(words) else words
        c.transaction(lie=lie, **words)
        if lie == "no-commit":
            c.seq += c.random.below(2)
        c.transaction()
        cases.append((f"a log whose transaction before the last has a lie: {lie} {words or ''}".rstrip(), c.finish()))
    judge_recovery(run, cases)


def test_replay_torn(run: Run):
    """The power went while the last transaction was being written: nothing of it counts, and nothing behind it."""
    with_lies(run, [("torn", {}), ("no-commit", {}), ("torn", {}), ("commit", {"bit": 1}), ("descriptor", {"bit": 1}),
                    ("commit", lambda c: {"seq": c.seq - 20}), ("chain", {}), ("stale", {}), ("stale", {})])


def test_replay_numbers(run: Run):
    """Numbers, indices and counts that do not fit."""
    with_lies(run, [("commit", lambda c: {"seq": c.seq + 1}), ("descriptor", lambda c: {"seq": c.seq + 1}),
                    ("controls", {}), ("images", {}), ("index", {}),
                    ("count", {"n": 0}), ("count", {"n": 254}), ("count", {"n": 0xffffffff}),
                    ("empty", {}), ("revokes", {"n": 0}), ("revokes", {"n": 507}), ("revokes", {"n": 0xffffffff}),
                    ("commit", lambda c: {"fsid": c.sb.fsid ^ 1}),
                    ("descriptor", lambda c: {"place": c.sb.area + 1 + c.ring % 60})])


def test_replay_lies(run: Run):
    """Well signed transactions that want to be written where no image belongs."""
    with_lies(run, [("target", lambda c: {"block": c.sb.blocks}), ("target", lambda c: {"block": (1 << 64) - 1}),
                    ("target", lambda c: {"block": c.sb.area}),
                    ("target", lambda c: {"block": c.sb.area + c.length - 1}), ("target", lambda c: {"block": 1 << 52}),
                    ("image", lambda c: {"block": c.image_of(c.homes[0] - 1)}),
                    ("image", lambda c: {"block": bytes(BLOCK)})])


def test_replay_cut(run: Run):
    """Power fails during recovery, anywhere: doing it again comes to the same end."""
    random = second_random(run)
    _, c = next(crafted(run, 1))
    c.homes = c.homes[:16]
    for _ in range(5):
        c.transaction(revokes=[c.random.choice(c.homes)] if c.random.below(2) else [])
    disk = c.finish()
    rec = play(run, disk, ["mountro /dev/vdb"])
    want, number = recovered(disk)
    del want[c.sb.area * BLOCK:(c.sb.area + c.length) * BLOCK]
    run.check(any(e[0] == WRITE for e in rec.events), "wrong", "recovery wrote nothing")
    for i, (_, s) in enumerate(rec.states()):
        for _ in range(4):
            image = s.torn(random)
            again, next_number = recovered(image)
            del again[c.sb.area * BLOCK:(c.sb.area + c.length) * BLOCK]
            differ = [b for b in range(len(want) // BLOCK) if block_of(again, b) != block_of(want, b)]
            run.check(not differ and next_number == number, "wrong",
                      "recovery, cut off and done again, comes to another end",
                      f"cut at event {i} of {len(rec.events)}",
                      f"blocks that differ, counted without the log: {differ}",
                      f"the number that comes next: expected {number}, seen {next_number}")


def test_crash_recovered(run: Run):
    """Crashed disks, with files that were open and had no name: the kernel mounts, changes and unmounts them."""
    r, s = run.random, Script(run.random)
    for i in range(6):
        for _ in range(6):
            s.step(("fsync", "sync", "owrite"))
        name = s.make("open")
        s.write(name, 0, 1 + r.below(20000))
        s.say("fsync", name)
        s.say("hold", name)
        s.say("unlink", name)
        del s.files[name]
    rec, model, look = record(run, s.lines + ["sync"])
    random, disks, points = second_random(run), [], []
    for p, state in rec.points(random, 5):
        disks.append(os.path.join(run.folder(), "crashed"))
        points.append((p, state.line))
        with open(disks[-1], "wb") as f:
            f.write(state.torn(random))
    script = []
    for i in range(len(disks)):
        script += [f"mount /dev/vd{chr(ord('b') + i)}", "make after-the-crash", "unlink after-the-crash", "umount"]
    again = play(run, b"", script, disks=disks, recorded=False)
    run.equal(again.results, [0] * len(script), "the results of mounting, making, dropping, unmounting each disk")
    for (p, line), path in zip(points, disks):
        with open(path, "rb") as f:
            image = f.read()
        when = f"after a power cut at event {p} in operation {line}, and the kernel's recovery"
        judge(run, model, look, image, line, when)
        run.equal(Super(image).orphans, 0, f"the first inode of the orphan list, {when}")
