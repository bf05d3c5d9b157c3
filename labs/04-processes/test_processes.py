"""Judges of lab 4: what the observations of kern/proc/observe_proc.c and some programs must come to."""

import re
from collections import deque

from grade.eclipse.dice import forkfull_sum, memback_heard
from grade.eclipse.judge import Run

EAGAIN, ENOMEM, EINVAL, ENOEXEC, EIO, ETIMEDOUT, ERESTARTSYS = 11, 12, 22, 8, 5, 110, 512
PAGE = 4096
USER_END = 0x00007ffffffff000
NTID = 32768


def parts(line, pattern):
    """The numbers (and words) of a record that must look like `pattern`, or None."""
    m = re.fullmatch(pattern, line)
    return m and [int(x) if re.fullmatch(r"-?\d+", x) else x for x in m.groups()]


def rounds(lines, word="round"):
    """The records, split where a new round begins."""
    out = []
    for line in lines:
        if line == word:
            out.append([])
        elif out:
            out[-1].append(line)
    return out


# ---------------------------------------------------------------- what was drawn

def workers_drawn(r, n, span):
    """[(count, intr, dice)] of workers_start: the judge draws what the guest has drawn."""
    return [(1 + r.below(span), r.below(2), r.next() | 1) for _ in range(n or 3 + r.below(4))]


def as_drawn(run, lines, word, want):
    """The records that begin with `word` say what the seed asked for: no kernel can tell another run's story."""
    run.equal([x for x in lines if x.startswith(word)], want, f"what seed {run.seed} asks for ({word.strip()})")


def workers_as_drawn(run, lines, drawn):
    as_drawn(run, lines, "worker", [f"worker {i} count {w[0]} intr {w[1]}" for i, w in enumerate(drawn)])


# ---------------------------------------------------------------- numbers

def tids_as_drawn(run, lines):
    """Is what tid_numbers did what the seed asks for?"""
    held, want, r = [], [], run.random
    done = [x for x in lines if not x.startswith("thread")]
    for line in done[:500]:
        if not held or len(held) < 80 and r.below(5) < 3:
            want.append(line if line.startswith("alloc") else "alloc of a number")
            held.append(line.split()[1])
        else:
            i = r.below(len(held))
            want.append(f"free {held[i]}")
            held[i] = held[-1]
            held.pop()
    run.equal(done, want, f"what seed {run.seed} asks for")
    run.equal(len(done), 500, "steps")


def test_tid_numbers(run: Run):
    """Numbers that are asked for and given back in random order."""
    used, resting, last = set(), set(), 0
    lines = run.observe("tid_numbers").lines
    for line in lines:
        what, tid = line.split()
        tid = int(tid)
        if what == "free":
            used.remove(tid)
            resting.add(tid)
            continue
        if what == "alloc":
            if not 2 <= tid < NTID:
                run.fail("wrong", f"tid_alloc gave {tid}: expected a number from 2 to {NTID - 1}")
            if tid in used:
                run.fail("wrong", f"tid_alloc gave {tid}, which somebody uses")
            if tid in resting:
                run.fail("wrong", f"tid_alloc gave {tid} again soon after it came back: expected it as late as possible "
                         f"(the number before was {last})")
            last = tid
        used.add(tid)
    tids_as_drawn(run, lines)


def test_tid_exhaustion(run: Run):
    """All numbers that there are, then a few that came back."""
    lines = run.observe("tid_exhaustion").lines
    of = {w: [int(x.split()[1]) for x in lines if x.startswith(w + " ")] for w in ("thread", "odd", "end", "missing")}
    run.equal(of["odd"], [], "numbers given twice, or out of range")
    run.equal(of["end"], [-EAGAIN], "the answer when all numbers are in use")
    run.equal(of["missing"], sorted(of["thread"]), "numbers never given: those of the threads that run")
    run.equal(len(rounds(lines)), 4, "rounds")
    r = run.random
    for again in rounds(lines):
        drawn = []
        while len(drawn) < 40:
            tid = 2 + r.below(NTID - 2)
            if tid not in drawn and tid not in of["thread"]:
                drawn.append(tid)
        as_drawn(run, again, "free ", [f"free {tid}" for tid in drawn])
        freed, given = ([int(x.split()[1]) for x in again if x.startswith(w)] for w in ("free", "alloc"))
        run.equal(sorted(given[:-1]), sorted(freed), "numbers given after some came back")
        run.equal(given[-1], -EAGAIN, "the answer when they are in use again")


