"""The judges of lab 1: what the kernel tells (kern/boot/observe_boot.c), against what must follow from the seed."""

import re
import struct
import subprocess

from grade.eclipse import build
from grade.eclipse.judge import Run
from grade.eclipse.observe import Random

LOGSZ = 16384                  # bytes that the log keeps
TEXT_MODE = 80, 25


def hexed(lines, word="bytes"):
    """The bytes that records `bytes 6162...` tell."""
    return b"".join(bytes.fromhex(line.split()[1]) for line in lines if line.startswith(word + " "))


def groups(lines, word):
    """[(line, the lines after it)] for every line that begins with `word`."""
    out = []
    for line in lines:
        if line.split()[0] == word:
            out.append((line, []))
        elif out:
            out[-1][1].append(line)
    return out


def letters(random, n):
    return "".join(chr(97 + random.below(26)) for _ in range(n))


# ---------------------------------------------------------------- the boot, kernel words

def test_hello(run: Run):
    """The kernel comes up, says so on the serial port, and gets as far as our function."""
    obs = run.observe("hello")
    run.equal(obs.lines, ["here"], "what was told")
    run.check(f"hello {Random(run.seed).below(1000000)}\n" in obs.console, "wrong",
              "the serial port did not say hello",
              obs.console[-300:])


def model_word(words, key):
    """What cmdline_get must find: the last word `key` or `key=value` before a lone `--`."""
    found = None
    for word in words:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == key:
            found = value if equals else ""
    return found


def random_words(random, keys):
    """Words that are hard to tell apart: doubled, bare, empty, one key the beginning of another."""
    words = [f"{keys[0]}=first", f"{keys[0]}=second"]
    for _ in range(4 + random.below(14)):
        key = keys[random.below(len(keys))]
        key = (key[:-1], key + "x", key, key, key)[random.below(5)] or "q"
        words.append(key + ("", "=", "=" + letters(random, 1 + random.below(9)), "=a=b",
                            "=" + letters(random, 3))[random.below(5)])
    if random.below(2):
        words += ["--", keys[0] + "=late", keys[1]]
    return words


def test_kernel_words(run: Run):
    random = Random(run.seed + 1)
    keys = [letters(random, 2 + random.below(4)) + str(i) for i in range(5)]
    words = random_words(random, keys)
    obs = run.observe("kernel_words", arg=",".join(keys), append=" ".join(words))
    guest, want = Random(run.seed), []
    for key in keys:
        for n in (79, guest.below(3), guest.below(12), guest.below(12)):
            value = model_word(words, key)
            want.append(f"get {key} {n}: {-1 if value is None else len(value)}")
            if value is not None and n > 0:
                want.append(f"value {value[:n - 1]}".strip())
    run.equal([line.strip() for line in obs.lines], want, f"words {' '.join(words)!r}")


# ---------------------------------------------------------------- Multiboot2

