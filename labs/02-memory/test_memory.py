"""The judges of lab 2: what the kernel tells (kern/mem/observe_mem.c) and what lies in its memory, against books kept here."""

import os
import re

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random

PAGE, DIRECTMAP, KERNBASE, USER_END = 4096, 0xffff888000000000, 0xffffffff80000000, 0x00007ffffffff000
MAX_ORDER, LOW_MEM, ADDR = 10, 1 << 20, 0x000ffffffffff000
P, W, U, PS, NX = 1, 2, 4, 0x80, 1 << 63
PG_FREE, PG_CACHED, PG_TABLE, PG_HEAP = 1, 2, 5, 7


def memory_of(run):
    """How much memory, in MiB, the machine of this run has."""
    return 40 + Random(run.seed + 7).below(60)


def up(x):
    return (x + PAGE - 1) // PAGE


def number(obs, va, size=8):
    """A number in the image or the direct map: where that is, is known without a walk."""
    pa = va - (KERNBASE if va >= KERNBASE else DIRECTMAP)
    return int.from_bytes(obs.phys(pa, size), "little")


# ---------------------------------------------------------------- the machine's books

class Books:
    """Which frames may be given out: RAM of the loader's map without what others claim."""

    def __init__(self, run, obs):
        self.frames = set()
        for m in obs.all(r"range (\w+) (\w+) (\d)"):
            base, size = int(m[1], 16), int(m[2], 16)
            if m[3] == "1":
                self.frames |= set(range(up(base), (base + size) // PAGE))
        top, most = max(self.frames, default=0) + 1, obs.machine.mem * 256
        run.check(most - 256 <= top <= most, "wrong", f"the memory that the loader told of ends at frame {top:#x}",
                  f"expected somewhat below {most:#x}: this machine has {obs.machine.mem} MiB")
        array = number(obs, obs.symbol("page_array")) - DIRECTMAP
        (archive, size), = [(int(m[1], 16), int(m[2], 16)) for m in obs.all(r"archive (\w+) (\w+)")]
        image = [obs.symbol(s) - KERNBASE for s in ("kernel_start", "kernel_end")]
        self.holes = [("the first MiB", 0, LOW_MEM), ("the kernel's image", *image),
                      ("the boot archive", archive, archive + size),
                      ("the page array", array, array + top * 64)]
        for _, lo, hi in self.holes:
            self.frames -= set(range(lo // PAGE, up(hi)))

    def complain(self, run, pa, what):
        """Fails unless the frame at pa may be given out."""
        run.check(pa % PAGE == 0, "wrong", f"{what}: {pa:#x} is not the address of a page")
        if pa // PAGE not in self.frames:
            where = next((name for name, lo, hi in self.holes if lo <= pa < hi), "nothing: there is no RAM")
            run.fail("wrong", f"{what}: the page at {pa:#x} was given out", f"what lies there is {where}")


class Frames:
    """The array of struct page and the free lists, read from the machine's memory."""

    def __init__(self, obs):
        self.obs, self.layout = obs, obs.struct("page", "kern/mem/page.c")
        self.n, self.size = number(obs, obs.symbol("npages")), self.layout[""][1]
        self.base = number(obs, obs.symbol("page_array"))
        self.raw = obs.phys(self.base - DIRECTMAP, self.n * self.size)

    def field(self, i, name):
        at, size = self.layout[name]
        return int.from_bytes(self.raw[i * self.size + at:i * self.size + at + size], "little")

    def blocks(self):
        """{first frame: order} of the free blocks, as the array tells."""
        return {i: self.field(i, "order") for i in range(self.n) if self.field(i, "kind") == PG_FREE}

    def listed(self, run):
        """The same, as the lists tell."""
        out, head = {}, self.obs.symbol("free_list")
        for order in range(MAX_ORDER + 1):
            at, link = number(self.obs, head + 16 * order), self.layout["link"][0]
            while at != head + 16 * order:
                i = (at - link - self.base) // self.size
                run.check(0 <= i < self.n and i not in out, "wrong",
                          f"the free list of order {order} leads to {at:#x}, which is "
                          + ("on a list already" if i in out else "no struct page"))
                out[i] = order
                at = int.from_bytes(self.raw[i * self.size + link:i * self.size + link + 8], "little")
        return out

    def cached(self):
        return sum(self.field(i, "kind") == PG_CACHED for i in range(self.n))


def judge_lists(run, obs, books):
    """Every free block is on the list of its order, aligned, of free RAM, disjoint, and merged as far as it can be."""
    frames = Frames(obs)
    blocks, seen = frames.blocks(), {}
    run.equal(frames.listed(run), blocks,
              "the blocks on the free lists {frame: order} are those marked PG_FREE in the page array")
    for i, order in sorted(blocks.items()):
        run.check(order <= MAX_ORDER and i % (1 << order) == 0, "wrong",
                  f"the free block at frame {i:#x} has order {order}",
                  "a block begins at a multiple of its size")
        for f in range(i, i + (1 << order)):
            books.complain(run, f * PAGE, f"the free block at frame {i:#x}, order {order}")
            run.check(f not in seen, "wrong", f"frame {f:#x} is in two free blocks",
                      f"at frame {i:#x} and at {seen.get(f, 0):#x}")
            seen[f] = i
        buddy = i ^ (1 << order)
        run.check(order == MAX_ORDER or blocks.get(buddy) != order, "wrong",
                  f"the free blocks at frames {i:#x} and {buddy:#x} are buddies of order {order}",
                  "they should be one block")
    return frames, seen


def test_memory(run: Run):
    """After the boot: how much there is to give out."""
    with run.scratch("archive") as archive:
        with open(archive, "wb") as f:
            f.write(os.urandom(size := 1 + Random(run.seed).below(3 << 20)))
        obs = run.observe("memory", mem=memory_of(run), archive=archive, hold=True)
    books = Books(run, obs)
    run.equal(obs.numbers(r"archive \w+ (\w+)", base=16), [size], "bytes of the boot archive")
    total, free = obs.numbers(r"total (\d+) free (\d+)")
    run.equal(total, len(books.frames), "pages ever put on the free lists")
    run.check(total - 1000 < free <= total, "wrong", f"{free} of {total} pages are free just after the boot")


def test_free_lists(run: Run):
    obs = run.observe("memory", mem=memory_of(run), hold=True)
    frames, seen = judge_lists(run, obs, Books(run, obs))
    free = obs.numbers(r"total (\d+) free (\d+)")[1]
    run.equal(len(seen) + frames.cached(), free,
              "pages that page_count_free() counts: on the lists and in the magazine")


# ---------------------------------------------------------------- blocks and pages

def test_page_blocks(run: Run):
    """Blocks of all sizes: aligned, RAM, nobody else's."""
    obs = run.observe("page_blocks", mem=memory_of(run), hold=True)
    books, live, random = Books(run, obs), {}, Random(run.seed)
    steps = [line for line in obs.lines if line.startswith(("take ", "give "))]
    run.equal(len(steps), 600, "steps told")
    for line in steps:
        k, order = random.below(48), random.below(4 if random.below(4) else MAX_ORDER + 1)
        run.equal(re.split(r" at |:", line)[0], f"give {k}" if k in live else f"take {k} order {order}",
                  "what was to be done")
        if m := re.fullmatch(r"take .* at (\w+)", line):
            pa = int(m[1], 16)
            run.check(pa % (PAGE << order) == 0, "wrong", f"a block of order {order} lies at {pa:#x}",
                      "that is no multiple of its size")
            for f in range(pa // PAGE, pa // PAGE + (1 << order)):
                books.complain(run, f * PAGE, f"order {order}")
            for lo, n in live.values():
                run.check(pa >= lo + n or pa + (PAGE << order) <= lo, "wrong",
                          f"two blocks overlap: {n // PAGE} pages at {lo:#x}, "
                          f"in use, and {1 << order} at {pa:#x}, given out now")
            live[k] = pa, PAGE << order
        elif k in live:
            del live[k]
        else:
            free = len(books.frames) - sum(n for _, n in live.values()) // PAGE
            run.check(free < (64 << order) or order > 7, "wrong",
                      f"no block of order {order} although {free} pages are free")
    run.equal(next(line for line in obs.lines if line.startswith("order")), f"order {MAX_ORDER + 1}: none",
              "a block beyond the largest")


def test_page_merge(run: Run):
    """All blocks are back, and the magazine is empty: nothing but the largest blocks possible."""
    obs = run.observe("page_blocks", mem=memory_of(run), hold=True)
    books = Books(run, obs)
    total, before = obs.numbers(r"total (\d+) free (\d+)")
    run.equal(obs.numbers(r"given: free (\d+)"), [before], "free pages when all blocks have been given back")
    frames, seen = judge_lists(run, obs, books)
    run.equal(len(seen) + frames.cached(), before, "pages on the lists and in the magazine at the end")
    largest = obs.numbers(r"largest blocks (\d+)")[0]
    run.check(largest >= before // 1024 - 3, "wrong", "largest blocks that could be had at the end",
              f"{before} pages are free, {largest} blocks of 1024")


def test_page_exhaust(run: Run):
    """Every page there is, once; then none."""
    obs = run.observe("page_exhaust", mem=24 + Random(run.seed + 7).below(16), hold=True)
    books = Books(run, obs)
    before = obs.numbers(r"total (\d+) free (\d+)")[1]
    pages = [int(x, 16) for line in obs.lines if line.startswith("pages ") for x in line.split()[1:]]
    for pa in pages:
        books.complain(run, pa, "single pages")
    twice = next((pa for pa in sorted(pages) if pages.count(pa) > 1),
                 None) if len(set(pages)) != len(pages) else None
    run.check(twice is None, "wrong", f"the page at {twice or 0:#x} was given out twice")
    run.equal(len(pages), before, "pages given out until there was none, and pages free before")
    run.equal(obs.numbers(r"taken: free (\d+)"), [0], "free pages then")
    run.equal([line for line in obs.lines if line.startswith("a")][-2:], ["a block: none", "an object: none"],
              "what else could be had then")
    run.equal(obs.numbers(r"given: free (\d+)"), [before], "free pages when all have been given back")
    judge_lists(run, obs, books)


def test_page_refs(run: Run):
    """References: who drops the last one gives the page back, and interrupts stay as they were."""
    obs, random = run.observe("page_refs"), Random(run.seed)
    (start,), refs, want = obs.numbers(r"start: free (\d+)"), {}, []
    for i in range(400):
        on = "on" if i // 20 % 2 else "off"
        k = random.below(12)
        if k not in refs:
            refs[k] = 1
            want.append(f"alloc {k}: refs 1, interrupts {on}")
        elif random.below(2):
            refs[k] += 1
            want.append(f"ref {k}: refs {refs[k]}")
        else:
            refs[k] -= 1
            want.append(f"unref {k}: refs {refs[k]}, interrupts {on}")
            if refs[k] == 0:
                del refs[k]
        if i % 4 == 0:
            want.append(f"now: free {start - len(refs)}")
    run.equal(obs.lines[1:], want, "twelve pages and their references")


def test_page_underflow(run: Run):
    obs = run.observe("page_underflow", ends="panic")
    run.equal([line.split()[0] for line in obs.lines], ["page", "once"], "what is told before the panic")
    pa, turns = re.fullmatch(r"page (\w+) after (\d+) turns", obs.lines[0]).groups()
    run.equal(int(turns), Random(run.seed).below(1000), "references taken and dropped before")
    said = obs.console[obs.console.rfind("panic:"):].split("\n")[0]
    run.check(pa in said, "wrong", "the panic names the page", f"expected the address {pa}",
              f"seen     {said}")


# ---------------------------------------------------------------- page tables

def random_va(random):
    if random.below(3) == 0:
        return random.below(USER_END >> 12) << 12
    return sum(random.below(n) << shift for n, shift in ((2, 39), (2, 30), (2, 21), (512, 12)))


FLAGS = [NX, NX | W, U, U | NX | W, U | NX, U | NX | 1 << 9]


class Tree:
    """The mappings that the kernel was asked for."""

    def __init__(self):
        self.leaf, self.tables = {}, set()

    def map_one(self, random, va):
        pa, flags = random.below(1 << 34) << 12, FLAGS[random.below(6)]
        if va in self.leaf:
            return f"is {va:#x}: {self.leaf[va]:#x}"
        self.leaf[va] = pa | flags | P
        self.tables.add(va >> 21)
        return f"map {hexa(va)} to {hexa(pa)} flags {hexa(flags)}: 0"


def hexa(x):
    """As the kernel's %#lx: 0 has no 0x."""
    return f"{x:#x}" if x else "0"


def test_map_walk(run: Run):
    """The processor's walk, done here in the machine's memory, finds what was mapped and nothing else."""
    obs, random, tree, want = run.observe("map_walk", hold=True), Random(run.seed), Tree(), ["init 0"]
    want += [tree.map_one(random, random_va(random)) for _ in range(40)]
    run.equal(obs.lines[:len(want)], want, "what pt_map and pt_walk answered")
    root, kernel = (int(x, 16)
                    for x in re.fullmatch(r"root (\w+) kernel (\w+)", obs.lines[len(want)]).groups())
    frames, tables = Frames(obs), set()
    for va in list(tree.leaf) + [random_va(random) for _ in range(40)]:
        steps, _ = obs.walk(va, cr3=root)
        entry = steps[-1][2] if len(steps) == 4 else 0
        run.equal(entry & ~0x60, tree.leaf.get(va, 0), f"the entry for {va:#x}, {len(steps)} levels down")
        for level, _, e in steps[:3]:
            run.check(not e & P or e & (W | U | NX | PS) == W | U, "wrong",
                      f"the {level} entry {e:#x} on the way to {va:#x}",
                      "a table must be present, writable and user: the leaf's flags decide")
        tables |= {e & ADDR for _, _, e in steps[:3] if e & P}
    for pa in tables:
        run.equal(frames.field(pa // PAGE, "kind"), PG_TABLE,
                  f"the kind of the page at {pa:#x}, which is used as a table")
    upper = [obs.phys(pa + 2048, 2048) for pa in (root, kernel)]
    run.check(upper[0] == upper[1], "wrong", "the kernel's half of the new tree is not the kernel's")


def test_map_unmap(run: Run):
    obs, random, tree, want = run.observe("map_unmap"), Random(run.seed), Tree(), ["init 0"]
    vas = [random_va(random) for _ in range(10)]
    for _ in range(300):
        va = vas[random.below(10)] if random.below(8) else random_va(random)
        step = random.below(3)
        if step == 0:
            want.append(tree.map_one(random, va).replace("is 0x0", "is 0"))
        elif step == 1:
            want.append(f"unmap {hexa(va)}: {hexa(tree.leaf.pop(va, 0))}")
        else:
            want.append(f"find {hexa(va)}: {hexa(tree.leaf.get(va, 0)) if va >> 21 in tree.tables else 'no table'}")
    run.equal(obs.lines, want, "mappings that come and go")


def test_map_refused(run: Run):
    for how, means in (("twice", "a page mapped where one is"), ("wx", "a page writable and executable")):
        obs = run.observe("map_refused", arg=how, ends="any")
        run.equal(obs.lines, [f"start {random_va(Random(run.seed)):x}"],
                  f"what is told with {means}: pt_map must panic")
        run.check("panic: " in obs.console, "wrong", f"no panic with {means}")


def test_map_loaded(run: Run):
    obs, random = run.observe("map_loaded"), Random(run.seed)
    random_va(random)
    random_va(random)
    want = []
    for _ in range(5):
        random.below(512)
        v = random.next()
        want.append(f"wrote {v:x}: there {v:x}, page {v:x}")
    run.equal(obs.lines, want + ["moved: page 77, other 0"],
              "one page written and read through two addresses")


def test_map_no_memory(run: Run):
    """Tables for addresses 1 GiB apart: two each, and at the first and at every 512th a third. Then -ENOMEM."""
    obs, random = run.observe("map_no_memory"), Random(run.seed)
    spare = 1 + random.below(12)
    tries, err = (int(x) for x in re.fullmatch(r"tries (\d+): (-?\d+)", obs.lines[-1]).groups())
    run.equal(obs.lines[1], f"spare {spare}", "pages left")
    run.equal(err, -12, "what pt_map returns when there is no page for a table")
    cached = obs.lines and 40
    run.check(1 + (spare - 1) // 2 - 1 <= tries - 1 <= (spare + cached) // 2, "wrong",
              f"pt_map failed after {tries - 1} of the mappings",
              f"with {spare} pages left for tables")


def test_visits(run: Run):
    obs, random, tree, want = run.observe("visits"), Random(run.seed), Tree(), ["init 0"]
    vas = []
    for _ in range(40):
        vas.append(random_va(random))
        want.append(tree.map_one(random, vas[-1]))
    for i in range(12):
        lo, hi = vas[random.below(40)], vas[random.below(40)]
        most = 1 + random.below(5) if i % 3 == 2 else 1000
        if i % 3 == 0:
            lo, hi = 0, (1 << 39) if i else USER_END
        lo, hi = min(lo, hi), max(lo, hi)
        found = [va for va in sorted(tree.leaf) if lo <= va < hi]
        want.append(f"from {hexa(lo)} to {hexa(hi)} at most {most}")
        want += [f"visit {hexa(va)}: {tree.leaf[va]:#x}" for va in found[:most]]
        want.append(f"result {4711 if len(found) >= most else 0}")
    run.equal(obs.lines, want, "visits: in order of address, within the limits, until the function says stop")


def test_tear_down(run: Run):
    """Trees come and go: no page is lost, and tables that wait for reuse are all zeros."""
    obs = run.observe("tear_down", hold=True)
    random = Random(run.seed)
    rounds = [tuple(map(int, m.groups()))
              for m in obs.all(r"round (\d+): found (\d+), then (\d+), free and cached (\d+)")]
    run.equal(len(rounds), 24, "rounds")
    for r, found, made, free in rounds:
        want = 1 + random.below(60)
        for _ in range(want):
            random.next()
        run.equal(found, 0, f"mappings in the new tree of round {r}")
        run.equal(made, want, f"mappings made in the tree of round {r}")
        run.equal(free, rounds[0][3], f"pages free or cached after round {r}")
    layout, at = obs.struct("table_cache", "kern/mem/pagetable.c"), obs.symbol("table_caches")
    for i in range(number(obs, at + layout["n"][0], 4)):
        page = number(obs, at + layout["page"][0] + 8 * i)
        pa = (page - number(obs, obs.symbol("page_array"))) // 64 * PAGE
        data = obs.phys(pa, PAGE)
        used = next((j for j in range(512) if any(data[8 * j:8 * j + 8])), None)
        run.check(used is None, "wrong", f"a table that was given back still has something in entry {used}",
                  f"table at {pa:#x}: {int.from_bytes(data[8 * (used or 0):8 * (used or 0) + 8], 'little'):#x}")


def leaves(obs, table, level=3, base=0):
    """(va, entry, level) of all leaves below a table of the kernel's half."""
    data = obs.phys(table, PAGE)
    for i in range(256 if level == 3 else 0, 512):
        e = int.from_bytes(data[8 * i:8 * i + 8], "little")
        va = base + (i << 12 + 9 * level) | (0xffff << 48 if level == 3 else 0)
        if not e & P:
            continue
        if level == 0 or level < 3 and e & PS:
            yield va, e, level
        else:
            yield from leaves(obs, e & ADDR, level - 1, va)


def test_kernel_map(run: Run):
    """No page of the kernel is writable and executable, by none of its addresses; text is where the linker put it."""
    obs = run.observe("memory", hold=True)
    cr3 = obs.machine.cpus()[0].reg["CR3"] & ADDR
    text, rodata, end = (obs.symbol(s) for s in ("text_start", "rodata_start", "rodata_end"))
    can_write, can_run, image = set(), set(), {}
    for va, e, level in leaves(obs, cr3):
        pages = range((e & ADDR) // PAGE, (e & ADDR) // PAGE + (1 << 9 * level))
        run.check(not e & U, "wrong", f"user code may touch the kernel's address {va:#x}",
                  f"its entry is {e:#x}")
        run.check(not (e & W and not e & NX), "wrong", f"{va:#x} is writable and executable",
                  f"its entry is {e:#x}")
        if e & W and pages.start < 1 << 18:
            can_write |= set(pages)
        if not e & NX:
            can_run |= set(pages)
        if text <= va < end and level == 0:
            image[va] = e
    run.check(not can_write & can_run, "wrong",
              "a page that can be executed by one address can be written by another",
              f"frames {sorted(can_write & can_run)[:4]}")
    for va in range(text, end, PAGE):
        e = image.get(va, 0)
        run.equal((e & ADDR, bool(e & NX)), (va - KERNBASE, va >= rodata),
                  f"where the image's page {va:#x} lies, and whether it is no-execute")
        run.check((va - KERNBASE) // PAGE not in can_write, "wrong",
                  f"the image's page {va:#x} can be written by another address")


# ---------------------------------------------------------------- the heap

def size_of(random):
    return 1 + random.below(2100) if random.below(8) else 1 + random.below(20000)


def judge_object(run, books, live, line, n):
    """Where an object of n bytes lies: whole, aligned, alone. Returns its address."""
    pa = int(re.search(r"at (\w+)", line)[1], 16)
    run.check(pa != 0, "wrong", f"kmalloc({n}) gave nothing with nearly all memory free")
    run.check(pa % (PAGE if n > 2048 else 16) == 0, "wrong", f"kmalloc({n}) gave {pa:#x}",
              "objects are 16-aligned, those of more than 2048 bytes page-aligned")
    for f in range(pa // PAGE, (pa + n - 1) // PAGE + 1):
        books.complain(run, f * PAGE, f"kmalloc({n})")
    other = next(((a, b) for a, b in live.values() if pa < a + b and a < pa + n), None)
    run.check(not other, "wrong", f"kmalloc({n}) gave {pa:#x}, inside an object that is in use", f"that one: {other}")
    return pa


def test_heap_objects(run: Run):
    """Objects of all sizes at once: each whole, aligned and alone."""
    obs, live, random = run.observe("heap_objects", hold=True, mem=64), {}, Random(run.seed)
    books = Books(run, obs)
    steps = [line for line in obs.lines if line.split()[0] in ("alloc", "free")]
    run.equal(len(steps), 1500, "steps")
    for i, line in enumerate(steps):
        k = random.below(120)
        if k in live:
            pa, n = live.pop(k)
            run.equal(line, f"free {k} good {n}",
                      f"bytes still as they were written in the object of {n} bytes at {pa:#x}")
            continue
        n = size_of(random)
        random.next()                              # its first byte
        run.equal(re.sub(r"at \w+", "at ...", line),
                  f"alloc {k} size {n} at ... interrupts {'on' if i // 50 % 2 else 'off'}",
                  f"what kmalloc({n}) was asked for, and the interrupt flag after it")
        live[k] = judge_object(run, books, live, line, n), n


def test_heap_slabs(run: Run):
    """Slabs read from memory: every object of every slab is free in it, in the CPU's stack, or in use, once."""
    for size in (Random(run.seed).choice([48, 96, 90, 33]), 1 + Random(run.seed).below(2048)):
        judge_slabs(run, run.observe("heap_slabs", arg=size, hold=True))


def judge_slabs(run, obs):
    live = [int(m[1], 16) for m in obs.all(r"object (\w+) size \d+")]
    frames, layout = Frames(obs), obs.struct("class", "kern/mem/kheap.c")
    base, size, link = frames.base, layout[""][1], frames.layout["link"][0]
    heap = obs.struct("cpu_heap", "kern/mem/kheap.c")
    stack = obs.struct("stack", "kern/mem/kheap.c")
    owner = frames.field((live[0] - DIRECTMAP) // PAGE, "owner")
    k = (owner - obs.symbol("classes")) // size
    bytes_each = number(obs, owner + layout["size"][0], 4)
    at = obs.symbol("heaps") + heap["stack"][0] + k * stack[""][1]
    cached = [number(obs, at + stack["obj"][0] + 8 * i) for i in range(number(obs, at))]
    partial, at = [], number(obs, owner + layout["partial"][0])
    while at != owner + layout["partial"][0]:
        partial.append((at - link - base) // frames.size)
        at = number(obs, at)
    slabs = [i for i in range(frames.n) if frames.field(i, "kind") == PG_HEAP
             and frames.field(i, "owner") == owner]
    run.equal(number(obs, owner + layout["nslab"][0], 4), len(slabs),
              f"slabs that the class of {bytes_each} bytes counts")
    for i in slabs:
        at, used, free = frames.layout["priv"][0], 0, []
        head = int.from_bytes(frames.raw[i * 64 + at:i * 64 + at + 8], "little")
        used = int.from_bytes(frames.raw[i * 64 + at + 8:i * 64 + at + 16], "little")
        while head and len(free) <= PAGE // bytes_each:
            run.check((head - DIRECTMAP) // PAGE == i, "wrong",
                      f"the free list of the slab at frame {i:#x} leads to {head:#x}")
            free.append(head)
            head = number(obs, head)
        lo = DIRECTMAP + i * PAGE
        there = sorted(free + [p for p in cached + live if lo <= p < lo + PAGE])
        run.equal(there, [lo + j * bytes_each for j in range(PAGE // bytes_each)],
                  f"the {bytes_each}-byte objects of the slab at frame {i:#x}: free, in the CPU's stack, or in use")
        run.equal(used, PAGE // bytes_each - len(free),
                  f"objects that the slab at frame {i:#x} counts as taken")
        run.equal(i in partial, bool(free),
                  f"whether the slab at frame {i:#x}, with {len(free)} free objects, is on the partial list")


def test_heap_gives_back(run: Run):
    obs, random, live = run.observe("heap_gives_back"), Random(run.seed), {}
    free, used = obs.numbers(r"start: free (\d+) used (\d+)")
    after = [tuple(map(int, m.groups())) for m in obs.all(r"after: free (\d+) used (\d+)")]
    run.equal(after, [(free, used)] * 6,
              "(free pages, bytes used) whenever all objects are given back and the heap is drained")
    middle = [tuple(map(int, m.groups())) for m in obs.all(r"asked for: (\d+), used (\d+)")]
    run.equal(len(middle), 6, "rounds")
    for r, (asked, there) in enumerate(middle):
        for _ in range(600):
            k = random.below(120)
            live = {i: n for i, n in live.items() if i != k} if k in live else live | {k: 1 + random.below(2048)}
        run.equal(asked, sum(live.values()), f"bytes of the objects of round {r}")
        run.check(there - used >= asked, "wrong", f"{there - used} bytes are used by objects of {asked} bytes")
        live = {}
    for m in obs.all(r"before: used (\d+), empty slabs and stacks (\d+)"):
        run.equal(int(m[1]), used, "bytes used when all objects are given back")


def test_heap_misuse(run: Run):
    for how, means in (("twice", "an object given back twice"), ("late", "the same, long after"),
                       ("large", "a large object given back twice"),
                       ("inside", "an address inside an object")):
        obs = run.observe("heap_misuse", arg=how, ends="panic")
        size = 16 + Random(run.seed).below(1000)
        run.check(f" of {size} bytes" in "".join(obs.lines[:1]), "wrong", "the object is another one",
                  f"expected one of {size} bytes", *obs.lines[:1])
        run.equal(obs.lines[1:], ["start"], f"what is told with {means}: kfree must panic")


def test_heap_realloc(run: Run):
    """Eight objects that grow and shrink, to sizes that cannot be had as well."""
    obs, random = run.observe("heap_realloc"), Random(run.seed)
    sizes, k = {}, 0
    run.equal(len(obs.lines), 121, "steps told")
    for line in obs.lines[:-1]:
        old, n = sizes.get(k, 0), size_of(random)
        if random.below(12) == 0:
            n += 5 << 20 << random.below(20)
        run.equal(line.split(":")[0], f"realloc {old} to {n}", "what was to be done")
        if n > 4 << 20:
            run.equal(line, f"realloc {old} to {n}: none, good {old}",
                      f"bytes left of the old object of {old} bytes, when {n} could not be had")
        else:
            run.equal(line, f"realloc {old} to {n}: at 0 good {min(old, n)}",
                      f"(address modulo 16, bytes kept) of an object of {old} bytes made {n}")
            sizes[k] = n
            random.next()                          # its first byte
        k = random.below(8)
    run.equal(obs.lines[-1], "used 0", "bytes in use when all is given back")
