"""Judges of lab 5: the model of an address space that its mappings and entries are compared with, and programs."""

import re

from grade.eclipse.dice import memback_heard
from grade.eclipse.guest import timing
from grade.eclipse.judge import Run

PAGE = 4096
BASE = 0x10000000
USER_END = 0x00007ffffffff000
EFAULT, ENOMEM = 14, 12
R, W, X = 1, 2, 4
ARENA, LOWEST = 48, 0x10000
PROTS = [0, R, R | W, R | X, R | W | X, W, X]
PF_W, PF_I = 2, 16


def rounds(obs):
    out = []
    for line in obs.lines:
        if line == "round":
            out.append([])
        elif out:
            out[-1].append(line)
    return out


def runs(pages):
    """{address: prot} as ranges, neighbours of the same kind in one."""
    out = []
    for at, prot in sorted(pages.items()):
        if out and out[-1][1] == at and out[-1][2] == prot:
            out[-1][1] = at + PAGE
        else:
            out.append([at, at + PAGE, prot])
    return [f"{lo:x}-{hi:x} prot {prot}" for lo, hi, prot in out]


def mappings(run, lines, what):
    """The mappings of `lines` by page, checked for order."""
    pages, last = {}, 0
    for line in lines:
        m = re.fullmatch(r"mapping (\w+) (\w+) (\d+)", line)
        if not m:
            continue
        lo, hi = int(m[1], 16), int(m[2], 16)
        if lo < last or lo >= hi:
            run.fail("wrong", f"{what}: a mapping {lo:x}-{hi:x} behind one that ends at {last:x}: not sorted, or they overlap")
        last = hi
        pages.update({at: int(m[3]) for at in range(lo, hi, PAGE)})
    return pages


def ranges(lines):
    """[(lo, hi)] of the mappings, in order."""
    return [tuple(int(x, 16) for x in m.groups()) for m in (re.match(r"mapping (\w+) (\w+)", x) for x in lines) if m]


def entry(line):
    m = re.fullmatch(r"entry (\d) (\w+): frame (\w+) w (\d) x (\d) u (\d) refs (\d+) anon (\d) value (\d+) rest (\w+)", line)
    return m and {"id": int(m[1]), "va": int(m[2], 16), "frame": m[3], "w": int(m[4]), "x": int(m[5]), "u": int(m[6]),
                  "refs": int(m[7]), "anon": int(m[8]), "value": int(m[9]), "rest": m[10]}


def entries_of(lines):
    return [e for e in map(entry, lines) if e]


def rss_of(lines):
    return next(x for x in lines if x.startswith("rss"))


def allowed(prot, pf):
    return bool(prot & W if pf & PF_W else prot & X if pf & PF_I else prot)


def nothing_left(run, lines):
    for line in lines:
        if line.startswith("frames left"):
            run.equal(line, "frames left 0", "frames that are still in use when the address spaces have gone")


# ---------------------------------------------------------------- what was drawn

def asked(lines, *words):
    """What was asked for: the records that begin with one of `words`, without the answers."""
    return [re.sub(r": .*| refused$", "", x) for x in lines if x.startswith(words)]


def as_drawn(run, seen, want):
    """The records speak of what the seed asks for: no kernel can tell another run's story, or the half of one."""
    run.equal(seen, want, f"what seed {run.seed} asks for")


def mapped_as_drawn(run, lines, pages):
    run.equal(runs(mappings(run, lines, "at the start")), runs(pages), f"the mappings that seed {run.seed} asks for")


def page_drawn(r, n):
    return BASE + r.below(n) * PAGE


def change_drawn(r):
    """change_mappings of the observations."""
    lo, most = page_drawn(r, ARENA), 6 if r.below(4) else 30
    n, prot = (1 + r.below(most)) * PAGE, PROTS[r.below(4)]
    return f"map {lo:x}+{n:x} prot {prot}" if r.below(3) else f"unmap {lo:x}+{n:x}"