# ---------------------------------------------------------------- threads

def test_run_order(run: Run):
    """Threads take turns as they queued up."""
    all_rounds, r = rounds(run.observe("run_order").lines), run.random
    run.equal(len(all_rounds), 4, "rounds")
    for lines in all_rounds:
        drawn = workers_drawn(r, 0, 12)
        workers_as_drawn(run, lines, drawn)
        left = [w[0] for w in drawn]
        queue, want = deque(range(len(left))), []
        while queue:
            i = queue.popleft()
            want.append(f"turn {i}" if left[i] else f"end {i}")
            if left[i]:
                left[i] -= 1
                queue.append(i)
        run.equal([x for x in lines if not x.startswith("worker")], want, "the order in which threads run")


def wakes_drawn(r):
    """What wake_results does: words, each with the number of a worker."""
    steps = [("yield", 0)]
    for _ in range(150):
        i, what = r.below(6), r.below(6)
        steps.append((("wake", "wake", "interrupt", "yield", "yield", "self")[what], i))
    return steps + [("yield", 0)] + [("wake", i) for i in range(6)]


def test_wake_results(run: Run):
    """Wakes, interrupts and pauses in random order: who wakes, and what wake returns."""
    lines, r = run.observe("wake_results").lines, run.random
    drawn = workers_drawn(r, 6, 1)
    workers_as_drawn(run, lines, drawn)
    asleep, ready, first, want = set(), deque(range(6)), set(), []

    def others_run():
        while ready:
            i = ready.popleft()
            if i not in first:
                first.add(i)
            else:
                want.append(f"woke {i}")
            asleep.add(i)
    for word, i in wakes_drawn(r):
        hit = i in asleep and (word == "wake" or word == "interrupt" and drawn[i][1])
        want.append({"wake": f"wake {i}: {int(hit)}", "interrupt": f"interrupt {i}", "self": "self 1"}.get(word, word))
        if word in ("yield", "self"):
            others_run()
        if word == "self":
            want.append("self again 0")
        if hit:
            asleep.remove(i)
            ready.append(i)
    others_run()
    run.equal([x for x in lines if not x.startswith(("worker", "end"))], want, "who wakes when")


def test_sleep_order(run: Run):
    """Sleepers with deadlines wake in their order, none too early and none much too late."""
    all_rounds, r = rounds(run.observe("sleep_order").lines), run.random
    run.equal(len(all_rounds), 3, "rounds")
    for lines in all_rounds:
        workers_as_drawn(run, lines, workers_drawn(r, 6, 1))
        slots = []
        for i in range(6):
            slots.append(r.below(60))
            for k in range(i):
                slots[i] += 60 * (slots[k] == slots[i])
        slept = [parts(x, r"slept (\d+) until (\d+) now (\d+)") for x in lines if x.startswith("slept")]
        run.equal([s[0] for s in slept], [s[0] for s in sorted(slept, key=lambda s: s[1])], "the order of waking")
        run.equal(len(slept), 6, "threads that woke")
        until = dict(s[:2] for s in slept)
        run.equal([until[i] - until[0] for i in range(6)], [500_000 * (slot - slots[0]) for slot in slots],
                  f"deadlines of seed {run.seed}, from that of thread 0")
        for who, until, now in slept:
            if now < until:
                run.fail("wrong", f"thread {who} woke {until - now} ns before its deadline")
            if now > until + 20_000_000:
                run.fail("wrong", f"thread {who} woke {(now - until) // 1000} us after its deadline")


