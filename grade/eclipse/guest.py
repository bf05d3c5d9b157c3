"""A machine under observation: how a run ends is found out from outside, whatever the kernel says about it.

Idea.       QEMU runs under icount where nothing depends on the host, so that the same seed gives the same run on any
            machine, slow or busy: patience is counted in instructions of the guest. What the guest does last is kept:
            QEMU pauses instead of resetting or switching off, there is no debug-exit port, and a kernel that stands
            still stays as it is. So at the end registers and memory of all CPUs can be read.

                end    the last record of an observation has come
                dead   a CPU halted with interrupts off: a panic, mostly
                off    switched off           reset   a reset or a triple fault
                idle   all CPUs wait, nothing will wake them
                busy   more instructions went by than any correct kernel needs
                flood  too much output        gone    QEMU itself ended        wall  we lost patience: our own trouble

Interface.  with Guest(...) as g: g.watch() returns one of these words; g.cpus(), g.read(), g.walk() look inside.
"""

import calendar
import contextlib
import fcntl
import glob
import json
import os
import re
import select
import shutil
import sys
import tempfile
import time

from grade.eclipse.observe import Records
from grade.eclipse.qemu import GuestError, Machine, cpu_seconds

INSTRUCTIONS = 1_000_000_000          # in a row, without the guest being seen idle
GUEST_SECONDS = 600                   # of guest time without a sign of life
CPU_SECONDS, CPU_REAL = 10, 25        # of QEMU's own time, under icount and without: many times what is usual
QUIET = 1.0                           # host seconds in which QEMU had nothing to do: icount, so nothing will come
QUIET_REAL = 20.0                     # the same where the guest may wait for a disk or a clock of the host's
WALL = 400.0
ANSWER = 60.0                         # host seconds for an answer of QEMU's
OUTPUT = 256 << 10                    # bytes on the console
RECORDS = 2 << 20                     # bytes of records: six times what any judge asks for
EPOCH = "2026-01-01T00:00:00"
CHUNK = 1 << 16
PIPE = 1 << 18
TOGETHER = 0.002                      # host seconds: bytes that come one by one are read many at a time
PAGE = 4096
ADDR = 0x000ffffffffff000

ACPI_TIMER, ACPI_HZ, ACPI_WRAP = 0x608, 3579545, 1 << 24

GDB_PORT = os.environ.get("ECLIPSE_GDB")
REPLAY = os.environ.get("ECLIPSE_REPLAY")         # show what the machine says while it says it


def timing(seed):
    """(shift, slice in microseconds): how fast the guest's clock runs against its instructions, and how often it
    preempts."""
    x = (seed * 0x9e3779b97f4a7c15 + 0x632be59bd9b4e019) & ((1 << 64) - 1)
    x ^= x >> 31
    return 2 + x % 6, (1000, 2000, 3000, 5000, 7000, 10000)[(x >> 8) % 6]


def thread_states(pid):
    """The letters that Linux has for the states of a process's threads, and those of what it started."""
    out = []
    for task in glob.glob(f"/proc/{pid}/task/*"):
        try:
            with open(task + "/stat") as f:
                out.append(f.read().rpartition(")")[2].split()[0])
            with open(task + "/children") as f:
                for child in f.read().split():
                    out += thread_states(child)
        except OSError:
            pass
    return out


def wide_pipe():
    """(ours, theirs). QEMU writes byte by byte: a pipe, unlike a socket, puts them together, and who reads late reads
    much."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.fchmod(theirs, 0o622)                 # QEMU opens it by its name, in a box as somebody else
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE)
    return ours, theirs


class Cpu:
    """One CPU's registers, as QEMU prints them."""

    def __init__(self, number, text):
        self.number, self.text = number, text
        self.reg = {k: int(v, 16) for k, v in re.findall(r"\b(\w+)\s*=([0-9a-f]{16})\b", text)}
        self.reg |= {k: int(v, 16) for k, v in re.findall(r"\b(CR\d)=([0-9a-f]+)", text)}
        m = re.search(r"RFL=([0-9a-f]+)", text)
        self.rflags = int(m[1], 16) if m else 0
        self.rip = self.reg.get("RIP", 0)
        self.halted = "HLT=1" in text
        m = re.search(r"CPL=(\d)", text)
        self.user = bool(m and m[1] == "3")
        self.paging = bool(self.reg.get("CR0", 0) >> 31)
        self.long = bool(re.search(r"EFER=0*[0-9a-f]*[4-7d-f][0-9a-f]{2}\b", text)) and self.paging
        m = re.search(r"IDT=\s+([0-9a-f]+) ([0-9a-f]+)", text)
        self.idt = (int(m[1], 16), int(m[2], 16)) if m else (0, 0)

    @property
    def interrupts(self):
        return bool(self.rflags & 0x200)

    @property
    def dead(self):
        """Halted for ever; a CPU that was never started does not count."""
        return self.halted and not self.interrupts and self.long