def apart_drawn(r, slots, longest):
    """map_apart of the observations: {address: prot}."""
    first, n, pages = r.below(slots), r.below(slots + 1), {}
    for i in range(n):
        lo = BASE + ((first + 5 * i) % slots * (longest + 2) + r.below(3)) * PAGE
        n = (1 + r.below(longest)) * PAGE
        pages |= dict.fromkeys(range(lo, lo + n, PAGE), PROTS[r.below(4)])
    return pages


def write_drawn(r, who):
    return f"write {who} {page_drawn(r, 24):x} {r.next() >> 20}"


# ---------------------------------------------------------------- mappings

def test_map_sequences(run: Run):
    """Random mmaps over each other and munmaps: what is mapped, what may be touched, what is given back."""
    all_rounds, r = rounds(run.observe("map_sequences")), run.random
    run.equal(len(all_rounds), 3, "rounds")
    for lines in all_rounds:
        pages, touched, shown, what = {}, set(), [], "at the start"
        for line in lines:
            m = re.fullmatch(r"(map|unmap) (\w+)\+(\w+)(?: prot (\d))?: (-?\w+)", line)
            t = re.fullmatch(r"touch (\w+) for (\d+): (-?\d+)", line)
            if m:
                lo, what, shown = int(m[2], 16), f"after `{line}`", []
                for at in range(lo, lo + int(m[3], 16), PAGE):
                    pages.pop(at, None)
                    touched.discard(at)
                    if m[1] == "map":
                        pages[at] = int(m[4])
                run.equal(m[5], f"{lo:x}" if m[1] == "map" else "0", f"the answer: {line}")
            elif line.startswith("mapping"):
                shown.append(line)
            elif line.startswith("total"):
                run.equal(runs(mappings(run, shown, what)), runs(pages), f"the mappings {what}")
                run.equal(line, f"total {len(pages)}", f"the number of pages in mappings {what}")
            elif t:
                at = int(t[1], 16) // PAGE * PAGE
                ok = at in pages and allowed(pages[at], int(t[2]))
                run.equal(int(t[3]), 0 if ok else -EFAULT, f"{line}, {what}")
                if ok:
                    touched.add(at)
        seen = {e["va"]: e for e in entries_of(lines)}
        for at in touched:
            run.check(at in seen, "wrong", f"the page at {at:x} was touched, but has no entry at the end")
        for at, e in seen.items():
            run.check(at in pages, "wrong", f"an entry at {at:x}, where nothing is mapped")
            run.check(e["refs"] == 1 and e["u"], "wrong", f"the entry at {at:x}: expected 1 reference and user 1, seen {e}")
        run.equal(rss_of(lines), f"rss 0 {len(seen)}", "the count of resident pages")
        nothing_left(run, lines)
        as_drawn(run, asked(lines, "map ", "unmap ", "touch "), sequence_drawn(r))


def sequence_drawn(r):
    """A round of map_sequences."""
    want = []
    for _ in range(50):
        want.append(change_drawn(r))
        for _ in range(3):
            at = page_drawn(r, 2 * ARENA) + r.below(PAGE)
            want.append(f"touch {at:x} for {PF_W if r.below(2) else 0}")
    return want


def find_drawn(r):
    """find_one of the observation."""
    va = BASE - 2 * PAGE + r.below((ARENA + 32) * PAGE)
    return f"find {va & -PAGE if r.below(2) else va:x}"


def test_find_mapping(run: Run):
    """Looking up addresses before, in, between and behind mappings."""
    all_rounds, r = rounds(run.observe("find_mapping")), run.random
    run.equal(len(all_rounds), 6, "rounds")
    for lines in all_rounds:
        mapped_as_drawn(run, lines, apart_drawn(r, 13, 4))
        as_drawn(run, asked(lines, "find "), [find_drawn(r) for _ in range(60)])
        maps = ranges(lines)
        where = ", ".join(f"{a:x}-{b:x}" for a, b in maps) or "nothing"
        for line in lines:
            m = re.fullmatch(r"find (\w+): (-?\d+), lookup (\w+)", line)
            if m:
                va = int(m[1], 16)
                i = next((i for i, (lo, hi) in enumerate(maps) if hi > va), len(maps))
                lo = maps[i][0] if i < len(maps) and maps[i][0] <= va else 0
                run.equal((int(m[2]), m[3]), (i, f"{lo:x}"), f"mm_find and mm_lookup of {va:x} among {where}")