class Tags:
    """A Multiboot2 information structure (specification 3.6) and what must be read from it."""

    def __init__(self):
        self.body = b""
        self.words, self.ranges, self.archive, self.rsdp, self.framebuffer = "", [], None, None, None

    def tag(self, kind, content, size=None):
        tag = struct.pack("<II", kind, size if size is not None else 8 + len(content)) + content
        self.body += tag + b"\xee" * (-len(tag) % 8)

    def add_words(self, random):
        self.words = letters(random, random.below(40))
        self.tag(1, self.words.encode() + b"\0")

    def add_module(self, random):
        start = 0x100000 + random.below(1 << 20) * 4096
        end = start + random.below(3) * random.below(1 << 20)
        if end > start and not self.archive:
            self.archive = start, end - start
        self.tag(3, struct.pack("<II", start, end) + b"module\0"[:random.below(8)])

    def add_map(self, random):
        entry, content = 24 + 8 * random.below(3), b""
        for _ in range(1 + random.below(6)):
            base, size, kind = random.below(1 << 36), random.below(3) * random.below(1 << 30), random.below(8)
            content += struct.pack("<QQII", base, size, kind, 0) + b"\xdd" * (entry - 24)
            if size:
                self.ranges.append((base, size, kind if 1 <= kind <= 5 else 2))
        self.tag(6, struct.pack("<II", entry, 0) + content)

    def add_rsdp(self, random):
        if random.below(2):
            self.rsdp = 8 + len(self.body) + 8
            self.tag(15, bytes(36))
        elif self.rsdp is None:
            self.rsdp = 8 + len(self.body) + 8
            self.tag(14, bytes(20))

    def add_framebuffer(self, random):
        self.framebuffer = 0xfd000000, 4096 + 4 * random.below(64), 1 + random.below(1024), 1 + random.below(768)
        self.tag(8, struct.pack("<QIIIBBH6B", *self.framebuffer, 32, 1, 0, 16, 8, 8, 8, 0, 8))

    def add_other(self, random):
        self.tag((2, 4, 5, 9, 10, 13, 21, 99)[random.below(8)],
                 bytes(random.below(256) for _ in range(random.below(30))))

    def add(self, random):
        adds = [self.add_words, self.add_module, self.add_map, self.add_rsdp, self.add_framebuffer,
                self.add_other]
        adds[random.below(len(adds))](random)

    def whole(self):
        return struct.pack("<II", 8 + len(self.body), 0) + self.body

    def told(self):
        out = [f"words [{self.words}]"] + [f"range {b:#x} {n:#x} {k}" for b, n, k in self.ranges]
        out = [line.replace("0x0 ", "0 ") for line in out]
        if self.archive:
            out.append("archive %#x %#x" % self.archive)
        if self.rsdp:
            out.append(f"rsdp +{self.rsdp}")
        if self.framebuffer:
            out.append("framebuffer %#x %u %u %u" % self.framebuffer)
        return out


def observe_tags(run, cases):
    """cases: [(what it is, bytes, how many of them count, what must be told)]"""
    arg = ",".join(f"{n}:{data.hex()}" for _, data, n, _ in cases)
    told = groups(run.observe("multiboot", arg=arg, instructions=300_000_000).lines, "case")
    run.equal(len(told), len(cases), "cases parsed")
    for (what, _, n, want), (_, got) in zip(cases, told):
        run.equal(got, want, f"what was read from {what}, {n} bytes")


def test_multiboot_tags(run: Run):
    random, cases, size = Random(run.seed), [], 0
    while size < 1500:
        t = Tags()
        for _ in range(1 + random.below(7)):
            t.add(random)
        if random.below(2):
            t.tag(0, b"")
        cases.append((f"case {len(cases)}", t.whole(), len(t.whole()), t.told()))
        size += len(t.whole())
    observe_tags(run, cases[:-1] or cases)


def test_multiboot_hostile(run: Run):
    """Good tags, then one that lies; behind it, or beyond the end, tags that must not be believed."""
    random, cases = Random(run.seed), []
    for flaw in ("size 0", "size below 8", "size beyond the end", "cut in a header",
                 "cut before the next tag", "end tag"):
        t = Tags()
        for _ in range(1 + random.below(2)):
            t.add(random)
        good, told = len(t.whole()), t.told()
        beyond = Tags()
        beyond.tag(1, b"not to be read\0")
        n = good
        if flaw in ("size 0", "size below 8"):
            t.tag(77, b"", random.below(7) + 1 if flaw != "size 0" else 0)
            n += 8
        elif flaw == "size beyond the end":
            t.tag(77, b"", 9 + random.below(2) * random.below(1 << 31))
            n += 8
        elif flaw == "cut in a header":
            n += 1 + random.below(7)
        elif flaw == "end tag":
            t.tag(0, b"")
            n += 8 + len(beyond.body)
        cases.append((f"a structure with {flaw}", t.whole() + beyond.body, n, told))
    observe_tags(run, cases)


# ---------------------------------------------------------------- the serial port

DATA, LSR, THRE, FIFO = 0, 5, 0x20, 16