class Guest(Machine):
    def __init__(self, seed=1, icount=True, instructions=INSTRUCTIONS, cpu_limit=None, output=OUTPUT,
                 reads_console=True,
                 log=False, extra=(), mem=64, shift=None, screen=True, **words):
        self.seed, self.icount, self.instructions, self.output = seed, icount, instructions, output
        self.cpu_limit = cpu_limit or (CPU_SECONDS if icount else CPU_REAL)
        self.reads_console, self.mem, self.screen = reads_console, mem, screen
        self.shift = timing(seed)[0] if shift is None else shift
        self.said, self.told, self.decoded = bytearray(), bytearray(), ("", 0)
        self.events, self.qmp_buffer = [], b""
        self.answers, self.heard = [], 0         # of QMP; how often something came out
        self.talks = False                       # it just said something: more will follow
        self.dir = tempfile.mkdtemp(prefix="eclipse-guest-")
        self.files = True                        # QEMU can write where we can read
        self.chunks, self.paused, self.end, self.logged = {}, False, None, b""
        self.why_reset = None
        self.channel, theirs = wide_pipe()
        self.log_fd, fds, more = None, [theirs], []
        if log:                                  # exceptions, for the explanation of a triple fault
            self.log_fd, log_theirs = wide_pipe()
            fds.append(log_theirs)
            more += ["-d", "int,cpu_reset", "-D", f"/dev/fd/{log_theirs}"]
        more += ["-chardev", f"file,id=observe,path=/dev/fd/{theirs}", "-device", "isa-debugcon,chardev=observe",
                 "-action", "reboot=shutdown,shutdown=pause"]
        if icount:
            more += ["-icount", f"shift={self.shift},sleep=off", "-rtc", f"base={EPOCH},clock=vm"]
        if GDB_PORT:                             # make replay-gdb: nothing runs until gdb says so; nobody is in a hurry
            more += ["-S", "-gdb", f"tcp:127.0.0.1:{GDB_PORT}"]
            self.instructions = self.cpu_limit = 1 << 60
        super().__init__(extra=[*more, *extra], mem=mem, fds=fds, **words)
        for fd in fds:
            os.close(fd)

    def argv(self, *words):
        argv = Machine.argv(*words)
        at = argv.index("isa-debug-exit,iobase=0xf4,iosize=4")
        argv = argv[:at - 1] + argv[at + 1:]
        if not self.screen:                      # a quarter of a boot is the BIOS looking after it
            argv[argv.index("std")] = "none"
        return argv

    def close(self):
        if not self.closed:
            super().close()
            os.close(self.channel)
            if self.log_fd is not None:
                os.close(self.log_fd)
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---------------------------------------------------------------- what comes out

    @property
    def console(self):
        """What the kernel printed."""
        if self.decoded[1] != len(self.said):
            self.decoded = self.said.decode("utf-8", "replace").replace("\r", ""), len(self.said)
        return self.decoded[0]

    @console.setter
    def console(self, text):
        self.said[:] = text.encode()

    @property
    def observed(self):
        return self.told.decode("latin-1")

    def records(self):
        return Records(self.observed)

    def pump(self, timeout):
        """Reads what there is, waiting up to `timeout` for it. Returns whether anything came; None: QEMU is gone."""
        sources = [self.channel, self.qmp_socket] + ([self.serial] if self.reads_console else [])
        sources += [self.log_fd] if self.log_fd is not None else []
        ready, _, _ = select.select(sources, [], [], timeout)
        if self.talks and ready:
            time.sleep(TOGETHER)
        got = False
        for s in ready:
            try:
                data = os.read(s, PIPE) if isinstance(s, int) else s.recv(1 << 16)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            if s == self.channel:
                self.told += data
                self.show("\033[36m", data)
                got = True
            elif s is self.serial:
                self.said += data
                self.show("", data)
                got = True
            elif s is self.qmp_socket:
                self.qmp_buffer += data
            else:
                self.logged = (self.logged + data)[-200_000:]
        self.answers += self.take_events()
        self.heard += got
        self.talks = got
        return got

    @staticmethod
    def show(colour, data):
        if REPLAY:
            text = data.decode("utf-8", "replace")
            print(f"{colour}{text}\033[0m" if colour and sys.stdout.isatty() else text, end="", flush=True)

    def take_events(self):
        """Moves complete lines of QMP out of the buffer: events are kept, the rest is returned."""
        answers = []
        *lines, self.qmp_buffer = self.qmp_buffer.split(b"\n")
        for line in filter(bytes.strip, lines):
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "QMP" not in answer:
                answers.append(answer)
        return answers

    def qmp(self, command, **arguments):
        if self.qmp_file is None:
            self.qmp_file = True
            self.qmp("qmp_capabilities")
        self.answers = []
        self.qmp_socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        began, used = time.monotonic(), cpu_seconds(self.process.pid) or 0.0
        while self.may_answer(began, used):
            if self.pump(1.0) is None:           # all of it: QEMU answers nobody while its output waits for a reader
                raise self.error(f"QEMU ended during {command}")
            for answer in self.answers:
                if "error" in answer:
                    raise self.error(f"{command}: {answer['error']['desc']}")
                return answer["return"]
        raise self.error(f"QEMU does not answer {command}")

    def may_answer(self, began, used):
        """Is there hope for an answer to what was asked at `began`? A guest that does nothing but read a port keeps
        QEMU's big lock from who answers; on a busy host that can take minutes."""
        waited = time.monotonic() - began
        return waited < ANSWER or waited < WALL and (cpu_seconds(self.process.pid) or 0.0) - used < ANSWER / 3

    # ---------------------------------------------------------------- waiting for the end

    def guest_seconds(self):
        """The guest's clock: whole seconds from its CMOS clock, the rest from the ACPI timer, 24 bits at 3.58 MHz."""
        t = self.qmp("qom-get", path="/machine", property="rtc-time")
        now = calendar.timegm((t["tm_year"] + 1900, t["tm_mon"] + 1, t["tm_mday"], t["tm_hour"], t["tm_min"],
                               t["tm_sec"]))
        now -= calendar.timegm(time.strptime(EPOCH, "%Y-%m-%dT%H:%M:%S"))
        m = re.search(r"= (0x[0-9a-f]+)", self.monitor(f"i /w {ACPI_TIMER:#x}"))
        if not m or int(m[1], 16) > ACPI_WRAP:
            return now
        ticks = int(m[1], 16)
        rounds = round(((now + 0.5) * ACPI_HZ - ticks) / ACPI_WRAP)
        return max(0.0, (rounds * ACPI_WRAP + ticks) / ACPI_HZ)

    def instructions_done(self):
        """How many the guest has carried out, by QEMU's own count. Requires: icount."""
        return self.qmp("query-replay")["icount"]

    def asleep(self):
        """No thread of QEMU runs, wants to, or waits for a page: a guest that seems idle does not merely wait for a
        busy host."""
        return not {"R", "D"} & set(thread_states(self.process.pid))

    def watch(self):
        """Waits for the end of the run, whatever it is; the machine then stands still. Returns which."""
        self.end = self.wait_for_end()
        if self.end not in ("gone",):
            self.freeze()
        return self.end

    def wait_for_end(self):
        self.qmp("query-status")
        state = Watch(self)
        while True:
            got = self.pump(state.patience())
            if re.search(rb"^\d+ (end|unknown [^\n]*)\n\Z", self.told[-200:], re.M):
                return "end"
            if len(self.said) > self.output or len(self.told) > RECORDS:
                return "flood"
            for event in self.events:
                if event["event"] == "SHUTDOWN":
                    self.why_reset = event["data"].get("reason")
                    return "reset" if self.why_reset == "guest-reset" else "off"
            if got is None:
                self._reap()
                return "gone"
            heard = self.heard - bool(got)
            end = state.look() if state.due() else None
            if self.heard != heard:
                state.sign_of_life()
            if end in ("busy", "wall", "gone") or end and self.heard == heard:
                return end

    def freeze(self):
        if not self.paused:
            self.qmp("stop")
            self.paused = True
            self.chunks = {}
            while self.pump(0):
                pass

    def resume_for(self, seconds):
        """Lets a paused guest run on for a moment."""
        self.qmp("cont")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.pump(left) is not None:
            pass
        self.paused = False
        self.freeze()

    # ---------------------------------------------------------------- looking inside

    def cpus(self):
        """The registers of all CPUs."""
        text = self.monitor("info registers -a").replace("\r", "")
        parts = re.split(r"^CPU#(\d+)\n", text, flags=re.M)[1:]
        return [Cpu(int(n), t) for n, t in zip(parts[::2], parts[1::2])] or [Cpu(0, text)]

    def phys(self, addr, n):
        """n bytes of physical memory. Raises LookupError where there is no RAM."""
        out = b""
        while n > 0:
            base = addr & ~(CHUNK - 1)
            if not 0 <= base < self.mem << 20:
                raise LookupError(f"no RAM at {addr:#x}")
            if base not in self.chunks:
                self.chunks[base] = self.chunk(base)
            part = self.chunks[base][addr - base:addr - base + n]
            out, addr, n = out + part, addr + len(part), n - len(part)
        return out

    def chunk(self, base):
        """CHUNK bytes of physical memory: through a file, or as text where QEMU sees no files of ours (in a box)."""
        name = os.path.join(self.dir, "chunk")
        if self.files:
            try:
                self.qmp("pmemsave", val=base, size=CHUNK, filename=name)
                with open(name, "rb") as f:
                    return f.read()
            except (GuestError, OSError):
                self.files = False
        text = self.monitor(f"xp /{CHUNK // 8}xg {base:#x}")
        return b"".join(int(v, 16).to_bytes(8, "little") for v in re.findall(r"\b0x([0-9a-f]{16})\b",
                                                                             text.replace("\r", "")))

    def walk(self, va, cr3=None):
        """The page walk of va: ([(level, address of the entry, entry)], physical address or None)."""
        table = (self.cpus()[0].reg["CR3"] if cr3 is None else cr3) & ADDR
        steps = []
        for level, shift in (("PML4", 39), ("PDPT", 30), ("PD", 21), ("PT", 12)):
            at = table + (va >> shift & 511) * 8
            entry = int.from_bytes(self.phys(at, 8), "little")
            steps.append((level, at, entry))
            if not entry & 1:
                return steps, None
            if shift == 12 or (shift < 39 and entry & 0x80):
                size = 1 << shift
                return steps, (entry & ADDR & ~(size - 1)) | (va & (size - 1))
            table = entry & ADDR
        return steps, None

    def read(self, va, n, cr3=None):
        """n bytes at a virtual address. Raises LookupError where nothing is mapped."""
        out = b""
        cr3 = self.cpus()[0].reg["CR3"] if cr3 is None else cr3
        while n > 0:
            pa = self.walk(va, cr3)[1]
            if pa is None:
                raise LookupError(f"{va:#x} is not mapped")
            part = self.phys(pa, min(n, PAGE - va % PAGE))
            out, va, n = out + part, va + len(part), n - len(part)
        return out

    def number(self, va, size=8, cr3=None):
        return int.from_bytes(self.read(va, size, cr3), "little")

    def string(self, va, most=256, cr3=None):
        out = b""
        while len(out) < most and (c := self.read(va + len(out), 1, cr3)) != b"\0":
            out += c
        return out.decode("latin-1")