def test_find_cost(run: Run):
    """Among sixteen times as many mappings a search may take longer, but not sixteen times."""
    found, r = run.observe("find_cost").all(r"(among \d+ sum \d+) time (\d+)"), run.random
    as_drawn(run, [m[1] for m in found],             # between any two mappings there is a page that is free
             [f"among {n} sum {sum((r.below(2 * n) + 1) // 2 for _ in range(100))}" for n in (60, 240, 960)])
    few, _, many = (int(m[2]) for m in found)
    run.check(many < 4 * few, "wrong", f"mm_find among 960 mappings takes {many / few:.1f} times as long as among 60",
              "expected less than 4 times: each look halves what is left")


def test_find_room(run: Run):
    """Room for a new mapping: at the hint, else as high as possible."""
    all_rounds, r = rounds(run.observe("find_room")), run.random
    run.equal(len(all_rounds), 8, "rounds")
    for lines in all_rounds:
        room_as_drawn(run, r, lines)
        maps = ranges(lines)
        where = ", ".join(f"{a:x}-{b:x}" for a, b in maps) or "nothing"
        top, lowest = (int(next(x for x in lines if x.startswith("top")).split()[i], 16) for i in (1, 3))
        for line in lines:
            m = re.fullmatch(r"area hint (\w+) len (\w+): (\w+)", line)
            if not m:
                continue
            hint, size, got = (int(x, 16) for x in m.groups())
            fits = [a for a in [hint, top - size] + [lo - size for lo, _ in maps]
                    if a >= lowest and a + size <= top and all(hi <= a or lo >= a + size for lo, hi in maps)]
            want = hint if hint in fits else max(fits, default=0)
            run.equal(f"{got:x}", f"{want:x}", f"mm_find_area(hint {hint:x}, length {size:x}) below {top:x} with {where}")


def room_as_drawn(run, r, lines):
    """A round of find_room."""
    pages = apart_drawn(r, 7, 5)
    if r.below(2):
        lo = LOWEST + r.below(3) * PAGE
        pages |= dict.fromkeys(range(lo, BASE - r.below(4) * PAGE, PAGE), 0)
    mapped_as_drawn(run, lines, pages)
    want = [f"top {BASE + ARENA * PAGE:x} lowest {LOWEST:x}"]
    for _ in range(40):
        hint = 0 if r.below(3) else page_drawn(r, ARENA + 8)
        hint = hint if r.below(9) else r.below(30) * PAGE
        most = 6 if r.below(3) else ARENA + 8
        want.append(f"area hint {hint:x} len {(1 + r.below(most)) * PAGE:x}")
    as_drawn(run, asked(lines, "top ", "area "), want)


# ---------------------------------------------------------------- faults

def access_drawn(r):
    """A round of access_rules."""
    kinds = [0, PF_W, PF_I]
    want = [f"prot {PROTS[r.below(7)]}"]
    for _ in range(6):
        at = BASE + r.below(PAGE)
        want.append(f"touch {at:x} for {r.choice(kinds)}")
    return want + [f"touch {BASE - 1:x} for 0", f"touch {BASE + PAGE:x} for {r.choice(kinds)}"]


def test_access_rules(run: Run):
    """Reads, writes and jumps to a page of every kind of mapping: what the handler says, and the entry it leaves."""
    all_rounds, r = rounds(run.observe("access_rules")), run.random
    run.equal(len(all_rounds), 60, "rounds")
    for lines in all_rounds:
        as_drawn(run, asked(lines, "prot ", "touch "), access_drawn(r))
        prot = int(lines[0].split()[1])
        for line, after in zip(lines, lines[1:] + [""]):
            t = re.fullmatch(r"touch (\w+) for (\d+): (-?\d+)", line)
            if not t:
                continue
            va, pf, err = int(t[1], 16), int(t[2]), int(t[3])
            inside = BASE <= va < BASE + PAGE
            what = f"{'write' if pf & PF_W else 'jump' if pf & PF_I else 'read'} at {va:x}, mapping at {BASE:x} prot {prot}"
            run.equal(err, 0 if inside and allowed(prot, pf) else -EFAULT, what)
            e = entry(after)
            run.check(e or err or not inside, "wrong", f"{what}: no entry is there afterwards")
            if e and inside:
                access_entry(run, prot, pf, err, e, f"the entry after {what}: writable {e['w']}, executable {e['x']}")