def test_serial_fifo(run: Run):
    """QEMU notes every access to the port: what goes out, and whether there was room for it."""
    with run.scratch("trace") as trace:
        obs = run.observe("serial_pieces", append="console=ttyS0",
                          extra=["-trace", "serial_read", "-trace", "serial_write", "-D", trace])
        with open(trace) as f:
            events = re.findall(r"serial_(read|write) \S+ (?:addr|write addr|read addr) (0x\w+) val (0x\w+)",
                                f.read())
    run.check(events, "grader", "QEMU noted no access to the serial port")
    random = Random(run.seed)
    want = "".join(letters(random, 1 + random.below(40 if i % 4 else 200)) for i in range(40)) + "|"
    events = events[last_setup(events):]
    sent = "".join(chr(int(v, 16)) for kind, a, v in events if kind == "write" and int(a, 16) == DATA)
    run.check(want in sent, "wrong", "bytes got lost or changed on their way to the port", f"wanted {want!r}",
              f"sent   {sent[-len(want):]!r}")
    room, looks = 0, 0
    for kind, addr, value in events:
        if kind == "read" and int(addr, 16) == LSR:
            empty = int(value, 16) & THRE
            looks += bool(empty)
            room = FIFO if empty else room
        elif kind == "write" and int(addr, 16) == DATA:
            room -= 1
            run.check(room >= 0, "wrong",
                      "a byte was written though the status register had not said since the last "
                      f"{FIFO} bytes that the FIFO is empty")
    run.check(looks < len(sent) / 2, "wrong",
              f"the FIFO was found empty {looks} times for {len(sent)} bytes: it takes {FIFO} at a time")
    run.check(want in obs.console, "wrong", "the text did not arrive")


def last_setup(events):
    """Where in the events serial_init's last write to the modem control register is."""
    return max((i for i, (kind, a, _) in enumerate(events) if kind == "write" and int(a, 16) == 4),
               default=0) + 1