# ---------------------------------------------------------------- wait queues

class Queue:
    """The model of waitq_order: who waits, and the records that must come."""

    def __init__(self, r, intr):
        self.r, self.intr, self.waiting, self.want = r, intr, [], []      # waiting: (id, milliseconds or 0)

    def leave(self, who, err):
        self.waiting = [w for w in self.waiting if w[0] not in who]
        self.want += [f"left {i}: {err}, queued 0, waits for 0" for i in who]

    def pause(self):
        """All deadlines pass; those of one burst are in order of their numbers."""
        self.want.append("long pause")
        self.leave([i for i, ms in sorted(self.waiting, key=lambda w: w[1]) if ms], -ETIMEDOUT)

    def all(self):
        self.want.append("all")
        self.leave([i for i, _ in self.waiting], 0)

    def step(self):
        i, what = self.r.below(6), self.r.below(8)
        there = any(w[0] == i for w in self.waiting)
        if what < 4 and not there:
            ms = 0 if self.r.below(3) else 500 + 50 * i
            self.want.append(f"join {i} deadline {ms}")
            self.waiting.append((i, ms))
        elif what == 4:
            self.want.append(f"one: {int(bool(self.waiting))}")
            self.leave([w[0] for w in self.waiting[:1]], 0)
        elif what == 5:
            self.want.append(f"interrupt {i}")
            self.leave([i] if there and self.intr[i] else [], -ERESTARTSYS)
        elif what == 6:
            self.all()
        elif what == 7:
            self.want.append(f"empty {int(not self.waiting)}")
        if self.r.below(12) == 0:
            self.pause()


def test_waitq_order(run: Run):
    """Joining, waking one or all, interrupts and deadlines: who leaves the queue, when, and with what answer."""
    lines, r = run.observe("waitq_order").lines, run.random
    drawn = workers_drawn(r, 6, 1)
    workers_as_drawn(run, lines, drawn)
    queue = Queue(r, [w[1] for w in drawn])
    for _ in range(200):
        queue.step()
    queue.pause()
    queue.all()
    run.equal([x for x in lines if not x.startswith(("worker", "end"))], queue.want, "who leaves the queue when")


def test_interrupt_wakes(run: Run):
    """A timer makes the condition true at any moment, also between the look and the sleep."""
    want, drawn, r = [], 0, run.random
    for n in range(1, 1501):
        drawn += r.below(400) + r.below(20000)
        want += [f"heard {n} drawn {drawn}"] if n % 100 == 0 else []
    run.equal(run.observe("interrupt_wakes").lines, want, "wakeups that arrived")


# ---------------------------------------------------------------- mutexes

class WorkerDice:
    """A worker's own random numbers."""

    def __init__(self, state):
        self.state = state

    def below(self, n):
        s = self.state
        s ^= s << 13 & (1 << 64) - 1
        s ^= s >> 7
        s ^= s << 17 & (1 << 64) - 1
        self.state = s
        return (s >> 20) % n


def mutex_as_drawn(run, lines, drawn):
    """What each worker did is what its dice say."""
    workers_as_drawn(run, lines, drawn)
    for i, (count, _, state) in enumerate(drawn):
        mine = [x for x in lines if re.fullmatch(rf"(want|has|leaves|try|end) {i}(: \d)?", x)]
        dice, want = WorkerDice(state), []
        for _ in range(count):
            dice.below(8)
            if dice.below(4):
                want += [f"want {i}", f"has {i}"]
            else:
                got = len(want) < len(mine) and mine[len(want)] == f"try {i}: 1"
                want.append(f"try {i}: {int(got)}")
                if not got:
                    continue
            dice.below(4)
            want.append(f"leaves {i}")
        run.equal(mine, want + [f"end {i}"], f"what thread {i} does")


