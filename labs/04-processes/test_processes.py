"""Judges of lab 4: what the observations of kern/proc/observe_proc.c and some programs must come to."""

import re
from collections import deque

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


# ---------------------------------------------------------------- numbers

def test_tid_numbers(run: Run):
    """Numbers that are asked for and given back in random order."""
    used, resting, last = set(), set(), 0
    for line in run.observe("tid_numbers").lines:
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


def test_tid_exhaustion(run: Run):
    """All numbers that there are, then a few that came back."""
    lines = run.observe("tid_exhaustion").lines
    of = {w: [int(x.split()[1]) for x in lines if x.startswith(w + " ")] for w in ("thread", "odd", "end", "missing")}
    run.equal(of["odd"], [], "numbers given twice, or out of range")
    run.equal(of["end"], [-EAGAIN], "the answer when all numbers are in use")
    run.equal(of["missing"], sorted(of["thread"]), "numbers never given: those of the threads that run")
    for again in rounds(lines):
        freed, given = ([int(x.split()[1]) for x in again if x.startswith(w)] for w in ("free", "alloc"))
        run.equal(sorted(given[:-1]), sorted(freed), "numbers given after some came back")
        run.equal(given[-1], -EAGAIN, "the answer when they are in use again")


# ---------------------------------------------------------------- threads

def test_run_order(run: Run):
    """Threads take turns as they queued up."""
    for lines in rounds(run.observe("run_order").lines):
        left = [int(x.split()[3]) for x in lines if x.startswith("worker")]
        queue, want = deque(range(len(left))), []
        while queue:
            i = queue.popleft()
            want.append(f"turn {i}" if left[i] else f"end {i}")
            if left[i]:
                left[i] -= 1
                queue.append(i)
        run.equal([x for x in lines if not x.startswith("worker")], want, "the order in which threads run")


def test_wake_results(run: Run):
    """Wakes, interrupts and pauses in random order: who wakes, and what wake returns."""
    lines = run.observe("wake_results").lines
    intr = {int(x.split()[1]): int(x.split()[5]) for x in lines if x.startswith("worker")}
    asleep, ready, stop = set(), deque(intr), False
    want = []

    def others_run():
        while ready:
            i = ready.popleft()
            if i not in first:
                first.add(i)
            else:
                want.append(f"woke {i}")
            asleep.add(i)
    first = set()
    seen = [x for x in lines if not x.startswith(("worker", "end"))]
    for line in seen:
        word, _, rest = line.partition(" ")
        if word == "woke":
            continue
        if word == "wake":
            i = int(rest.split(":")[0])
            hit = i in asleep
            want.append(f"wake {i}: {int(hit)}")
        elif word == "interrupt":
            i = int(rest)
            hit = i in asleep and intr[i]
            want.append(line)
        else:
            hit = False
            want.append("self 1" if word == "self" and "again" not in line else "self again 0" if word == "self" else line)
            if word == "yield":
                others_run()
            elif "again" not in line:
                others_run()
        if hit:
            asleep.remove(i)
            ready.append(i)
    others_run()
    run.equal(seen, want, "who wakes when")


def test_sleep_order(run: Run):
    """Sleepers with deadlines wake in their order, none too early and none much too late."""
    for lines in rounds(run.observe("sleep_order").lines):
        slept = [parts(x, r"slept (\d+) until (\d+) now (\d+)") for x in lines if x.startswith("slept")]
        run.equal([s[0] for s in slept], [s[0] for s in sorted(slept, key=lambda s: s[1])], "the order of waking")
        run.equal(len(slept), 6, "threads that woke")
        for who, until, now in slept:
            if now < until:
                run.fail("wrong", f"thread {who} woke {until - now} ns before its deadline")
            if now > until + 20_000_000:
                run.fail("wrong", f"thread {who} woke {(now - until) // 1000} us after its deadline")


# ---------------------------------------------------------------- wait queues

