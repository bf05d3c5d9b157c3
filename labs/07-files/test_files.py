"""Judges of lab 7: models of a sparse array, of cached pages, of a walk and of a terminal; and programs that do at random what
files, names, descriptors and pipes are for: Linux says what they must print.

What fs/vfs/observe_vfs.c draws is drawn here again, in the same order: a record of other inputs than these is none."""

import re
import zlib

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random, Script

ENOENT, ENOMEM, ENOTDIR, ELOOP = 2, 12, 20, 40


def twice(run, program, letters, **words):
    random = run.random
    for _ in range(2):
        run.same_as_linux(program, [str(1 + random.below(1 << 30)), letters], **words)


# ---------------------------------------------------------------- sparse arrays

def draw_places(random, far):
    """places_draw(): indexes at all distances."""
    where = []
    for _ in range(48):
        edge = 1 << random.below(far)
        where.append(random.next() & edge - 1 if random.below(3) else edge - random.below(2) + random.below(2))
    return where


class Array:
    """A sparse array of numbered pages, and what the guest must tell of it."""

    def __init__(self, script):
        self.script, self.page, self.dirty = script, {}, set()

    def put(self, at, k):
        self.script.expect(f"put {at} {k}: 0", f"putting page {k} at {at}, among {len(self.page)}")
        self.page[at] = k

    def delete(self, at):
        self.script.expect(f"del {at}", "what is done next")
        self.page.pop(at, None)
        self.dirty.discard(at)

    def get(self, at):
        self.script.expect(f"get {at}: {self.page.get(at, -1)}", f"the page at {at} (-1: none), of {len(self.page)}")

    def mark(self, at, on):
        self.script.expect(f"mark {at} {on}", "what is done next")
        (self.dirty.add if on else self.dirty.discard)(at)

    def next(self, at, marked):
        found = min((i for i in (self.dirty if marked else self.page) if i >= at), default=None)
        page, where = (self.page[found], found) if found is not None else (-1, 0)
        self.script.expect(f"next {at} {marked}: {page} at {where}",
                           f"the first {'marked ' if marked else ''}page from {at} on, and its index")

    def step(self, below, at, k):
        kind = below(7)
        if kind < 3 and at not in self.page:
            self.put(at, k)
        elif kind == 3:
            self.delete(at)
        elif kind == 4:
            self.get(at)
        elif kind == 5 and at in self.page:
            self.mark(at, k & 1)
        elif kind == 6:
            self.next(at, k & 1)

    def end(self):
        for at, k in sorted(self.page.items()):
            self.script.expect(f"holds {at}: {k} {k}", f"the page at {at} in the end, among {len(self.page)}")
        self.script.expect("empty 1", "whether nothing is left when all pages have been taken out")


def judge_radix(run, far):
    random, script = Random(run.seed), Script(run, run.observe("radix_play", arg=far).lines)
    for _ in range(6):
        script.expect("round", "what is told first")
        where, array = draw_places(random, far), Array(script)
        for k in range(150):
            at = where[random.below(48)]
            array.step(random.below, at, k)
        array.end()
    script.over()


def test_radix_near(run: Run):
    """Pages put, found and taken out; none lies far away."""
    judge_radix(run, 9)


def test_radix_far(run: Run):
    """Indexes of up to 54 bits."""
    judge_radix(run, 54)


def put_scarce(run, array, at, k):
    """Returns: whether there was no memory."""
    if array.script.coming() != f"put {at} {k}: {-ENOMEM}":
        array.put(at, k)
        return False
    array.script.next()
    array.get(at)
    return True


def test_radix_scarce(run: Run):
    """Memory ends while a page is put: an error, and everything is as it was."""
    random, script, failures = Random(run.seed), Script(run, run.observe("radix_scarce").lines), 0
    for _ in range(6):
        random.below(12)
        script.expect("round", "what is told first")
        array, k, failed, n = Array(script), 0, 0, 0
        while failed < 30 and n < 40:
            for at in draw_places(random, 54):
                if at not in array.page:
                    k += 1
                    failed += put_scarce(run, array, at, k)
            n += 1
        failures += failed
        array.end()
    script.over()
    run.check(failures, "wrong", f"no put failed with {-ENOMEM}, though memory was used up")


# ---------------------------------------------------------------- pages of a file