def test_mutex_turns(run: Run):
    """One holder at a time; who waits gets it in the order of asking."""
    all_rounds, r = rounds(run.observe("mutex_turns").lines), run.random
    run.equal(len(all_rounds), 4, "rounds")
    for lines in all_rounds:
        owner, queue, entered = None, [], True
        for line in lines:
            m = re.fullmatch(r"(want|has|leaves|try) (\d+)(?:: (\d))?", line)
            if not m:
                continue
            what, who = m[1], int(m[2])
            if what == "want":
                if owner is None:
                    owner, entered = who, False
                else:
                    queue.append(who)
            elif what == "has":
                if owner != who:
                    run.fail("wrong", f"thread {who} has the mutex: expected thread {owner}, which asked first")
                entered = True
            elif what == "try":
                run.equal(int(m[3]), int(owner is None), f"mutex_trylock by thread {who} while the owner is {owner}")
                if owner is None:
                    owner, entered = who, True
            else:
                if owner != who or not entered:
                    run.fail("wrong", f"thread {who} is inside: expected {owner}")
                owner, entered = (queue.pop(0), False) if queue else (None, True)
        run.equal(lines[-1], "free: owner 0, contended 0, waiters 0", "the mutex after all have left")
        mutex_as_drawn(run, lines, workers_drawn(r, 0, 25))


# ---------------------------------------------------------------- the boot archive

def parse_entry(data, pos):
    """(record or end number, next position) as archive.h has it; None where two answers are right."""
    if pos >= len(data):
        return 0, pos
    head = data[pos:pos + 110]
    if len(head) < 110 or head[:5] != b"07070" or head[5:6] not in b"12" or not re.fullmatch(rb"[0-9a-fA-F]{104}", head[6:]):
        return -EINVAL, pos
    f = [int(head[6 + 8 * i:14 + 8 * i], 16) for i in range(13)]
    size, namesize = f[6], f[11]
    name_end = pos + 110 + namesize
    at = (name_end + 3) & ~3
    if namesize == 0 or name_end > len(data) or data[name_end - 1] != 0:
        return -EINVAL, pos
    if at > len(data) and size == 0:
        return None, pos
    if at > len(data) or size > len(data) - at:
        return -EINVAL, pos
    name, start = data[pos + 110:name_end - 1], pos + 110
    if name == b"TRAILER!!!":
        return 0, pos
    while name[:1] == b"/" or name[:2] == b"./":
        name, start = name[1:], start + 1
    return (f"entry name {start}+{len(name)} data {at}+{size} mode {f[1]:x} uid {f[2]:x} gid {f[3]:x} time {f[5]:x} "
            f"links {f[4]:x} ino {f[0]:x}"), (at + size + 3) & ~3


def entry_drawn(r, name, may_be_open):
    """entry_put of the observation."""
    open_name = may_be_open and r.below(6) == 0
    size, out = r.below(60), bytearray(b"070701")
    out[5] += r.below(2)
    for i in range(13):
        field = size if i == 6 else len(name) + 1 if i == 11 else r.next() & 0xffffffff if r.below(2) else 0
        for digit in f"{field:08x}":
            out += (digit.upper() if digit > "9" and r.below(2) else digit).encode()
    out += name + (b"x" if open_name else b"\0")
    out += bytes(-len(out) % 4)
    out += bytes(r.next() & 255 for _ in range(size))
    return bytes(out) + bytes(-len(out) % 4)


