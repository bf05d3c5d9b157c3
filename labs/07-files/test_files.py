"""Judges of lab 7: models of a sparse array, of cached pages, of a walk and of a terminal; and programs that do at random what
files, names, descriptors and pipes are for: Linux says what they must print."""

import re
import zlib

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random

ENOENT, ENOMEM, ENOTDIR, ELOOP = 2, 12, 20, 40


def rounds(obs):
    out = []
    for line in obs.lines:
        if line == "round":
            out.append([])
        elif out:
            out[-1].append(line)
    return out


def twice(run, program, letters, **words):
    random = run.random
    for _ in range(2):
        run.same_as_linux(program, [str(1 + random.below(1 << 30)), letters], **words)


# ---------------------------------------------------------------- sparse arrays

class Array:
    def __init__(self, run):
        self.run, self.page, self.dirty = run, {}, set()

    def step(self, line):
        what, at, *rest = re.findall(r"[a-z]+|-?\d+", line)
        at = int(at)
        nums = [int(x) for x in rest if x != "at"]
        if what == "put":
            self.run.check(nums[1] in (0, -ENOMEM), "wrong", f"radix_put: {line}: expected 0 or {-ENOMEM}")
            if nums[1] == 0:
                self.page[at] = nums[0]
        elif what == "del":
            self.page.pop(at, None)
            self.dirty.discard(at)
        elif what == "get":
            self.run.equal(nums[0], self.page.get(at, -1), f"the page at {at} (-1: none), of {len(self.page)}")
        elif what == "mark":
            (self.dirty.add if nums[0] else self.dirty.discard)(at)
        elif what == "next":
            kind, got, where = nums
            found = min((i for i in (self.dirty if kind else self.page) if i >= at), default=None)
            want = (self.page[found], found) if found is not None else (-1, 0)
            self.run.equal((got, where), want, f"the first {'marked ' if kind else ''}page from {at} on, and its index")
        elif what == "holds":
            self.run.equal(nums, [self.page.get(at, -1)] * 2, f"the page at {at} in the end")

    def play(self, lines):
        for line in lines[:-1]:
            self.step(line)
        held = [int(x.split()[1][:-1]) for x in lines if x.startswith("holds")]
        self.run.equal(held, sorted(self.page), "all indexes in the end")
        self.run.equal(lines[-1], "empty 1", "whether nothing is left when all pages have been taken out")


def test_radix_near(run: Run):
    """Pages put, found and taken out; none lies far away."""
    for lines in rounds(run.observe("radix_play", arg=9)):
        Array(run).play(lines)


def test_radix_far(run: Run):
    """Indexes of up to 54 bits."""
    for lines in rounds(run.observe("radix_play", arg=54)):
        Array(run).play(lines)


def test_radix_scarce(run: Run):
    """Memory ends while a page is put: an error, and everything is as it was."""
    failed = 0
    for lines in rounds(run.observe("radix_scarce")):
        Array(run).play(lines)
        failed += sum(x.startswith("put") and x.endswith(str(-ENOMEM)) for x in lines)
    run.check(failed, "wrong", f"no put failed with {-ENOMEM}, though memory was used up")


# ---------------------------------------------------------------- pages of a file