class Pages:
    """A file: {page: bytes}, and a size."""

    def __init__(self):
        self.pieces, self.size = {}, 0

    def part(self, at, n):
        out = bytearray()
        while len(out) < n:
            page, off = divmod(at + len(out), 4096)
            k = min(4096 - off, n - len(out))
            out += self.pieces.get(page, bytes(4096))[off:off + k]
        return bytes(out)

    def put(self, at, data):
        done = 0
        while done < len(data):
            page, off = divmod(at + done, 4096)
            k = min(4096 - off, len(data) - done)
            self.pieces.setdefault(page, bytearray(4096))[off:off + k] = data[done:done + k]
            done += k
        self.size = max(self.size, at + len(data))

    def cut(self, at):
        if at < self.size:
            for page in [p for p in self.pieces if p * 4096 >= at]:
                del self.pieces[page]
            if at % 4096 and at // 4096 in self.pieces:
                self.pieces[at // 4096][at % 4096:] = bytes(4096 - at % 4096)
        self.size = at


def draw_length(below):
    return below(600 if below(2) else 5 * 4096)


def draw_change(random, script, file):
    """A write, a cut, or neither."""
    below = random.below
    at = below(12 * 4096) if below(16) else below(1 << 34)
    n, byte, kind = 1 + draw_length(below), random.next() & 0xff, below(4)
    if kind == 0:
        script.expect(f"write {at} {n} byte {byte}: {n}", "a write by the kernel")
        file.put(at, bytes([byte]) * n)
    elif kind == 1 and below(6) == 0:
        script.expect(f"cut {at}: 0", "a change of the file's size")
        file.cut(at)


def test_pages_read(run: Run):
    """Parts of a file read by the kernel: over page ends, over holes, over the end."""
    random, script, file = Random(run.seed), Script(run, run.observe("pages_read").lines), Pages()
    for _ in range(150):
        draw_change(random, script, file)
        at = random.below(14 * 4096)
        if random.below(8) == 0:
            at = file.size - random.below(min(file.size + 1, 300))
        n = draw_length(random.below)
        begin, _, told = script.next().partition(": ")
        run.equal(begin, f"read {at} {n}", "what is done next")
        got, total = (int(x) for x in told.split(" sum "))
        want = max(0, min(n, file.size - at))
        run.equal(got, want, f"bytes of a read of {n} at {at}; the file has {file.size}")
        run.equal(total, zlib.adler32(file.part(at, want)),
                  f"the checksum of {want} bytes at {at} of a file of {file.size}")
        script.expect(f"behind {0xee}", "the byte behind what was read, in the caller's memory")
    script.over()


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


FIXED = ["..", "..", ".", "here", "up", "top", "here", "up", "f", "tofile", "loop", "gone", "nothing"]
PLACES = 14


def draw_name(below):
    """name_add(): a name that may or may not be there."""
    k = below(13) if below(8) else 20
    if below(5) < 2:
        return f"d{1 + below(PLACES - 1)}"
    return FIXED[below(6) if k == 20 or k > 7 and below(2) else k]


def draw_places_in(script, below, tree):
    """The directories, as place_make() makes them: their paths."""
    paths = []
    for k in range(PLACES):
        parent = below(k) if k else 0
        below(3)                                   # file systems mounted there
        script.expect(f"place {k} in {parent}", "the directories that were to be made")
        paths.append(f"{paths[parent]}/d{k}" if k else "/observed")
        tree.add(k, parent)
    return paths


def test_names_mounts(run: Run):
    """Up and down through mounts, some of them one on the other, and symbolic links."""
    tree, random, script = Tree(), Random(run.seed), Script(run, run.observe("walks").lines)
    below, paths = random.below, draw_places_in(script, random.below, tree)
    for _ in range(250):
        path, follow = paths[below(PLACES)], int(below(3) > 0)
        for _ in range(below(7) + 1):
            path += "/" + draw_name(below)
        path += "" if below(8) else "/"
        begin, _, told = script.next().partition(": ")
        run.equal(begin, f"walk {path[9:]} follow {follow}", "the walk that was to be made")
        err, what, k = tree.walk(path, follow)
        run.equal(told, f"{err} {what} {k}", f"where {path} leads (error, what, which directory's)"
                  + (", links at the end followed" if follow else ""))
    script.over()


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


EDITS, ODD = bytes([127, 127, 127, 21, 23, 18]), bytes([1, 27, 9, 11, 2])
WIDE = [b"\xc3\xa4", b"\xe4\xb8\xad", b"\xf0\x9f\x99\x82", b"\xc3"]


def draw_key(kind, below):
    """key() of observe_vfs.c"""
    if kind == "n":
        return b"\n" if below(4) else b"\r"
    if kind == "d":
        return bytes([EOF])
    if kind in "eo":
        return bytes([EDITS[below(6)] if kind == "e" else ODD[below(5)]])
    if kind == "u":
        return WIDE[below(4)]
    return bytes([97 + below(26)]) if below(5) else b" "


def told_bytes(script, word):
    """The bytes of all records that begin with `word`."""
    data, begun = b"", script.at
    while script.coming().startswith(word + " "):
        data += bytes.fromhex(script.next().split(" ")[1])
    script.run.check(script.at > begun, "wrong", f"it is not told what was {word}", script.coming())
    return data


def judge_typing(run, script, t, kinds, below):
    typed = b"".join(draw_key(kinds[below(len(kinds))], below) for _ in range(below(12) + 1))
    run.equal(told_bytes(script, "typed"), typed, "the keys that were to be typed")
    t.shown = bytearray()
    for c in typed:
        t.key(c)
    run.equal(told_bytes(script, "shown"), bytes(t.shown),
              f"what the screen shows when {typed!r} is typed; the line is then {bytes(t.typing)!r}")


def judge_taking(run, script, t, below):
    n = 1 + below(6 if below(2) else 64)
    begin, _, told = script.next().partition(": ")
    run.equal(begin, f"take {n}", "what is done next")
    ready, ended = (int(x) for x in re.findall(r"\d+", told))
    run.equal(ready, int(bool(t.ready)), "whether there is anything to read")
    want, end = t.take(n)
    run.equal(told_bytes(script, "got"), want, f"what a read of {n} bytes gets")
    run.equal(ended, int(end), f"whether a read of {n} bytes that got {want!r} has reached the end of a line")


def judge_terminal(run, kinds, iflag, lflag):
    t, random = Terminal(iflag, lflag), Random(run.seed)
    script = Script(run, run.observe("tty_play", arg=f"{kinds},{iflag},{lflag}").lines)
    for _ in range(150):
        if random.below(3):
            judge_typing(run, script, t, kinds, random.below)
        else:
            judge_taking(run, script, t, random.below)
    script.over()


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