def test_serial_silent(run: Run):
    """Nobody takes the bytes. The kernel waits once, about a second of its own time, and goes on. What got onto
    the line before it was full is looked at afterwards."""
    obs = run.observe("serial_silent", reads_console=False, icount=False, cpu_limit=12, hold=True)
    obs.machine.reads_console = True
    while obs.machine.pump(0.2):
        pass
    arrived, text = obs.machine.console.rpartition("\n")[2], letters(Random(run.seed), 1024)
    run.check(len(arrived) >= FIFO and (text * (1 + len(arrived) // 1024)).startswith(arrived), "wrong",
              "the beginning of the text did not arrive", f"expected {text[:64]}...", f"seen     {arrived[:64]}...")
    (waited,) = obs.numbers(r"waited (\d+) times")
    run.check(waited < 3, "wrong",
              f"{waited} writes waited for a port that is silent; only the first should: the next ones try once")


# ---------------------------------------------------------------- consoles and log

def random_lines(random, most):
    text = list(letters(random, random.below(most)))
    for i in range(len(text)):
        if random.below(6) == 0:
            text[i] = "\n"
    return "".join(text)


def test_console_lines(run: Run):
    """Which consoles get the text, and how lines end there."""
    judge_consoles(run, [])
    judge_consoles(run,
                   Random(run.seed + 1).choice([["red"], ["green", "ttyS0"], ["red,115200", "ttyS"],
                                                ["nobody"]]))


def judge_consoles(run, choice):
    names, random = ["red", "green", "ttyS", "blue"], Random(run.seed)
    obs = run.observe("console_lines", append=" ".join(f"console={c}" for c in choice))
    want = ""
    for _ in range(30):
        text = random_lines(random, 79)
        raw = random.below(3) == 0
        if not raw:
            random.below(2)
        want += text if raw else text.replace("\n", "\r\n")
    shown = groups(obs.lines, "console")
    run.equal(len(shown), 3, "consoles told about")
    for name, (line, told) in zip(names, shown):
        run.equal(line, f"console {name}", "consoles told about")
        chosen = not choice or name in [c.split(",")[0] for c in choice]
        run.equal(hexed(told).decode("latin-1"), want if chosen else "",
                  f"text on the console {name!r} with {' '.join('console=' + c for c in choice) or 'no console= word'}")


def test_console_late(run: Run):
    """A console that comes late is told what the log still holds."""
    obs = run.observe("console_late")
    random = Random(run.seed)
    n = 1 + random.below(40) if random.below(2) else 400 + random.below(800)
    lines = "".join(f"{i} {letters(random, 10 + random.below(50))}\n" for i in range(n))
    got = hexed(obs.lines).decode("latin-1")
    run.check("\n" not in got.replace("\r\n", ""), "wrong",
              "a line ended without a carriage return: terminals show stairs")
    got = got.replace("\r\n", "\n")
    run.check(got.endswith("after\n"), "wrong", "what was printed after the console came did not arrive",
              repr(got[-80:]))
    got = got[:-len("after\n")]
    if len(lines) >= LOGSZ:
        run.equal(got, lines[-LOGSZ:], f"what a console is told that comes after {len(lines)} bytes")
    else:
        run.equal(got[-len(lines):] if lines else "", lines,
                  f"the end of what a console is told after {len(lines)} bytes")
        run.check(len(got) <= LOGSZ, "wrong", f"it was told {len(got)} bytes, more than the log holds")


def test_log_ring(run: Run):
    obs = run.observe("log_ring")
    random, log, known = Random(run.seed), "", True
    reads = groups(obs.lines, "read")
    run.equal(len(reads), 8, "times the log was read")
    for i, (line, told) in enumerate(reads):
        for _ in range(random.below(300 if i % 3 == 2 else 20) + (800 if i == 7 else 0)):
            log += letters(random, random.below(60)) + "\n"
        want = (random.below(400) if random.below(3) else random.below(18000)) + (17000 if i == 7 else 0)
        m = re.match(r"read (\d+) of (\d+)(.*)", line)
        run.equal(int(m[2]), want, "the size asked for")
        run.equal(m[3], "", f"klog_read into {want} bytes")
        got = hexed(told).decode("latin-1")
        known = min(len(got), len(log))              # before our lines the log has the boot's
        run.equal(got[len(got) - known:], log[len(log) - known:],
                  f"the newest bytes of the log, {want} asked for")
        run.check(len(got) == int(m[1]), "wrong", f"it returned {m[1]} and wrote {len(got)}")
        least, most = min(want, len(log), LOGSZ), min(want, LOGSZ)
        run.check(least <= len(got) <= most, "wrong",
                  f"{len(got)} bytes were read; {want} were asked for and the log has "
                  f"{len(log)} or more, of which the last {LOGSZ} are kept")


# ---------------------------------------------------------------- symbols, backtraces, last words

class Symbols:
    """The functions of the kernel that was run, as the linker knows them."""

    def __init__(self, lab=1):
        out = subprocess.run(["nm", "-n", build.need(build.kernel(lab))], capture_output=True, text=True,
                             check=True).stdout
        self.all = [(int(a, 16), t, n) for a, t,
                    n in (line.split() for line in out.splitlines() if len(line.split()) == 3)]
        self.start, self.end = self["text_start"], self["text_end"]
        self.code = [(a, n) for a, t, n in self.all if t in "tTwW" and self.start <= a < self.end]

    def __getitem__(self, name):
        return next(a for a, _, n in self.all if n == name)

    def names(self, addr):
        """(all names of the function that holds addr, where it starts)"""
        if not self.start <= addr < self.end:
            return [], None
        at = max((a for a, _ in self.code if a <= addr), default=None)
        return [n for a, n in self.code if a == at], at


def addresses(random, symbols):
    """What the observation `symbols` looks up."""
    start, end = symbols.start, symbols.end
    out = [start + random.below(end - start) for _ in range(60)]
    for _ in range(10):
        out += [random.next(), end + random.below(1 << 16), start - 1 - random.below(1 << 16)]
    return out + [start, end - 1, end, start - 1]


def test_symbols(run: Run):
    obs, symbols = run.observe("symbols"), Symbols()
    run.equal([int(line.split()[1], 16) for line in obs.lines], addresses(Random(run.seed), symbols),
              "addresses looked up")
    for line in obs.lines:
        _, addr, name, off = line.split()
        addr = int(addr, 16)
        names, at = symbols.names(addr)
        if not names:
            run.equal(name, "-", f"the function at {addr:#x}, which is not kernel text")
            run.equal(off, "987654321", f"*off for {addr:#x}: untouched")
            continue
        run.check(name in names, "wrong", f"the function at {addr:#x}", f"expected {names[0]}",
                  f"seen     {name}")
        run.equal(int(off), addr - at, f"how far {addr:#x} is into {name}")


def test_symbols_quick(run: Run):
    """A binary search takes about as long wherever the address is; a linear one a thousand times longer at the other end."""
    found = run.observe("symbols_quick").all(r"address (\w+) offset (\d+) cycles (\d+)")
    random, symbols = Random(run.seed), Symbols()
    asked = [symbols.start + random.below(symbols.end - symbols.start) for _ in range(40)]
    run.equal([(int(m[1], 16), int(m[2])) for m in found], [(a, a - symbols.names(a)[1]) for a in asked],
              "addresses looked up, and how far each is into its function")
    cycles = [int(m[3]) for m in found]
    run.check(max(cycles) < 6 * min(cycles), "wrong",
              "some addresses take far longer to find than others: a search that halves does not",
              f"quickest {min(cycles)} cycles", f"slowest  {max(cycles)} cycles")


def traces(run, console):
    """The function names of every backtrace between the lines `trace` and `traced`."""
    out, symbols = [], Symbols()
    code = {n for _, n in symbols.code}
    for text in re.findall(r"^trace\n(.*?)^traced$", console, re.M | re.S):
        names = []
        for line in text.splitlines():
            name = next((w for w in re.findall(r"[A-Za-z_][\w.]*", line) if w in code), None)
            addr = re.search(r"\bffffffff[89a-f]\w{7}\b", line)
            if name:
                names.append(name)
            if name and addr:
                run.check(name in symbols.names(int(addr[0], 16) - 1)[0], "wrong",
                          f"the backtrace names {name} for the return address {addr[0]}",
                          f"expected {symbols.names(int(addr[0], 16) - 1)[0]}")
        out.append(names)
    return out


def base(name):
    """Without what the compiler appends to parts of functions."""
    return name.split(".")[0]


TREES = ["oak", "elm", "ash", "fir"]


def path(random, depth):
    """The trees that wander() passes, innermost first."""
    return [TREES[random.below(4)] for _ in range(depth - 1)][::-1]


def below(name):
    """What is under every observation: this much of the stack is the kernel's own."""
    return [f"observe_{name}_", "observe_run_and_exit", "kmain"]


def test_backtrace(run: Run):
    obs, random = run.observe("backtrace"), Random(run.seed)
    want = []
    for _ in range(3):
        want.append(["backtrace_here"] + path(random, 2 + random.below(12)) + below("backtrace"))
    want.append(["backtrace_here", "yew", "last_call"] + path(random,
                                                              2 + random.below(6)) + below("backtrace"))
    got = traces(run, obs.console)
    run.equal(len(got), len(want), "backtraces")
    for g, w in zip(got, want):
        run.equal([base(n) for n in g][:len(w)], w, "the functions of the backtrace, innermost first")


FLAWS = ["ends in 0", "leads back to the first", "leads to itself", "is not a multiple of 8",
         "leads to user memory",
         "has a return address that is no code", "lies too far up"]


def test_backtrace_frames(run: Run):
    """Chains of frames that go wrong somewhere: the walk must stop there and harm nothing."""
    obs, random = run.observe("backtrace_frames"), Random(run.seed)
    got = traces(run, obs.console)
    run.equal(len(got), 2 * len(FLAWS), "backtraces")
    for i, names in enumerate(got):
        n = 1 + random.below(8)
        want = [TREES[random.below(4)] for _ in range(n + 4)][:n]
        flaw = FLAWS[i % len(FLAWS)]
        if "user" in flaw:
            random.below(2)
        if "no code" in flaw:
            random.below(2)
        run.equal([base(x) for x in names], want,
                  f"the functions of {n} frames of which the last one's link {flaw}"
                  if "no code" not in flaw else f"the functions of {n} frames before one that {flaw}")


def test_panic_report(run: Run):
    obs, random = run.observe("panic_report", ends="panic"), Random(run.seed)
    trees = path(random, 2 + random.below(8))
    steps = 7 + sum({"oak": 1, "elm": 20, "ash": 300, "fir": 4000}[t] for t in trees)
    said = obs.console[obs.console.rfind("panic:"):]
    run.check(re.match(rf"panic: \S*observe_boot\.c:\d+: the wood is {steps} steps deep", said), "wrong",
              "the panic's first line", f"expected the wood is {steps} steps deep",
              f"seen     {said[:100]!r}")
    held = next((line for line in said.splitlines() if "locks held" in line), "")
    run.check("amber" in held and "cobalt" in held and "basalt" not in held, "wrong",
              "the locks held are amber and cobalt",
              f"seen     {held}")
    names = [base(n) for t in traces(run, "trace\n" + said[said.find("backtrace:"):] + "\ntraced\n")
             for n in t]
    names = names[names.index("panic_here"):] if "panic_here" in names else names
    want = ["panic_here"] + trees + below("panic_report")
    run.equal(names[:len(want)], want, "the functions of the panic's backtrace")


# ---------------------------------------------------------------- locks

NLOCK = 6


class LockModel:
    """One CPU's locks: what is held, and the interrupt flag that comes back when nothing is."""

    def __init__(self, on):
        self.held, self.before = set(), on

    def told(self, what, i):
        on = self.before and not self.held
        return f"{what} {i}: held {sum(1 << k for k in self.held):#x}, interrupts {'on' if on else 'off'}".replace("0x0,", "0,")

    def step(self, random, i):
        if i in self.held:
            self.held.remove(i)
            return self.told("unlock", i)
        if i > 0 and not any(k >= i for k in self.held) and random.below(4):
            self.held.add(i)
            return self.told("lock", i)
        if i > 0:
            self.held.add(i)
            return self.told("try yes", i)
        return self.told("try no", i)


def test_lock_play(run: Run):
    """Locks taken, tried and released in any order: who holds what, and when interrupts are on."""
    obs, random, want = run.observe("lock_play"), Random(run.seed), []
    for i in range(8):
        model = LockModel(i % 2 == 0)
        want.append(model.told("start", 0))
        want += [model.step(random, random.below(NLOCK)) for _ in range(25)]
        want += [model.step(random, i) for i in range(NLOCK - 1, 0, -1) if i in model.held]
        want.append(model.step(random, 0))
    run.equal(obs.lines, want, "the play of the locks")


def test_lock_order(run: Run):
    """A lock of the wrong rank is a deadlock that did not happen today: panic names both locks."""
    random = Random(run.seed)
    amber, basalt, cobalt, twin = (letters(random, 8) for _ in range(4))
    rules = {"same": (twin, basalt), "above": (amber, basalt), "earlier": (basalt, cobalt),
             "between": (basalt, twin), "foreign": (cobalt, "")}
    for how in rules:
        obs = run.observe("lock_order", arg=how, ends="panic")
        run.equal(obs.lines, ["start"], f"what is told before the panic ({how})")
        said = obs.console[obs.console.rfind("panic:"):].split("\n")[0]
        wants, holds = rules[how]
        run.check(wants in said and re.search(holds, said), "wrong", "the panic names the locks",
                  f"expected {wants} {'and ' + holds if holds else ''}", f"seen     {said}")


def test_lock_wait(run: Run):
    obs, random, want = run.observe("lock_wait"), Random(run.seed), []
    for _ in range(3):
        want += [f"other CPU lets go after {1 + random.below(2000)} looks", "got it, 0 looks missing",
                 "lock 0: held 0x1, interrupts off", "unlock 0: held 0, interrupts on"]
    run.equal(obs.lines, want, "waiting for a lock that another CPU holds")


# ---------------------------------------------------------------- the terminal

class Terminal:
    """ECMA-48 as far as the kernel's screen knows it."""
    VGA = [0, 4, 2, 6, 1, 5, 3, 7]

    def __init__(self):
        self.cols, self.rows = TEXT_MODE
        self.row = self.col = 0
        self.reset()
        self.cells = [self.empty()] * (self.rows * self.cols)

    def reset(self):
        self.fg, self.bg, self.bright = 7, 0, 0

    def empty(self):
        return self.bg << 12 | 0x0700 | 0x20

    def move(self, row, col):
        self.row, self.col = max(0, min(row, self.rows - 1)), max(0, min(col, self.cols - 1))

    def erase(self, lo, hi):
        self.cells[lo:hi] = [self.empty()] * (hi - lo)

    def text(self, s):
        for ch in s:
            if self.col == self.cols:
                self.col, self.row = 0, self.row + 1
                if self.row == self.rows:
                    self.row -= 1
                    self.cells = self.cells[self.cols:] + [self.empty()] * self.cols
            self.cells[self.row * self.cols + self.col] = self.bg << 12 | (self.fg | self.bright * 8) << 8 | ord(ch)
            self.col += 1

    def colour(self, p):
        if p == 0:
            self.reset()
        elif p == 1:
            self.bright = 1
        elif 30 <= p <= 37:
            self.fg = self.VGA[p - 30]
        elif 40 <= p <= 47:
            self.bg = self.VGA[p - 40]

    def sequence(self, params, final):
        first = params[0] if params else 0
        n, second = first or 1, (params[1] if len(params) > 1 else 0) or 1
        at, line = self.row * self.cols + self.col, self.row * self.cols
        moves = {"A": (self.row - n, self.col), "B": (self.row + n, self.col), "C": (self.row, self.col + n),
                 "D": (self.row, self.col - n), "G": (self.row, n - 1), "d": (n - 1, self.col),
                 "H": (n - 1, second - 1),
                 "f": (n - 1, second - 1)}
        if final in moves:
            self.move(*moves[final])
        elif final == "J":
            self.erase(*((at, len(self.cells)), (0, at + 1), (0, len(self.cells)))[first])
        elif final == "K":
            self.erase(*((at, line + self.cols), (line, at + 1), (line, line + self.cols))[first])
        elif final == "m":
            for p in params or [0]:
                self.colour(p)


def random_sequence(random, kind):
    """As sequence_write() in the kernel draws it: (parameters, final letter)."""
    finals = ["ABCDGdHf", "JKKK", "m"][kind]
    final, params = finals[random.below(len(finals))], []
    if kind == 0 and random.below(4):
        params = [random.below(30) if random.below(8) else random.below(9999)]
    if final in "Hf" and random.below(4):
        params = (params or [0]) + [random.below(60)]
    if kind == 1 and random.below(4):
        params = [random.below(3)]
    if kind == 2:
        params = [30 + random.below(8)]
        if random.below(2):
            params += [40 + random.below(8), 1]
        if random.below(6) == 0:
            params = []
    return params, final


def play(random, kinds):
    """What the screen is after one round."""
    t = Terminal()
    for _ in range(30):
        row, col = random.below(25), random.below(40)
        kind = int(kinds[random.below(len(kinds))])
        t.move(row, col)
        t.text(letters(random, 1 + random.below(20)))
        t.move(row, col + random.below(20))
        t.sequence(*random_sequence(random, kind))
        t.text(letters(random, 0 if kind == 1 else random.below(3)))
    return t


def rows(cells, cols, show):
    return ["".join(show(c) for c in cells[i:i + cols]).rstrip() for i in range(0, len(cells), cols)]


def judge_terminal(run, kinds):
    obs, random = run.observe("terminal", arg=kinds, append="console=tty0"), Random(run.seed)
    at = [i for i, line in enumerate(obs.lines) if line.startswith("cursor")]
    run.equal(len(at), 3, "rounds")
    for begin, end in zip([0] + at, at):
        t, raw = play(random, kinds), hexed(obs.lines[begin:end], "row")
        cells = [int.from_bytes(raw[i:i + 2], "little") for i in range(0, len(raw), 2)]
        for what, show in (("text", lambda c: chr(c & 0x7f)), ("colours", lambda c: f"{c >> 8:02x} ")):
            run.equal(rows(cells, t.cols, show), rows(t.cells, t.cols, show),
                      f"the {what} on the screen, line by line")
        run.equal(obs.lines[end], f"cursor {t.row * t.cols + min(t.col, t.cols - 1)}",
                  "the cursor (row * 80 + column)")


def test_terminal_cursor(run: Run):
    judge_terminal(run, "0")


def test_terminal_erase(run: Run):
    judge_terminal(run, "01")


def test_terminal_colours(run: Run):
    judge_terminal(run, "012")