def test_pages_read(run: Run):
    """Parts of a file read by the kernel: over page ends, over holes, over the end."""
    pieces, size = {}, 0                       # {page: bytes}

    def part(at, n):
        out = bytearray()
        while len(out) < n:
            page, off = divmod(at + len(out), 4096)
            k = min(4096 - off, n - len(out))
            out += pieces.get(page, bytes(4096))[off:off + k]
        return bytes(out)

    def put(at, data):
        done = 0
        while done < len(data):
            page, off = divmod(at + done, 4096)
            k = min(4096 - off, len(data) - done)
            old = pieces.setdefault(page, bytearray(4096))
            old[off:off + k] = data[done:done + k]
            done += k

    for line in run.observe("pages_read").lines:
        nums = [int(x) for x in re.findall(r"-?\d+", line)]
        if line.startswith("write"):
            at, n, byte, _ = nums
            put(at, bytes([byte]) * n)
            size = max(size, at + n)
        elif line.startswith("cut"):
            at = nums[0]
            if at < size:
                for page in [p for p in pieces if p * 4096 >= at]:
                    del pieces[page]
                if at % 4096 and at // 4096 in pieces:
                    pieces[at // 4096][at % 4096:] = bytes(4096 - at % 4096)
            size = at
        elif line.startswith("read"):
            at, n, got, total = nums
            want = max(0, min(n, size - at))
            run.equal(got, want, f"bytes of a read of {n} at {at}; the file has {size}")
            run.equal(total, zlib.adler32(part(at, want)), f"the checksum of {want} bytes at {at} of a file of {size}")
        elif line.startswith("behind"):
            run.equal(nums[0], 0xee, "the byte behind what was read, in the caller's memory")


def test_files_plain(run: Run):
    """Reads, writes, seeks through three descriptors of a file."""
    twice(run, "filemix", "rrwws")


def test_files_places(run: Run):
    """Reads and writes at given places, cuts, vectors."""
    twice(run, "filemix", "rwpPpPtv")


def test_files_sparse(run: Run):
    """Files with large holes."""
    twice(run, "filemix", "qqQrs")


# ---------------------------------------------------------------- names

def test_names_walk(run: Run):
    """Paths through a random tree: dots, slashes, names that are not there."""
    twice(run, "namemix", "dfssc")


def test_names_links(run: Run):
    """... with symbolic links everywhere."""
    twice(run, "namemix", "dfllssSSSc")


def test_names_change(run: Run):
    """... while names come and go."""
    twice(run, "namemix", "dflsSurnh")


class Tree:
    """The directories of OBSERVE(walks): mounts cover what is below, so paths see one tree."""

    def __init__(self):
        self.parent, self.names = {}, {}

    def add(self, k, parent):
        self.parent[k] = parent if k else "root"
        if k:
            self.names[parent][f"d{k}"] = ("dir", k)
        self.names[k] = {"f": ("file", k), "here": ("link", "."), "up": ("link", ".."), "top": ("link", "/observed/"),
                         "loop": ("link", "here/loop"), "gone": ("link", "up/nothing"), "tofile": ("link", "here/f")}

    def walk(self, path, follow):
        """(error, what, number)"""
        at, links = ("dir", "root"), 0
        rest = path.split("/")
        while rest:
            name = rest.pop(0)
            if name == "":
                if not rest and at[0] != "dir":
                    return -ENOTDIR, "none", -1
                continue
            if at[0] != "dir":
                return -ENOTDIR, "none", -1
            if name == ".":
                continue
            if name == "..":
                at = ("dir", self.parent.get(at[1], "root"))
                continue
            if at[1] == "root":
                found = ("dir", 0) if name == "observed" else None
            else:
                found = self.names[at[1]].get(name)
            if not found:
                return -ENOENT, "none", -1
            if found[0] == "link":
                if not rest and not follow:
                    return 0, "link", -1
                links += 1
                if links > 40:
                    return -ELOOP, "none", -1
                if found[1].startswith("/"):
                    at = ("dir", "root")
                rest = found[1].split("/") + rest
                continue
            at = found
        return (0, "root", -1) if at[1] == "root" else (0, *at)


def test_names_mounts(run: Run):
    """Up and down through mounts, some of them one on the other, and symbolic links."""
    tree = Tree()
    for line in run.observe("walks").lines:
        if line.startswith("place"):
            tree.add(*(int(x) for x in re.findall(r"\d+", line)))
            continue
        m = re.fullmatch(r"walk (\S*) follow (\d): (-?\d+) (\w+) (-?\d+)", line)
        want = tree.walk("/observed" + m[1], m[2] == "1")
        run.equal((int(m[3]), m[4], int(m[5])), want, f"where /observed{m[1]} leads (error, what, which directory's)"
                  + (", links at the end followed" if m[2] == "1" else ""))


# ---------------------------------------------------------------- descriptors

def test_fds_numbers(run: Run):
    """Always the lowest one that is free."""
    twice(run, "fdmix", "oodcs")


def test_fds_duplicates(run: Run):
    """Duplicates share a position; close-on-exec is each one's own."""
    twice(run, "fdmix", "oddcus")


def test_fds_limit(run: Run):
    """There are no more than the process may have."""
    twice(run, "fdmix", "ooddcl")


def test_fds_forked(run: Run):
    """A child has a copy of the table, and the same open files."""
    twice(run, "fdmix", "odcuf")


# ---------------------------------------------------------------- pipes

def test_pipe_bytes(run: Run):
    """One process at both ends."""
    twice(run, "pipemix", "aa")


def test_pipe_stream(run: Run):
    """A writer and a reader, with pieces of all sizes."""
    twice(run, "pipemix", "tt")


def test_pipe_records(run: Run):
    """Several writers: up to PIPE_BUF bytes stay together."""
    twice(run, "pipemix", "r")


def test_pipe_full(run: Run):
    """No room, or not enough of it."""
    twice(run, "pipemix", "ff")


def test_pipe_edges(run: Run):
    """Memory of the caller that ends too early."""
    twice(run, "pipemix", "ee")


def test_pipe_ends(run: Run):
    """Waiting for somebody who goes away."""
    twice(run, "pipemix", "g")


def test_shell_pipes(run: Run):
    """Pipelines of the shell, over files made for this run."""
    random = Random(run.seed)
    words = ["".join(chr(97 + random.below(4)) for _ in range(1 + random.below(4))) for _ in range(200 + random.below(300))]
    text = "".join(w + "\n" for w in words)
    want, script = [], []
    for _ in range(5):
        key, n = words[random.below(len(words))][:2], 1 + random.below(50)
        script.append(f"cat /words | grep {key} | wc -l")
        want.append(str(sum(key in w for w in words)))
        script.append(f"cat < /words | head -n {n} | tail -n 1 > /out; cat /out")
        want.append(words[n - 1])
    out = run.script("\n".join(script) + "\n", files={"words": text})
    run.equal([x.strip() for x in out.lines], want, "what the pipelines print: " + "; ".join(script[:2]) + " ...")


# ---------------------------------------------------------------- the terminal

ICRNL, IXON, IUTF8 = 0o400, 0o2000, 0o40000
ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHONL, ECHOCTL, ECHOKE, IEXTEN = 1, 2, 8, 16, 32, 64, 512, 2048, 32768
ERASE, KILL, EOF, WERASE, REPRINT = 127, 21, 4, 23, 18
ALL = ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN


class Terminal:
    """What is typed, shown and read."""

    def __init__(self, iflag, lflag):
        self.utf8, self.l, self.col, self.line_col = iflag & IUTF8, lflag, 0, 0
        self.canon, self.typing, self.ready, self.shown = bool(lflag & ICANON), [], [], bytearray()

    def inside(self, c):
        """Not the first byte of a character"""
        return self.utf8 and c & 0xc0 == 0x80

    def caret(self, c):
        return self.l & ECHOCTL and (c < 32 or c == 127) and c not in (9, 10)

    def out(self, c):
        if c == 10:
            self.shown.append(13)
            self.col = 0
        elif c == 9:
            self.col = (self.col | 7) + 1
        elif c == 8:
            self.col = max(0, self.col - 1)
        elif c == 13:
            self.col = 0
        elif c >= 32 and c != 127 and not self.inside(c):
            self.col += 1
        self.shown.append(c)

    def echo(self, c):
        if self.l & ECHO or (c == 10 and self.l & ECHONL and self.canon):
            for x in [94, c ^ 64] if self.caret(c) else [c]:
                self.out(x)

    def width(self):
        col = self.line_col
        for c in self.typing:
            if c == 9:
                col = (col | 7) + 1
            elif self.caret(c):
                col += 2
            elif c >= 32 and c != 127 and not self.inside(c):
                col += 1
        return col

    def erase(self, show):
        before = self.width()
        while self.typing and self.inside(self.typing.pop()):
            pass
        if show:
            for _ in range(before - self.width()):
                for c in b"\b \b":
                    self.out(c)

    def add(self, c, mark=""):
        if not self.typing:
            self.line_col = self.col
        if mark != "eof":
            self.echo(c)
        if self.canon and not mark:
            self.typing.append(c)
            return
        self.ready += [(x, "") for x in self.typing] + [(c, mark)]
        self.typing = []

    def word(self, show):
        seen = False
        while self.typing:
            c = self.typing[-1]
            here = chr(c).isalnum() if c < 128 else True
            here = here or c == 95
            if seen and not here:
                break
            seen |= here
            self.erase(show)

    def kill(self):
        show = self.l & ECHO and self.l & ECHOE and self.l & ECHOKE
        while show and self.typing:
            self.erase(True)
        self.typing = []
        if self.l & ECHO and not show:
            self.echo(KILL)
            if self.l & ECHOK:
                self.out(10)

    def reprint(self):
        self.echo(REPRINT)
        self.out(10)
        self.line_col = self.col
        for c in self.typing:
            self.echo(c)

    def key(self, c):
        c = 10 if c == 13 else c
        if not self.canon:
            self.add(c)
        elif c == ERASE:
            had = bool(self.typing)
            self.erase(self.l & ECHO and self.l & ECHOE)
            if had and self.l & ECHO and not self.l & ECHOE:
                self.echo(ERASE)
        elif c == KILL:
            self.kill()
        elif c == WERASE and self.l & IEXTEN:
            self.word(self.l & ECHO and self.l & ECHOE)
        elif c == REPRINT and self.l & IEXTEN:
            self.reprint()
        elif c == EOF:
            self.add(c, "eof")
        else:
            self.add(c, "eol" if c == 10 else "")

    def take(self, n):
        """(bytes, whether the end of a line was reached)"""
        got, ended = bytearray(), False
        while len(got) < n and self.ready and not ended:
            c, mark = self.ready.pop(0)
            ended = bool(mark) and self.canon
            if mark != "eof" or not self.canon:
                got.append(c)
        if got and not ended and self.ready and self.ready[0][1] == "eof":
            self.ready.pop(0)
            ended = True
        return bytes(got), ended


def judge_terminal(run, kinds, iflag, lflag):
    t, last, shown = Terminal(iflag, lflag), "", None
    obs = run.observe("tty_play", arg=f"{kinds},{iflag},{lflag}")
    lines, got = list(obs.lines), []
    while lines:
        word, *rest = lines.pop(0).split(" ")
        data = bytes.fromhex(rest[0]) if word in ("typed", "shown", "got") else b""
        while lines and word in ("typed", "shown", "got") and lines[0].startswith(word + " "):
            data += bytes.fromhex(lines.pop(0).split(" ")[1])
        if word == "typed":
            last, t.shown = data, bytearray()
            for c in data:
                t.key(c)
        elif word == "shown":
            run.equal(data, bytes(t.shown), f"what the screen shows when {last!r} is typed; the line is then {bytes(t.typing)!r}")
        elif word == "take":
            n, ready, ended = (int(re.sub(r"\D", "", x)) for x in (rest[0], rest[2], rest[4]))
            run.equal(ready, int(bool(t.ready)), "whether there is anything to read")
            shown = t.take(n) + (n, ended)
        elif word == "got":
            want, end, n, ended = shown
            run.equal(data, want, f"what a read of {n} bytes gets")
            run.equal(ended, int(end), f"whether a read of {n} bytes that got {want!r} has reached the end of a line")


def test_tty_lines(run: Run):
    """Lines are readable when they are complete, and one at a time."""
    judge_terminal(run, "aaan", ICRNL, ALL)
    judge_terminal(run, "aaan", ICRNL, (ICANON, ICANON | ECHONL, ICANON | ECHO)[run.random.below(3)])


def test_tty_editing(run: Run):
    """Erasing a character, a word, a line, with what of it is shown how."""
    judge_terminal(run, "aaaaeeen", ICRNL, ALL)
    judge_terminal(run, "aaaaeoon", ICRNL, ALL)
    judge_terminal(run, "aaaaeen", ICRNL, ALL & ~run.random.choice([ECHOE, ECHOKE, ECHOK | ECHOKE, ECHO, ECHOCTL, IEXTEN]))


def test_tty_characters(run: Run):
    """Characters of several bytes are erased whole; without IUTF8, byte by byte."""
    judge_terminal(run, "auueen", ICRNL | IUTF8, ALL)
    judge_terminal(run, "auueen", ICRNL, ALL)


def test_tty_end_of_file(run: Run):
    """^D makes readable what there is, and is no byte."""
    judge_terminal(run, "aaaddn", ICRNL, ALL)
    judge_terminal(run, "aded", ICRNL, ALL)


def test_tty_raw(run: Run):
    """Without lines every byte counts, at once."""
    judge_terminal(run, "aaendou", ICRNL, ECHO)
    judge_terminal(run, "aaendou", ICRNL | IUTF8, 0)