def access_entry(run, prot, pf, err, e, text):
    run.check(e["u"], "wrong", text + ", not for the user")
    run.check(not (e["w"] and e["x"]), "wrong", text + ": never both")
    run.check(not e["w"] or prot & W, "wrong", text + ": more than the mapping grants")
    run.check(not e["x"] or prot & X, "wrong", text + ": more than the mapping grants")
    if err == 0:
        run.check(e["w"] or not pf & PF_W, "wrong", text + ": the write faults again, and again")
        run.check(e["x"] or not pf & PF_I, "wrong", text + ": the jump faults again, and again")


def demand_drawn(r):
    """A round of zero_on_demand: (prot, what is touched)."""
    at, want = page_drawn(r, 600), []
    prot = R | W if r.below(2) else R
    for _ in range(30):
        at = at if r.below(3) else page_drawn(r, 700)
        want.append(f"touch {at:x} for 0")
        at += PAGE
    return prot, want


def test_zero_on_demand(run: Run):
    """Pages appear when they are touched, and are zero; not many more than were touched."""
    all_rounds, r = rounds(run.observe("zero_on_demand", mem=32)), run.random
    run.equal(len(all_rounds), 6, "rounds")
    for lines in all_rounds:
        prot, want = demand_drawn(r)
        pages = {BASE + i * PAGE: prot for i in range(700)}
        mapped_as_drawn(run, lines, pages)
        as_drawn(run, asked(lines, "touch "), want)
        touched = set()
        for line in lines:
            t = re.fullmatch(r"touch (\w+) for 0: (-?\d+)", line)
            if t:
                at = int(t[1], 16) // PAGE * PAGE
                run.equal(int(t[2]), 0 if at in pages else -EFAULT, line)
                touched |= {at} & set(pages)
        seen = {e["va"]: e for e in entries_of(lines)}
        for at, e in seen.items():
            run.check(at in pages, "wrong", f"an entry at {at:x}, where nothing is mapped")
            run.check(e["value"] == 0 and e["rest"] == "0", "wrong", f"the page at {at:x} is not zero")
            run.check(e["refs"] == 1 and e["anon"] == 1, "wrong", f"the page at {at:x}", "expected 1 reference, anonymous", f"seen     {e}")
            run.check(not e["x"] and (not e["w"] or prot & W), "wrong", f"the entry at {at:x} grants more than its mapping")
        run.check(touched <= set(seen), "wrong", "a page that was touched has no entry")
        run.check(len(seen) <= 2 * len(touched), "wrong", f"expected at most twice the {len(touched)} pages that were touched",
                  f"seen {len(seen)}")
        run.equal(rss_of(lines), f"rss 0 {len(seen)}", "the count of resident pages")
        nothing_left(run, lines)


def test_zero_scarce(run: Run):
    """Memory runs out while pages are touched."""
    all_rounds, r = rounds(run.observe("zero_scarce", mem=32)), run.random
    run.equal(len(all_rounds), 6, "rounds")
    for lines in all_rounds:
        as_drawn(run, lines[0].split(" touched")[0], f"spare {3 + r.below(40)}")
        spare, touched, err = (int(x) for x in re.fullmatch(r"spare (\d+) touched (\d+) then (-?\d+)", lines[0]).groups())
        seen = entries_of(lines)
        run.equal(err, -ENOMEM, f"the answer to a fault after {touched} pages, when no memory is left")
        run.check(len(seen) <= spare, "wrong", f"{len(seen)} pages are mapped, out of {spare} that were free")
        run.check(len(seen) >= touched, "wrong", f"{touched} pages were touched, {len(seen)} are there")
        run.equal(rss_of(lines), f"rss 0 {len(seen)}", "the count of resident pages")
        run.check(lines[-2].endswith(": 0"), "wrong", "with memory again, the same fault must work", f"seen {lines[-2]}")
        nothing_left(run, lines)