class Watch:
    """Is the guest still getting anywhere?"""

    def __init__(self, guest):
        self.g = guest
        self.begin = self.looked = time.monotonic()
        self.life_guest = self.idle_done = 0
        self.asleep_since, self.dead, self.pause = None, 0, 0.05

    def patience(self):
        return self.pause

    def due(self):
        return time.monotonic() - self.looked >= self.pause

    def sign_of_life(self):
        """It has said something. That does not make its work less. Panics talk last: look again soon, a halted guest
        costs QEMU."""
        self.asleep_since, self.dead, self.life_guest, self.pause = None, 0, None, min(self.pause, 0.05)

    def look(self):
        """Returns how the run has ended, or None when it goes on."""
        self.looked, self.pause = time.monotonic(), min(self.pause * 1.5, 0.25)
        if GDB_PORT and self.g.qmp("query-status")["status"] in ("prelaunch", "debug", "paused"):
            return None                      # somebody looks at it under gdb
        if self.busy_real():
            return "busy"
        try:
            cpus = self.g.cpus()
        except (GuestError, OSError):
            self.g._reap()
            return "gone"
        halted = all(c.halted for c in cpus)
        self.dead = self.dead + 1 if any(c.dead for c in cpus) else 0
        # A kernel that is about to switch off stops its other CPUs first: one that still runs is given a second.
        if self.dead >= (2 if halted else 20):
            return "dead"
        if self.dead:
            self.pause = 0.01 if halted else 0.05
        return self.asleep(halted) or (self.busy(halted) if self.g.icount else None)

    def asleep(self, halted):
        now = time.monotonic()
        if not halted or not self.g.asleep():
            self.asleep_since = None
        elif self.asleep_since is None:
            self.asleep_since = now
        elif now - self.asleep_since > (QUIET if self.g.icount else QUIET_REAL):
            return "idle"
        return "wall" if now - self.begin > WALL and not GDB_PORT else None

    def busy(self, halted):
        """By the instructions carried out since the guest was last seen idle. (Not by its clock: that leaps to the next
        timer when all CPUs halt, which is no work.)"""
        done, now = self.g.instructions_done(), self.g.guest_seconds()
        if self.life_guest is None:
            self.life_guest = now
        if halted:
            self.idle_done = done
        if done - self.idle_done > self.g.instructions:
            return "busy"
        row = (self.g.instructions << self.g.shift) / 1e9
        if now - self.life_guest > row + GUEST_SECONDS:
            return "idle" if halted else "busy"
        return None

    def busy_real(self):
        cpu = cpu_seconds(self.g.process.pid)
        return cpu is not None and cpu > self.g.cpu_limit