def test_waitq_order(run: Run):
    """Joining, waking one or all, interrupts and deadlines: who leaves the queue, when, and with what answer."""
    lines = run.observe("waitq_order").lines
    intr = {int(x.split()[1]): int(x.split()[5]) for x in lines if x.startswith("worker")}
    queue, want = [], []                     # queue: (id, deadline in ms from joining or 0)

    def leave(i, err):
        want.append(f"left {i}: {err}, queued 0, waits for 0")

    def wake(n):
        for i, _ in queue[:n]:
            leave(i, 0)
        del queue[:n]
    seen = [x for x in lines if not x.startswith(("worker", "end"))]
    for line in seen:
        if line.startswith("left"):
            continue
        m = re.fullmatch(r"join (\d+) deadline (\d+)|one: (\d)|interrupt (\d+)|empty (\d)|all|long pause", line)
        if m is None:
            run.fail("wrong", f"unexpected record {line!r}")
        if m[1]:
            want.append(line)
            queue.append((int(m[1]), int(m[2])))
        elif m[3]:
            want.append(f"one: {int(bool(queue))}")
            wake(1)
        elif m[4]:
            i = int(m[4])
            want.append(line)
            if intr[i] and any(q == i for q, _ in queue):
                queue = [q for q in queue if q[0] != i]
                leave(i, -ERESTARTSYS)
        elif m[5]:
            want.append(f"empty {int(not queue)}")
        else:
            want.append(line)
            if line == "all":
                wake(len(queue))
            else:                            # all deadlines pass; those of one burst are in order of their numbers
                for i, _ in sorted((q for q in queue if q[1]), key=lambda q: q[1]):
                    leave(i, -ETIMEDOUT)
                queue = [q for q in queue if not q[1]]
    run.equal(seen, want, "who leaves the queue when")


def test_interrupt_wakes(run: Run):
    """A timer makes the condition true at any moment, also between the look and the sleep."""
    run.equal(run.observe("interrupt_wakes").lines, [f"heard {n}" for n in range(100, 1501, 100)], "wakeups that arrived")


# ---------------------------------------------------------------- mutexes

def test_mutex_turns(run: Run):
    """One holder at a time; who waits gets it in the order of asking."""
    for lines in rounds(run.observe("mutex_turns").lines):
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


def test_archive_entries(run: Run):
    """Archives that are right, and archives that lie about their sizes."""
    data, want, at, sure = b"", [], 0, True
    for line in run.observe("archive_entries").lines:
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


def test_plain_pages(run: Run):
    """Mappings of files and of zeros, some of whose reads fail: contents, rights, counts, and nothing lost."""
    lines = run.observe("plain_pages").lines
    free = [x for x in lines if x.startswith("pages free")]
    run.equal(free[2:], free[1:-1], "free pages after each address space has gone")
    for lines in rounds(lines):
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
    pages = []
    lines = run.observe("plain_pages_scarce").lines
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


def test_elf_segments(run: Run):
    """Programs of which most contradict themselves."""
    lines = run.observe("elf_segments").lines
    for one in re.split(r"(?m)^(?=file key)", "\n".join(lines)):
        if not one:
            continue
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
    run.same_as_linux("preempt")


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
    run.equal(len(lines), 4, "rounds that ended")
    run.equal(lines[2:], lines[1:-1], "free memory after each round")
    run.equal(lines[-1].split()[-1], "1", "processes left")


def test_fork_refused(run: Run):
    """A machine with little memory: fork fails politely, nothing is lost, and the next round gets as far."""
    lines = run.program("forkfull", args=[seed(run), "3"], mem=32).output.splitlines()
    run.equal(len(lines), 3, "rounds that ended")
    for line in lines:
        if not re.match(r"refused: errno (11|12), some 1, well 1,", line):
            run.fail("wrong", "expected a fork refused with EAGAIN or ENOMEM after some children, all of which end well",
                     f"seen     {line}")
    free = [int(x.split()[-1]) // PAGE for x in lines]
    if free[2] < free[1] - 25:
        run.fail("wrong", "forks that were refused have kept memory", f"expected {free[1]} free pages, as the round before",
                 f"seen     {free[2]}")