def archive_drawn(r, sound):
    """archive_make and archive_spoil of the observation."""
    out = bytearray()
    for _ in range(r.below(6)):
        name = r.choice([b"", b"/", b"./", b".//", b"bin/", b".hidden", b"//"])
        name += bytes(97 + r.below(26) for _ in range(r.below(12)))
        out += entry_drawn(r, name, not sound)
    if r.below(4):
        out += entry_drawn(r, b"TRAILER!!!", False)
    if sound:
        return bytes(out)
    if out and r.below(3):
        at = 6 + 8 * (6 if r.below(3) else 11)
        out[at:at + 8] = r.choice([b"ffffffff", b"fffffff0", b"ffffff80", b"80000000", b"00000000", b"00000001",
                                   b"00000800", b"7fffffff"])
    for _ in range(min(r.below(4), len(out))):
        at = r.below(len(out)) if r.below(3) else r.below(min(len(out), 110))
        out[at] = r.choice(b"0123456789abcdefFg/\0")
    return bytes(out if r.below(4) else out[:len(out) - r.below(len(out) + 1)])


def archives_as_drawn(run, lines):
    """The archives that were parsed are those of the seed."""
    want, r = [], run.random
    for i in range(110):
        data = archive_drawn(r, i < 10)
        want += [f"archive {len(data)}"] + [f"bytes {data[at:at + 64].hex()}" for at in range(0, len(data), 64)]
    run.equal([x for x in lines if x.startswith(("archive ", "bytes "))], want, f"the archives of seed {run.seed}")


def test_archive_entries(run: Run):
    """Archives that are right, and archives that lie about their sizes."""
    data, want, at, sure = b"", [], 0, True
    lines = run.observe("archive_entries").lines
    archives_as_drawn(run, lines)
    for line in lines:
        if line.startswith("archive "):
            data, at, sure, count = b"", 0, True, 0
        elif line.startswith("bytes "):
            data += bytes.fromhex(line[6:])
        elif sure:
            want, at = parse_entry(data, at)
            if want is None or (isinstance(want, int) and want == 0 and count == 20):
                sure = False
                continue
            count += 1
            want = want if isinstance(want, str) else f"end {want}"
            run.equal(line, want, f"archive_parse on {len(data)} bytes, entry {count}")


# ---------------------------------------------------------------- memory and programs

def file_bytes(key, off, n):
    return bytes((o * 131 + (o >> 8) * 7 + key) & 255 for o in range(off, off + n))


def page_sum(content):
    total = 0
    for b in content.ljust(PAGE, b"\0"):
        total = (total * 31 + b) & (1 << 64) - 1
    return total


def map_drawn(r):
    """The record of one map_some."""
    va, n = 0x10000000 + r.below(12) * PAGE, (1 + r.below(5)) * PAGE
    off = r.below(16) * 512 if r.below(4) else r.below(8 * PAGE)
    filelen, from_file, prot = r.below(n + 1), int(r.below(3) > 0), r.choice([1, 3, 5])
    fails = -1 if r.below(3) else off + r.below(filelen + 1)
    return f"map {va:x}+{n:x} prot {prot} file {from_file} off {off} filelen {filelen} fails {fails}"


def test_plain_pages(run: Run):
    """Mappings of files and of zeros, some of whose reads fail: contents, rights, counts, and nothing lost."""
    lines = run.observe("plain_pages").lines
    run.equal(len(rounds(lines)), 12, "rounds")
    r = run.random
    free = [x for x in lines if x.startswith("pages free")]
    run.equal(free[2:], free[1:-1], "free pages after each address space has gone")
    for lines in rounds(lines):
        as_drawn(run, lines, "file ", [f"file key {r.below(256)} size {PAGE + r.below(7 * PAGE)}"])
        as_drawn(run, lines, "map ", [map_drawn(r) for _ in range(4)])
        key, size = parts(lines[0], r"file key (\d+) size (\d+)")
        pages, shown, want = {}, [], []
        for line in lines[1:]:
            if line.startswith("map "):
                va, n, prot, from_file, off, filelen, fails = [int(x, 16) if i < 2 else int(x) for i, x in enumerate(re.fullmatch(
                    r"map (\w+)\+(\w+) prot (\d) file (\d) off (\d+) filelen (\d+) fails (-?\d+)", line).groups())]
                err = 0
                for done in range(0, n, PAGE):
                    pages.pop(va + done, None)
                    content = b""
                    take = min(PAGE, max(filelen - done, 0), max(size - off - done, 0)) if from_file else 0
                    if take and off + done <= fails < off + done + take:
                        err = -EIO
                        break
                    content = file_bytes(key, off + done, take)
                    pages[va + done] = f"w {int(prot & 2 > 0)} x {int(prot & 4 > 0)} u 1 refs 1 kind 1 sum {page_sum(content):x}"
                want = [f"mapped {err}", f"rss {len(pages)}"] + [f"page {a:x} {p}" for a, p in sorted(pages.items())]
                shown, asked = [], line
            elif line.startswith(("mapped", "rss", "page ")):
                shown.append(line)
                run.equal(line, want[len(shown) - 1] if len(shown) <= len(want) else "nothing more", f"after {asked}")
            else:
                run.equal(len(shown), len(want), f"records after {asked}")


