"""Judges of lab 8: a model of the index; block maps read from the images themselves; directories and files that programs made,
looked at afterwards with the host's own tools, which share no code with what is judged.

What fs/eclipsefs/observe_efs.c draws is drawn here again, in the same order: records of other inputs than these
count for nothing."""

import re
import struct
import zlib

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random, Script
from grade.eclipse.qemu import disk_args

ENOENT, ENOSPC = 2, 28
BLOCK, MAP_BITS = 4096, 31680
GOOD_RUN = 64
MAX_RUNS, MAX_ENTRIES = 500, 600  # that observe_efs.c has room for


def numbers(line):
    return [int(x) for x in re.findall(r"(?<![\w-])-?\d+\b", line)]


def letters(random, n):
    return "".join(chr(97 + random.below(26)) for _ in range(n))


def observe_on(run, disk, name, arg):
    """The records of the observation on a kernel whose root is this disk."""
    obs = run.observe(name, arg=arg, append="root=/dev/vda", icount=False, archive=False, mem=128,
                      extra=disk_args("virtio", disk.image, True, "root", boot=False))
    return Script(run, obs.lines)


# ---------------------------------------------------------------- the index

class Index:
    """Hashes and positions in a table, and what the guest must tell of it."""

    def __init__(self, run, steps, hashes, distance, removals):
        self.run, self.random = run, Random(run.seed)
        arg = f"{steps},{hashes},{distance},{removals}"
        self.script = Script(run, run.observe("index_play", arg=arg, archive=False).lines)
        self.hashes, self.distance, self.removals = hashes, distance, removals
        self.have, self.pos, self.base = [], 1, self.random.next()

    def step(self):
        below = self.random.below
        hash = self.base + below(self.hashes) * self.distance & 0xffffffff
        if self.have and below(8) < self.removals:
            k = below(len(self.have))
            self.script.expect("del %u %u" % self.have[k], "what is done next")
            last = self.have.pop()
            self.have[k:k + 1] = [last] if k < len(self.have) else []
        elif len(self.have) < MAX_ENTRIES:
            self.script.expect(f"add {hash} {self.pos}: 0", f"entering a hash and a position, among {len(self.have)}")
            self.have.append((hash, self.pos))
            self.pos += 1
        below(16)                                  # now and then, something that is not there is removed
        self.look(self.have[below(len(self.have))][0] if self.have and below(2) else hash)

    def look(self, hash):
        self.script.expect(f"look {hash}", "what is done next")
        got = []
        while self.script.coming().startswith("at"):
            got += numbers(self.script.next())
        self.run.equal(sorted(got), sorted(pos for h, pos in self.have if h == hash),
                       f"positions found for the hash {hash}, among {len(self.have)} entries")


def judge_index(run, steps, *arg):
    index = Index(run, steps, *arg)
    for _ in range(steps):
        index.step()
    index.script.expect(f"used {len(index.have)}", "entries in use, in the end")
    for hash, _ in index.have:
        index.look(hash)
    index.script.over()


def test_index_names(run: Run):
    """Entered and found again, while the table grows."""
    judge_index(run, 400, 1 << 31, 1, 0)


def test_index_clashes(run: Run):
    """Many that want the same slot, and some with equal hashes."""
    judge_index(run, 300, 12, 4096, 0)
    judge_index(run, 300, 1 << 31, 1 << 20, 0)


def test_index_removed(run: Run):
    """Removing leaves no hole in front of what was pushed on."""
    judge_index(run, 500, 40, 1, 3)
    judge_index(run, 500, 24, 1 << 27, 4)
    judge_index(run, 400, 1 << 31, 1, 4)


# ---------------------------------------------------------------- free blocks