def stack_as_drawn(run, r, lines):
    """A round of stack_limits."""
    top, size = USER_END - (1 + r.below(1000)) * PAGE, (64 + r.below(1900)) * PAGE
    other = top - size - PAGE + r.below(size // PAGE) * PAGE
    others = [(other, other + PAGE)] if r.below(2) and other < top - 33 * PAGE else []
    start = [x for x in ranges(lines[:next(i for i, x in enumerate(lines) if x.startswith("total"))]) if x[1] != top]
    run.equal(start, others, f"mappings of seed {run.seed} beside the stack")
    want = [f"stack top {top:x} max {size:x}"]
    for i in range(14):
        at = top - size - 4 * PAGE + r.below(size + 4 * PAGE if i % 3 else 8 * PAGE)
        want.append(f"touch {at:x} for {PF_W if r.below(2) else 0}")
    as_drawn(run, asked(lines, "stack ", "touch "), want)


def test_stack_limits(run: Run):
    """The stack grows to what is touched, as far as it may, and keeps its distance from others."""
    all_rounds, r = rounds(run.observe("stack_limits")), run.random
    run.equal(len(all_rounds), 12, "rounds")
    for lines in all_rounds:
        stack_as_drawn(run, r, lines)
        maps, shown, want, what = [], [], None, ""
        for line in lines:
            m = re.fullmatch(r"stack top (\w+) max (\w+)", line)
            t = re.fullmatch(r"touch (\w+) for (\d): (-?\d+)", line)
            if m:
                top, size = int(m[1], 16), int(m[2], 16)
            elif line.startswith("mapping"):
                shown.append(line)
            elif line.startswith("total"):
                maps, shown = ranges(shown), []
                low = next((lo for lo, hi in maps if hi == top), 0)
                run.equal(f"{low:x}", f"{want or low:x}", f"where the stack begins after {what}")
            elif t:
                va, want, stack = int(t[1], 16), low, low
                at, others = va // PAGE * PAGE, [x for x in maps if x[1] != top]
                inside = va >= low or any(lo <= va < hi for lo, hi in others)
                grows = not inside and at >= top - size and all(hi + 256 * PAGE <= at for _, hi in others)
                want = at if grows else low
                where = ", ".join(f"{a:x}-{b:x}" for a, b in others) or "none"
                what = f"{line}; stack {stack:x}-{top:x}, never below {top - size:x}, others {where}"
                readonly = inside and va < low and t[2] == "2"
                run.equal(int(t[3]), 0 if (inside or grows) and not readonly else -EFAULT, what)


# ---------------------------------------------------------------- copy on write

def family(run):
    """Replays the observation `family`; yields (entries, contents, rights, counts, frames) at each look."""
    all_rounds, r = rounds(run.observe("family")), run.random
    run.equal(len(all_rounds), 3, "rounds")
    for lines in all_rounds:
        spaces = {0: {BASE + i * PAGE: 0 for i in range(24)}}
        prot = {0: {BASE + i * PAGE: R | W for i in range(24)}}
        shown = None
        for line in lines:
            if line == "look":
                shown = []
            elif line.startswith("frames left"):
                run.equal(line, "frames left 0", "frames that are still in use when all address spaces have gone")
            elif line.startswith("frames"):
                yield entries_of(shown), spaces, prot, [x for x in shown if x.startswith("rss")], int(line.split()[1])
                shown = None
            elif shown is not None:
                shown.append(line)
            else:
                replay(run, line, spaces, prot)
        as_drawn(run, asked(lines, "clone", "drop", "write", "read", "on ", "look"), family_drawn(r))


def family_drawn(r):
    """A round of the observation."""
    alive, want = {0}, [write_drawn(r, 0) for _ in range(10)]
    for i in range(120):
        want += member_drawn(r, alive)
        want += ["look"] if i % 6 == 0 else []
    return want


def member_drawn(r, alive):
    """A step of one space of the family, if it does any."""
    who, other = r.below(5), r.below(5)
    if who not in alive:
        if other not in alive:
            return []
        alive.add(who)
        return [f"clone {other} to {who}"]
    if r.below(14) == 0:
        alive.remove(who)
        return [f"drop {who}"]
    if r.below(3):
        return [write_drawn(r, who)]
    if r.below(2):
        return [f"read {who} {page_drawn(r, 24):x}"]
    return [f"on {who} {change_drawn(r)}"]


def replay(run, line, spaces, prot):
    words = line.split()
    if words[0] == "clone":
        a, b, err = (int(x) for x in re.fullmatch(r"clone (\d) to (\d): (-?\d+)", line).groups())
        run.equal(err, 0, "aspace_clone with plenty of memory")
        spaces[b], prot[b] = dict(spaces[a]), dict(prot[a])
    elif words[0] == "drop":
        del spaces[int(words[1])], prot[int(words[1])]
    elif words[0] == "write":
        who, va, value = int(words[1]), int(words[2], 16), int(words[3])
        may = bool(prot[who].get(va, 0) & W)
        run.equal("refused" not in line, may, f"a write to a page that {'may' if may else 'may not'} be written ({line})")
        if may:
            spaces[who][va] = value
    elif words[0] == "on":
        who = int(words[1])
        m = re.fullmatch(r"on \d (map|unmap) (\w+)\+(\w+)(?: prot (\d))?: .*", line)
        lo = int(m[2], 16)
        for at in range(lo, lo + int(m[3], 16), PAGE):
            spaces[who].pop(at, None)
            prot[who].pop(at, None)
            if m[1] == "map":
                spaces[who][at], prot[who][at] = 0, int(m[4])


def test_cow_contents(run: Run):
    """Address spaces that fork, write and end: each sees what it inherited and what it wrote, nothing else."""
    for entries, spaces, prot, _, _ in family(run):
        for e in entries:
            who, at = e["id"], e["va"]
            run.check(at in spaces[who], "wrong", f"space {who} has an entry at {at:x}, where nothing is mapped")
            run.equal(e["value"], spaces[who][at], f"the word at {at:x} in space {who}")
            right = prot[who][at]
            run.check(not e["w"] or right & W, "wrong", f"space {who} may write at {at:x}, which is mapped with prot {right}")
        for who, pages in spaces.items():
            there = {e["va"] for e in entries if e["id"] == who}
            lost = [f"{at:x}" for at, value in pages.items() if value and at not in there and prot[who][at]]
            run.check(not lost, "wrong", f"space {who} has lost its pages at {lost}")


def test_cow_sharing(run: Run):
    """A frame has as many references as entries show it, is written by nobody while it is shared, and is counted."""
    for entries, spaces, _, rss, frames in family(run):
        by_frame = {}
        for e in entries:
            by_frame.setdefault(e["frame"], []).append(e)
        for frame, es in by_frame.items():
            where = ", ".join(f"space {e['id']} at {e['va']:x}{' writable' if e['w'] else ''}" for e in es)
            run.equal(es[0]["refs"], len(es), f"references of frame {frame}, which is shown by {where}")
            shared_writable = len(es) > 1 and any(e["w"] for e in es)
            run.check(not shared_writable, "wrong", f"frame {frame} is shared, and can be written: {where}")
        run.equal(frames, len(by_frame), "frames in use, and as many as the entries show")
        for line in rss:
            _, who, n = line.split()
            run.equal(int(n), sum(e["id"] == int(who) for e in entries), f"the count of resident pages of space {who}")


def last_drawn(r):
    """A round of last_writer."""
    sharers = r.below(5)
    drop = r.below(sharers + 1)
    for i in range(sharers):
        r.below(i + 1)                       # whom the next one is cloned from
    return f"sharers {sharers} dropped {drop}"


def test_cow_last(run: Run):
    """Who is the last to have a page keeps it when he writes; a page that others have is copied."""
    lines, r = run.observe("last_writer").lines, run.random
    as_drawn(run, asked(lines, "sharers"), [last_drawn(r) for _ in range(40)])
    for line in lines:
        sharers, drop, same, refs, fresh = (int(x) for x in re.fullmatch(
            r"sharers (\d) dropped (\d): same (\d) refs (\d+) frames (-?\d+)", line).groups())
        others = sharers - drop
        what = f"a write to a page that {others} other space{'s' * (others != 1)} still show{'s' * (others == 1)}"
        kind = ("another frame", "the same frame")
        run.equal((kind[same], fresh), (kind[others == 0], int(others > 0)), f"frame, and number of new frames, after {what}")
        run.equal(refs, 1, f"references of the writer's frame after {what}")


def scarce_drawn(r):
    """A round of clone_scarce."""
    spare = r.below(40) + 1
    want = [f"write 0 {BASE + (i << 30) + k * PAGE:x} {r.next() >> 20}" for i in range(30) for k in range(2)]
    return want + [f"spare {spare}", f"write 0 {page_drawn(r, 3):x} 77"]


def test_clone_scarce(run: Run):
    """A fork that finds too little memory is refused, and the parent is as it was."""
    outcomes, all_rounds, r = set(), rounds(run.observe("clone_scarce", mem=32)), run.random
    run.equal(len(all_rounds), 12, "rounds")
    for lines in all_rounds:
        as_drawn(run, asked(lines, "spare", "write"), scarce_drawn(r))
        look = lines.index("look")
        wrote = {x.split()[2]: int(x.split()[3]) for x in lines[:look] if x.startswith("write")}
        err = int(next(x for x in lines if x.startswith("spare")).split(": ")[1])
        run.check(err in (0, -ENOMEM), "wrong", f"aspace_clone said {err}: expected 0 or {-ENOMEM}")
        outcomes.add(err)
        if err == 0:
            there = {f"{e['va']:x}": e["value"] for e in entries_of(lines[lines.index("child"):look])}
            run.equal(there, wrote, "the words in the pages of a child whose fork worked, with hardly any memory")
        after = lines[look:]
        for e in entries_of(after):
            va = f"{e['va']:x}"
            if e["value"] != 77:
                run.equal(e["value"], wrote.get(va, 0), f"the word at {va} of the parent after a fork that answered {err}")
            run.equal(e["refs"], 1, f"references of the parent's page at {va} after the child has gone")
        run.check(any(x.endswith(" 77") for x in after if x.startswith("write")), "wrong", "the parent cannot write any more")
        first = after.index(rss_of(after))
        run.equal(after[first], f"rss 0 {len(entries_of(after[:first]))}", "the count of resident pages")
        nothing_left(run, lines)
    run.check(-ENOMEM in outcomes, "wrong", "a dozen forks with hardly any memory: expected some to be refused, seen none")


def test_clone_cost(run: Run):
    """Fork copies no pages: few instructions per page, and no memory but for page tables."""
    shift = timing(run.seed)[0]
    found = run.observe("clone_cost").all(r"pages (\d+) rss (\d+) time (\d+) taken (-?\d+)")
    points = [[int(x) for x in m.groups()] for m in found]
    want, r = [0], run.random
    while (more := want[-1] + 400 + r.below(200)) <= 2000:
        want.append(more)
    run.equal([p[0] for p in points], want, f"clones that worked, of the sizes that seed {run.seed} asks for")
    (_, rss0, time0, taken0), (_, rss1, time1, taken1) = points[0], points[-1]
    each = ((time1 - time0) >> shift) / (rss1 - rss0)
    run.check(each < 200, "wrong", f"clone takes {each:.0f} instructions for each page: are pages copied?", "expected fewer than 200")
    run.check(taken1 - taken0 < 60, "wrong", f"clone of {rss1} pages takes {taken1} pages: are they copied?", "expected a few tables")


def test_flushes(run: Run):
    """Before an entry that shows less is relied upon, other CPUs are told: after the change, and before the page is free."""
    before, flushes, step, after = {}, [], "", {}
    lines = run.observe("flushes").lines
    for line in lines:
        words = line.split()
        if words[0] == "before":
            before[int(words[1])] = (words[2], int(words[4]), int(words[6]))
        elif words[0] == "step":
            step, flushes, after = words[1], [], {}
        elif words[0] == "flush":
            flushes.append((int(words[1], 16), int(words[3]), {}))
        elif words[0] == "then":
            flushes[-1][2][int(words[1])] = (words[2], int(words[4]), int(words[6]))
        elif words[0] == "after":
            after[int(words[1])] = (words[2], int(words[4]))
        elif words[0] == "done":
            for i, (frame, w, refs) in before.items():
                if after[i][0] != frame or w > after[i][1]:
                    flushed(run, step, i, frame, w, refs, flushes)
            before = {}
    as_drawn(run, asked(lines, "step", "write", "drop", "done"), steps_drawn(run.random))


def steps_drawn(r):
    """What `flushes` does."""
    want, cloned = [], False
    for _ in range(80):
        at, n, what = page_drawn(r, 10), (1 + r.below(10)) * PAGE, r.below(4)
        cloned |= what == 1
        want += [f"step unmap {at:x}+{n:x}"] if what == 0 else ["step clone"] if what == 1 else [
            "step write", f"write 0 {at:x} {r.below(1000)}"]
        want.append("done")
        if cloned and r.below(6) == 0:
            want.append("drop")
            cloned = False
    return want


def flushed(run, step, i, frame, w, refs, flushes):
    """Was the change of entry i announced in time?"""
    va = BASE + i * PAGE
    what = f"{step}: the entry at {va:x} grants less, or shows another page"
    told = [f[2][i] for f in flushes if f[1] or f[0] // PAGE * PAGE == va]
    run.check(told, "wrong", f"{what}, and no CPU was told to forget it", f"flushes: {[f'{f[0]:x}' for f in flushes]}")
    told = [x for x in told if x[0] != frame or x[1] < w]
    run.check(told, "wrong", f"{what}, but CPUs were told before that: they may remember the old entry again")
    if told[0][0] != frame:
        run.check(any(x[2] >= refs for x in told), "wrong", f"{what}, and the page was let go before CPUs had forgotten it",
                  f"expected {refs} references during the flush", f"seen     {told[0][2]}")


# ---------------------------------------------------------------- programs

def seed(run):
    """For the dice of a program."""
    return str(run.random.below(1 << 30))


def test_brk_random(run: Run):
    """The heap grows and shrinks to random bytes; what is given back comes back as zeros."""
    run.same_as_linux("brkmix", args=[seed(run)])


def test_mmap_random(run: Run):
    """mmap, munmap, mprotect, mremap and madvise at random, with looks at every page."""
    run.same_as_linux("mapmix", args=[seed(run)])


def test_fork_memory(run: Run):
    """A random tree of processes that write to private and to shared memory."""
    run.same_as_linux("cowmix", args=[seed(run)])


def test_fork_generations(run: Run):
    """Three generations, beside shared memory."""
    run.same_as_linux("cowtree", args=[seed(run)])


def test_deep_stacks(run: Run):
    """Recursion to random depths, in frames of random sizes, in parents and children."""
    run.same_as_linux("stackmix", args=[seed(run)])


def test_memory_is_kept(run: Run):
    """Forks, execs, failed execs and deaths: afterwards as much memory is free as before."""
    lines = run.program("memback", args=[seed(run), "4"]).lines
    run.equal([x.split(" free")[0] for x in lines], [f"heard {memback_heard(seed(run))}"] * 4,
              "how the children of each round have ended")
    free = [int(x.split()[3]) // PAGE for x in lines]
    run.check(free[3] >= free[1] - 8, "wrong", "memory is lost", f"expected {free[1]} free pages, as after the second round",
              f"seen     {free[3]}")