def test_plain_pages_scarce(run: Run):
    """Memory runs out in the middle of a mapping: the error, the count, and nothing lost."""
    pages, asked, r = [], [], run.random
    lines = run.observe("plain_pages_scarce").lines
    for _ in range(12):
        want = 8 + r.below(40)
        asked.append([want, 6 + r.below(want + 16)])
    run.equal([parts(x, r"want (\d+) spare (\d+):.*") for x in lines if x.startswith("want")], asked,
              f"pages that seed {run.seed} asks for, and that are left to it")
    free = [x for x in lines if x.startswith("pages free")]
    run.equal(free[2:], free[1:-1], "free pages after each address space has gone")
    for line in lines:
        if line.startswith("want"):
            want, spare, err, rss = parts(line, r"want (\d+) spare (\d+): (-?\d+) rss (\d+)")
            pages = []
        elif line.startswith("page "):
            pages.append(line)
        else:
            run.equal(rss, len(pages), f"as->rss after {want} pages were asked for and {spare} were there")
            run.equal(err, 0 if len(pages) == want else -ENOMEM, f"the answer for {len(pages)} of {want} pages")
            if spare < want and err == 0:
                run.fail("wrong", f"{want} pages out of {spare}")
            for i, p in enumerate(pages):
                run.equal(p, f"page {0x10000000 + i * PAGE:x} w 0 x 0 u 1 refs 1 kind 1 sum 0", "a page that was mapped")