class Map:
    """The block map of an image."""

    def __init__(self, image):
        with open(image, "rb") as f:
            top = f.read(512)
            self.blocks, at, n = struct.unpack_from("<QQQ", top, 128)
            (self.data,) = struct.unpack_from("<Q", top, 200)
            f.seek(at * BLOCK)
            raw = b"".join(f.read(BLOCK)[32:32 + MAP_BITS // 8] for _ in range(n))
        self.bits = bytearray(b for byte in raw for b in EIGHT[byte])
        self.n = n

    def run(self, at, limit):
        """Free blocks from `at` on, no more than the limit, within one block of the map."""
        end = min(at + limit, (at // MAP_BITS + 1) * MAP_BITS)
        used = self.bits.find(1, at, end)
        return (used if used >= 0 else end) - at

    def best(self, at, want):
        """The longest run, up to `want` blocks, from `at` to the end of its block of the map."""
        end, best = (at // MAP_BITS + 1) * MAP_BITS, 0
        while best < want:
            at = self.bits.find(0, at, end)
            if at < 0:
                break
            n = self.run(at, want)
            best, at = max(best, n), at + max(n, 1)
        return best

    def set(self, start, n, value):
        self.bits[start:start + n] = bytes([value]) * n


EIGHT = [bytes(i >> k & 1 for k in range(8)) for i in range(256)]


class Blocks:
    """A play with free blocks, checked for what must always hold; the map at the end is the disk's."""

    def __init__(self, run, size, steps, most, frees, fill):
        self.disk = run.disk({}, size=size, programs=False)
        self.run, self.map, self.below = run, Map(self.disk.image), Random(run.seed).below
        self.steps, self.most, self.frees, self.fill = steps, most, frees, fill
        self.script = observe_on(run, self.disk, "blocks_play", f"{steps},{most},{frees},{fill}")
        self.runs, m = [], self.map                # [(start, length)]
        self.left = m.bits.count(0, m.data, m.blocks)
        self.script.expect(f"left {self.left} data {m.data} end {m.blocks}", "the file system")

    def free(self):
        i = self.below(len(self.runs))
        start, n = self.runs[i]
        gone = 1 + self.below(n) if self.below(2) else n
        self.script.expect(f"free {start}+{gone}: 0", "giving blocks back")
        self.map.set(start, gone, 0)
        self.left += gone
        self.runs[i] = start + gone, n - gone
        if gone == n:
            last = self.runs.pop()
            self.runs[i:i + 1] = [last] if i < len(self.runs) else []

    def goal(self):
        if self.runs and self.below(2):
            return sum(self.runs[-1])
        return self.below(self.map.blocks + 100) if self.below(3) else 0

    def alloc(self, most):
        """(goal, wanted, start, given), or None: there is nothing left."""
        want = 1 + self.below(most if self.below(3) else 3)
        goal = self.goal()
        begin, _, told = self.script.next().partition(": ")
        self.run.equal(begin, f"alloc {goal} {want}", "the blocks that were to be asked for (goal, how many)")
        err, start, got, left = numbers(told.replace("+", " "))
        if err:
            self.run.check(err == -ENOSPC and self.left == 0, "wrong",
                           f"efs_blocks_alloc returned {err}, and {self.left} blocks are free")
            return None
        self.given(want, start, got)
        self.shown = left
        return goal, want, start, got

    def given(self, want, start, got):
        run, m = self.run, self.map
        run.check(1 <= got <= want, "wrong", f"{want} blocks were wanted, and {got} given")
        run.check(m.data <= start and start + got <= m.blocks, "wrong",
                  f"blocks {start} to {start + got - 1} were given; data lies in {m.data} to {m.blocks - 1}")
        used = m.bits.find(1, start, start + got)
        run.check(used < 0, "wrong", f"block {used} was given, and is in use", f"it was among {got} from {start}")

    def take(self, start, got):
        self.map.set(start, got, 1)
        self.left -= got
        self.run.equal(self.shown, self.left, "the free blocks that the superblock counts")
        if len(self.runs) < MAX_RUNS:
            self.runs.append((start, got))

    def asked(self):
        """Every (goal, wanted, start, given); the map is still that before it."""
        for _ in range(self.steps):
            n = len(self.runs)
            if n and (n == MAX_RUNS or self.below(8) < self.frees):
                self.free()
                continue
            step = self.alloc(self.most)
            if step:
                yield step
                self.take(*step[2:])
        self.script.expect("rest", "what is done next")
        while self.fill and (step := self.alloc(1 if self.left < 100 else self.most)):
            yield step
            self.take(*step[2:])
        self.script.over()


def play_blocks(run, *arg):
    """[(goal, wanted, start, given, the map before it)]"""
    play = Blocks(run, *arg)
    m = play.map
    for step in play.asked():
        yield *step, m
    final = Map(play.disk.image)
    for block in range(m.data, m.blocks):
        if final.bits[block] != m.bits[block]:
            run.equal(f"block {block}: {final.bits[block]}", f"block {block}: {m.bits[block]}",
                      "the block map on the disk afterwards")


def test_blocks_right(run: Run):
    """What is given was free, lies in the data area, and is marked in the map."""
    for _ in play_blocks(run, "8M", 300, 60, 3, 0):
        pass


def test_blocks_all(run: Run):
    """All blocks can be had, over several blocks of the map, and then no more."""
    given = sum(got for *_, got, m in play_blocks(run, "270M", 60, 2000, 3, 1))
    run.check(given > 0, "wrong", "no block was given")


def test_blocks_runs(run: Run):
    """Files must not become crumbs: a long run is preferred to the first."""
    hint = None
    for goal, want, start, got, m in play_blocks(run, "8M", 400, 40, 4, 0):
        at = goal if m.data <= goal < m.blocks else hint
        if at is not None:
            best = m.best(at, want)
            if best:
                run.check(got >= min(want, GOOD_RUN, best), "wrong", f"{want} blocks were wanted from {at} on, and {got} given",
                          f"expected a run of {min(want, best)} or more, which there is", f"seen     {got} blocks at {start}")
        hint = start + got if start + got < m.blocks else m.data


def test_blocks_goal(run: Run):
    """Where there is room at the goal, the run begins there."""
    for goal, want, start, got, m in play_blocks(run, "8M", 400, 30, 3, 0):
        if m.data <= goal < m.blocks and m.run(goal, want) >= min(want, GOOD_RUN):
            run.equal((start, got), (goal, m.run(goal, want)),
                      f"{want} blocks wanted at {goal}, where they are free (place, blocks)")


# ---------------------------------------------------------------- extents

class Extents:
    """A file's extents: [(logical, length, block)], and what a map must say."""

    def __init__(self, run, script):
        self.run, self.script, self.have, self.block = run, script, [], 5000

    def add(self, below, slot):
        logical, n = slot * 64 + below(30), 1 + below(30)
        self.block += 100 + below(50)
        self.script.expect(f"extent {logical}+{n} at {self.block}: 0", f"a new extent, among {len(self.have)}")
        self.have.append((logical, n, self.block))

    def look(self, logical):
        run, have = self.run, self.have
        begin, _, told = self.script.next().partition(": ")
        run.equal(begin, f"map {logical}", "what is done next")
        err, block, length = numbers(told)
        run.equal(err, 0, f"the answer: map {logical}: {told}")
        e = next((e for e in have if e[0] <= logical < e[0] + e[1]), None)
        if e:
            run.equal(block, e[2] + logical - e[0], f"the place of block {logical}, in the extent {e} of {len(have)}")
            most = e[0] + e[1] - logical
        else:
            run.equal(block, 0, f"the place of block {logical}, which is in a hole, with {len(have)} extents")
            most = min((x[0] for x in have if x[0] > logical), default=1 << 32) - logical
        run.check(1 <= length <= most, "wrong", f"{length} blocks from {logical} on belong together, it says",
                  f"expected 1 to {most}")
        run.check(not e or length == most, "wrong",
                  f"{length} blocks from {logical} on, it says, are on the disk together", f"expected {most}")


def judge_extents(run, n, shuffled, looks):
    disk, random = run.disk({}, size="4M", programs=False), Random(run.seed)
    below, script = random.below, observe_on(run, disk, "extents_play", f"{n},{shuffled},{looks}")
    order = [1 + 2 * i + below(2) for i in range(n)]
    if shuffled:
        random.shuffle(order)
    extents = Extents(run, script)
    for i, slot in enumerate(order):
        extents.add(below, slot)
        if below(8) == 0:
            extents.look(order[below(i + 1)] * 64 + below(64))
    run.check(script.next().startswith("now level"), "wrong", "what is told is not what was asked for")
    for _ in range(looks):
        at = order[below(n)] * 64 if below(4) else below((2 * n + 4) * 64)
        extents.look(at + below(70))
    extents.look(0)
    extents.look(0xffffffff)
    script.expect("kept 0", "metadata buffers that are still in use when nothing is going on")
    script.over()


def test_extents_few(run: Run):
    """Up to nine: they are in the inode."""
    judge_extents(run, 9, 1, 200)


def test_extents_tree(run: Run):
    """Hundreds: one level of nodes."""
    judge_extents(run, 500, 1, 300)


def test_extents_deep(run: Run):
    """Thousands: two levels."""
    judge_extents(run, 2600, 0, 300)


# ---------------------------------------------------------------- directories

TWINS = [("costarring", "liquid"), ("declinate", "macallums"), ("altarage", "zinke")]


def name_text(i, length, clash):
    """name_text() of observe_efs.c"""
    if clash:
        return f"{TWINS[i // 2 % 3][i % 2]}{i // 2}"
    name = f"{i}."
    return name + "".join(chr(97 + (i + n * 7) % 26) for n in range(len(name), length))


class Names:
    """The names of a directory by number, and which of them are there."""

    def __init__(self, run, script, names):
        self.run, self.script, self.names, self.there = run, script, names, set()

    def step(self, below, i):
        want = "0 1" if i in self.there else f"{-ENOENT} 0"
        self.script.expect(f"look {i}: {want}", f"looking up {self.names[i]!r} among {len(self.there)} names "
                           "(error, is it the right file)")
        if below(4):
            self.change(i)

    def change(self, i):
        what = "unlink" if i in self.there else "link"
        self.script.expect(f"{what} {i}: 0", f"{what} of {self.names[i]!r} among {len(self.there)} names")
        self.there ^= {i}


def judge_names(run, n, steps, clash, longest):
    disk, below = run.disk({}, size="8M", programs=False), Random(run.seed).below
    script, names = observe_on(run, disk, "names_play", f"{n},{steps},{clash},{longest}"), []
    for i in range(n):
        names.append(name_text(i, 5 + below(40 if below(3) else longest), clash))
        script.expect(f"name {i} {names[i]}", "the names that were to be used")
    play = Names(run, script, names)
    for i in range(n):
        play.step(below, i)
    for _ in range(steps):
        play.step(below, below(n))
    script.expect("kept 0", "metadata buffers that are still in use when nothing is going on")
    if play.there:
        play.change(min(play.there))
    script.over()
    got = sorted(p[6:] for p in disk.tree() if p.startswith("names/"))
    run.equal(got, sorted(names[i] for i in play.there), "the names in the directory, read from the disk on the host")


def test_names_found(run: Run):
    """Names are added, and found again."""
    judge_names(run, 250, 60, 0, 250)


def test_names_twins(run: Run):
    """Different names with equal hashes."""
    judge_names(run, 120, 300, 1, 10)


def test_names_removed(run: Run):
    """Names come and go."""
    judge_names(run, 150, 900, 0, 250)


def test_names_room(run: Run):
    """Room of removed names is used again, joined with its neighbours."""
    disk, below = run.disk({}, size="8M", programs=False), Random(run.seed).below
    n = 77 * (4 + run.random.below(4)) + 1
    script = observe_on(run, disk, "names_room", n)
    names = [name_text(i, 8 + below(30 if below(3) else 200), 0) for i in range(n)]
    nbytes, first = sum(12 + len(name) + 3 & ~3 for name in names), None
    for i in range(4):
        begin, _, told = script.next().partition(" size ")
        run.equal(begin, f"round {i} bytes {nbytes}", "the names that were to be added")
        size, errors = numbers(told)
        run.equal(errors, 0, "failures of link and unlink")
        first = first or size
        run.check(size <= nbytes * 1.25 + 2 * BLOCK, "wrong", f"names of {nbytes} bytes take {size} bytes of directory")
        run.check(size <= first + 3 * BLOCK, "wrong", "the same names, removed and added again, make the directory larger",
                  f"expected about {first} bytes", f"seen     {size} bytes")
        script.expect(f"empty {int(i < 3)}", "whether the directory is empty" + ", all names removed" * (i < 3))
    script.over()
    got = sorted(p[6:] for p in disk.tree() if p.startswith("names/"))
    run.equal(got, sorted(names), "the names in the directory, read from the disk on the host")


# ---------------------------------------------------------------- disks, before and after

def random_tree(random, files, large):
    """{path: bytes}: directories in directories, long names, small and large files."""
    tree, dirs = {}, ["given"]
    for i in range(files):
        if random.below(3) == 0:
            dirs.append(f"{random.choice(dirs)}/{letters(random, 1 + random.below(40))}{i}")
        name = letters(random, 1 + random.below(200 if random.below(6) == 0 else 12)) + str(i)
        n = random.below(100) if random.below(2) else random.below(large)
        tree[f"{random.choice(dirs)}/{name}"] = (letters(random, 61).encode() * (n // 61 + 1))[:n]
    return tree


def sound(run, disk, what):
    status, text = disk.fsck()
    run.check(status == 0, "wrong", f"fsck finds faults on the disk {what}", text[-1500:])


def test_tree_read(run: Run):
    """A tree that the host made is read in the guest: every name, size and byte."""
    random = Random(run.seed)
    tree = random_tree(random, 120, 30000)
    disk = run.disk(tree)
    out = run.program("treesum", ["/given"], disk=disk, append="root=/dev/vda", archive=False)
    want, folders = [], sorted(tree, key=lambda p: p.split("/"))
    for path in folders:
        want.append(f"/{path} {len(tree[path])} {zlib.adler32(tree[path])}")
    run.equal(sorted(out.lines), sorted(want), "path, size and checksum of all files")
    sound(run, disk, "after it was only read")


def on_disk(run, program, args, size="32M"):
    disk = run.disk({}, size=size)
    run.same_as_linux(program, args, disk=disk, append="root=/dev/vda", archive=False)
    sound(run, disk, f"after `{program} {' '.join(args)}`")
    return disk


def test_disk_files(run: Run):
    """Random reads and writes of a file, as on Linux."""
    on_disk(run, "filemix", [str(1 + run.random.below(1 << 30)), "rwpPpPtvs"])


def test_disk_sparse(run: Run):
    """Files with holes."""
    on_disk(run, "filemix", [str(1 + run.random.below(1 << 30)), "qQqQrws"])


def test_disk_names(run: Run):
    """A random tree, as on Linux; and what is left of it."""
    on_disk(run, "namemix", [str(1 + run.random.below(1 << 30)), "dfflsSurnh"])


def test_disk_crowd(run: Run):
    """Hundreds of names that come and go; those that are left, on the host."""
    args = [str(1 + run.random.below(1 << 30)), str(400 + run.random.below(300))]
    disk = on_disk(run, "crowdmix", args)
    left = sum(p.startswith("crowd/") for p in disk.tree())
    run.equal(left, int(run.linux("crowdmix", args).lines[-1].split()[0]), "names that are left, counted on the host")


def test_disk_sessions(run: Run):
    """Files written in two sessions, the machine switched off in between; the host reads what is there."""
    random = Random(run.seed)
    big = [(letters(random, 97).encode() * 900)[:random.below(80000)] for _ in range(4)]
    disk = run.disk({f"given/big{i}": data for i, data in enumerate(big)} | {"work/.keep": b""})
    state = {}
    for session in range(2):
        lines = []
        for _ in range(25):
            apply_step(random, state, big, lines)
        out = run.session(disk, "\n".join(lines))
        run.equal(out.output, "", f"what the commands print in session {session + 1}")
        got = {"/" + p: d for p, d in disk.tree().items() if p.startswith("work/") and p != "work/.keep"}
        run.equal(got, state, f"the files after session {session + 1}")
        sound(run, disk, f"after session {session + 1}")


def apply_step(random, files, big, lines):
    """One change by shell commands, and the same in {path: bytes}."""
    names = sorted(files)
    path, kind = f"/work/{letters(random, 1 + random.below(3))}", random.below(6)
    a = random.choice(names) if names else None
    if kind == 0 and a and a != path:
        lines.append(f"mv {a} {path}")
        files[path] = files.pop(a)
    elif kind == 1 and a:
        lines.append(f"rm {a}")
        files.pop(a)
    elif kind == 2 and a and a != path:
        lines.append(f"cat {a} >> {path}")
        files[path] = files.get(path, b"") + files[a]
    elif kind in (3, 4):
        i = random.below(len(big))
        lines.append(f"cat /given/big{i} > {path}")
        files[path] = big[i]
    else:
        text = letters(random, 1 + random.below(60))
        lines.append(f"echo {text} >> {path}")
        files[path] = files.get(path, b"") + text.encode() + b"\n"


def test_disk_full(run: Run):
    """Files until the disk is full, some removed, and again: errors, and nothing lost."""
    random = Random(run.seed)
    data = letters(random, 4099).encode() * 120
    disk = run.disk({"given/data": data}, size="16M")
    lines = ["mkdir /fill"]
    lines += [f"cat /given/data > /fill/{i} 2> /dev/null || echo full at {i}" for i in range(40)]
    lines += [f"rm /fill/{i}" for i in range(0, 40, 2)]
    lines += [f"cat /given/data > /fill/again{i} || echo no room for {i}" for i in range(5)]
    out = run.session(disk, "\n".join(lines))
    full = [int(x.split()[-1]) for x in out.lines if x.startswith("full at")]
    run.check(full, "wrong", "40 files of half a megabyte fit on a disk of 16", out.output[-400:])
    run.equal(full, list(range(full[0], 40)), "the files that found the disk full")
    run.check("no room" not in out.output, "wrong", "room that was given back cannot be used", out.output[-400:])
    tree = disk.tree()
    for name in [f"fill/{i}" for i in range(1, full[0], 2)] + [f"fill/again{i}" for i in range(5)]:
        run.equal(tree.get(name), data, f"the contents of /{name}")
    sound(run, disk, "after it was full")