def elf_valid(segments, size):
    """May this program be loaded? Returns the end of its memory, or None."""
    last = low = 0
    for type_, flags, off, at, filesz, memsz in segments:
        if type_ != 1 or memsz == 0:
            continue
        if filesz > memsz or off + filesz > size or at + memsz > USER_END or (at - off) % PAGE or flags & 3 == 3:
            return None
        if at // PAGE * PAGE < last:
            return None
        low = low or at // PAGE * PAGE + 1
        last = -(-(at + memsz) // PAGE) * PAGE
    return last if low > 0x1000 else None


ALL = (1 << 64) - 1


def page_up(n):
    return (n + PAGE - 1 & -PAGE) & ALL


def elf_drawn(r):
    """elf_make: (entry point, segments as [type, flags, offset, address, bytes in the file, bytes])."""
    off, va, out = 0, 0x400000 + r.below(16) * PAGE, []
    entry = va + r.below(4096)
    for i in range(1 + r.below(3)):
        filesz = 700 + r.below(2 * PAGE) if r.below(3) else 0
        memsz = filesz + 1 + (r.below(3 * PAGE) if i % 2 else 0)
        out.append([1, 6 if i % 2 else 5, off, va + off % PAGE, filesz, memsz])
        va = page_up(out[-1][3] + out[-1][5]) + r.below(2) * PAGE
        off += filesz
    return entry, out


def elf_spoiled(r, segments):
    """elf_spoil: one of the segments is changed."""
    def evil():
        return r.choice([0, 1, PAGE - 1, PAGE, 8 * PAGE, 8 * PAGE + 1, 1 << 32, USER_END, USER_END - PAGE, USER_END + 1,
                         -1, -PAGE, 1 << 63, 0xffffffff80000000])
    s = segments[r.below(len(segments))]
    what = r.below(12)
    if what == 0:
        s[4] = evil()
    elif what == 1:
        s[2] = evil()
    elif what == 2:
        s[3] = evil() + s[2] % PAGE
    elif what == 3:
        s[5] = USER_END + r.below(9999) if r.below(2) else -1 - r.below(99999)
    elif what == 4:
        s[3] += 1 + r.below(PAGE - 1)
    elif what == 5:
        s[1] = 7
    elif what == 6:
        s[3] -= (1 + r.below(3)) * PAGE
    elif what == 7:
        s[0] = 4
    elif what == 8:
        s[4] = s[5] + 1
    elif what in (9, 10):
        s[2] -= page_up(s[2]) + r.below(3) * PAGE
    else:
        s[3] = USER_END - page_up(s[5]) - PAGE + r.below(3) * PAGE + s[2] % PAGE
    s[:] = [x & ALL for x in s]


def elf_as_drawn(run, r, i, one):
    """The i-th program is that of the seed, and so are the bytes that were looked at."""
    want = [f"file key {r.below(256)} size {8 * PAGE}"]
    entry, segments = elf_drawn(r)
    for _ in range(0 if i < 30 else 1 + r.below(2)):
        elf_spoiled(r, segments)
    want += ["segment type %d flags %d offset %d at %d filesz %d memsz %d" % tuple(s) for s in segments]
    if elf_valid(segments, 8 * PAGE) is not None:
        want.append(f"wanted {entry}")
        for type_, _, _, at, _, memsz in segments:
            if type_ == 1 and memsz:
                want += [f"byte {at + (r.below(page_up(memsz)) if k else memsz - 1):x}" for k in range(6)]
    seen = [x.split(":")[0] for x in one if x.startswith(("file", "segment", "entry", "byte"))]
    seen = [re.sub(r"entry \d+ (wanted \d+) end \d+", r"\1", x) for x in seen]
    run.equal(seen, want, f"program {i} of seed {run.seed}")


def test_elf_segments(run: Run):
    """Programs of which most contradict themselves."""
    lines = run.observe("elf_segments").lines
    programs = re.split(r"(?m)^(?=file key)", "\n".join(lines))[1:]
    run.equal(len(programs), 150, "programs")
    r = run.random
    for i, one in enumerate(programs):
        one = one.splitlines()
        key, size = parts(one[0], r"file key (\d+) size (\d+)")
        segments = [parts(x, r"segment type (\d+) flags (\d+) offset (\d+) at (\d+) filesz (\d+) memsz (\d+)")
                    for x in one if x.startswith("segment")]
        end = elf_valid(segments, size)
        text = "\n  ".join(["elf_load of a file of %d bytes with" % size] + [x for x in one if x.startswith("segment")])
        load = next(x for x in one if x.startswith("load"))
        if end is None and load != "load 0" and load != f"load {-ENOEXEC}":
            run.equal(load, f"load {-ENOEXEC}", text)
        run.equal(load, "load 0" if end is not None else f"load {-ENOEXEC}", text)
        for line in one:
            if line.startswith("entry"):
                entry, wanted, brk = parts(line, r"entry (\d+) wanted (\d+) end (\d+)")
                run.equal((entry, brk), (wanted, end), f"entry point and end of memory; {text}")
            elif line.startswith("byte"):
                elf_byte(run, line, key, segments, text)
        elf_as_drawn(run, r, i, one)


def elf_byte(run, line, key, segments, text):
    m = re.fullmatch(r"byte (\w+): (-?\d+) (\d+) w (\d) x (\d)", line)
    va = int(m[1], 16)
    for type_, flags, off, at, filesz, memsz in segments:
        low = at // PAGE * PAGE
        if type_ == 1 and memsz and low <= va < at + memsz:
            where = off + va - at
            byte = file_bytes(key, where, 1)[0] if va < at + filesz and filesz else 0
            if where < 512 and va < at + filesz:
                byte = int(m[3])             # the headers themselves
            run.equal(line, f"byte {m[1]}: 0 {byte} w {int(flags & 2 > 0)} x {int(flags & 1 > 0)}", f"memory; {text}")


# ---------------------------------------------------------------- processes

def seed(run):
    """For the dice of a program."""
    return str(run.random.below(1 << 30))


def test_fork_tree(run: Run):
    """A random tree of processes, each with memory of its own: what they print, and what their parents hear."""
    run.same_as_linux("forkmix", args=[seed(run)])


def test_fork_registers(run: Run):
    """Parent and child go on with all registers the parent had, the FPU's too."""
    run.same_as_linux("regmix", args=[seed(run)])


def test_exec_arguments(run: Run):
    """A program that executes itself with random arguments and environments, in fresh memory each time."""
    r = run.random
    letters = "abcdefghijklmnopqrstuvwxyz0123456789=/.,"
    words = ["".join(r.choice(letters) for _ in range(1 + r.below(40))) for _ in range(r.below(6))]
    run.same_as_linux("execmix", args=[seed(run), "6", *words])


def test_death_status(run: Run):
    """Exit codes and faults, also deep in chains of processes: the status that arrives."""
    run.same_as_linux("diemix", args=[seed(run)])


def test_wait_kinds(run: Run):
    """Waiting for one child, any, a group; without waiting; without taking."""
    run.same_as_linux("waitmix", args=[seed(run)])


def test_time_slices(run: Run):
    """Processes that never give up the processor do not keep others from it."""
    run.same_as_linux("preempt", args=[seed(run)])


def test_orphans(run: Run):
    """Parents that end before their children; init hears of all of them, also of those that had ended."""
    r = run.random
    lists = [[r.choice(["", "", "z"]) + str(r.below(100)) for _ in range(r.below(6))] for _ in range(2 + r.below(7))]
    codes = [int(c.lstrip("z")) for one in lists for c in one]
    out = run.program("orphanmix", args=[",".join(one) or "," for one in lists])
    total = sum(len(one) for one in lists)
    run.equal(out.output.strip(), f"ended {total + len(lists)}, sum {sum(codes) + total}, then errno 10", "what init heard")


def test_memory_returns(run: Run):
    """Forks, execs, failed execs and deaths: afterwards as much memory is free as before."""
    out = run.program("memback", args=[seed(run), "4"])
    lines = out.output.splitlines()
    run.equal([x.split(" free")[0] for x in lines], [f"heard {memback_heard(seed(run))}"] * 4,
              "how the children of each round have ended")
    run.equal(lines[2:], lines[1:-1], "free memory after each round")
    run.equal(lines[-1].split()[-1], "1", "processes left")


def test_fork_refused(run: Run):
    """A machine with little memory: fork fails politely, nothing is lost, and the next round gets as far."""
    lines = run.program("forkfull", args=[seed(run), "3"], mem=32).output.splitlines()
    run.equal(len(lines), 3, "rounds that ended")
    for line in lines:
        m = re.match(r"refused: errno (11|12), children (\d+), sum (\d+), ", line)
        if not m or int(m[2]) < 4:
            run.fail("wrong", "expected a fork refused with EAGAIN or ENOMEM after some children", f"seen     {line}")
        run.equal(int(m[3]), forkfull_sum(seed(run), int(m[2])), f"what the codes of {m[2]} children add up to")
    free = [int(x.split()[-1]) // PAGE for x in lines]
    if free[2] < free[1] - 25:
        run.fail("wrong", "forks that were refused have kept memory", f"expected {free[1]} free pages, as the round before",
                 f"seen     {free[2]}")
