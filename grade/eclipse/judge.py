"""What a graded test is written with.

A graded test has three parts, in three files of its lab:

  1. The guest observes.  kern/<part>/observe_<part>.c, listed near the end of labs/NN-name/files:

         OBSERVE(2, page_pair)
         {
                 struct page *a = page_alloc(PG_KERNEL), *b = page_alloc(PG_KERNEL);

                 observe("a %lx b %lx", page_phys(a), page_phys(b));
         }

     Nothing in there knows what is right: no expected value, no PASS. Input comes from observe_random(),
     observe_below(n) and the kernel words arg=, drawn after the kernel was built.

  2. The host judges.     labs/NN-name/test_<name>.py; the function's name is test_ and the test's name:

         from grade.eclipse.judge import Run
         from grade.eclipse.observe import Random

         def test_page_pair(run: Run):
             "Two pages are two pages."
             obs = run.observe("page_pair")
             a, b = obs.numbers(r"a (\\w+) b (\\w+)", base=16)
             run.check(a != b, "wrong", "two allocations gave the same page", f"both are at {a:#x}")

  3. labs/NN-name/lab.toml says what it is worth:

         [[test]]
         name = "page_pair"            # unique over all labs
         points = 5
         needs = ["ram_spans"]         # if that one fails this one is "skipped: needs ram_spans"
         section = "3. The free lists" # of the handout
         hint = "..."                  # shown when it fails
         hints_by_class = { panic = "...", idle-hang = "..." }    # optional, instead of hint

     and at its top `baseline = N`, the score of a skeleton. An entry without a judge, or a judge without an entry, is
     an error.

The Run, which pytest hands to the test as `run`:

    run.seed, run.name, run.lab           the seed is SEED= or drawn for this run; everything random must come from it
    run.random                            Random(run.seed): draws what observe_random() draws in the guest
    run.observe(name, arg=..., append="more kernel words", cpus=1, mem=64, ends="end", hold=False, ...)
                                          boots the kernel of labs 1..lab; returns an Observation when the run has ended
                                          as it should; else the test fails with a class and an explanation.
                                          ends="panic" (or "off", "reset", "any"): how the run must end instead.
    run.program("cow", args=[...])        boots user/tests/cow as the first process; returns a Program: output, status,
                                          lines
    run.same_as_linux("cow", args=[...])  the same, and the same program on the host: fails at the first difference
    run.script(text, files={...}, disk=)  a shell script as the first process, from the boot archive; returns a Program
    run.disk({"path": b"...", ...}, size="16M")   a disk image: an EclipseFS with these files and our programs
    run.session(disk, text)               a script on a kernel whose root is that disk (lab 8 on), any number of times;
                                          then disk.tree(), disk.fsck()
    run.equal(got, want, "what it is")    fails with expected and seen at the first difference
    run.check(truth, kind, what, *more)   fails unless `truth`
    run.fail(kind, what, *more)           kind: a word of grade/eclipse/failure.py, mostly "wrong"
    run.scratch("name")                   with-block: path of a file that is gone afterwards
    run.truly_parallel                    the same run, but without icount and with 4 CPUs really at once:
                                          run.truly_parallel.observe("lock_storm")

An Observation: lines (the text of each record), all(r"regex") (matches over the lines, in order), numbers(r"regex")
(the groups of the only matching line), console (what the kernel printed), and with hold=True machine: the guest, paused
at its end: obs.symbol("page_array"), obs.read(va, n), obs.number(va, size), obs.phys(pa, n), obs.walk(va),
obs.struct("page", "kern/mem/page.c"). It is closed when the test is over.

Runs are under icount: the same seed gives the same run. With a disk they are not (disks answer when the host does).
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from grade.eclipse import build, explain
from grade.eclipse.failure import Failure
from grade.eclipse.guest import GDB_PORT, REPLAY, Guest, timing
from grade.eclipse.observe import Random
from grade.eclipse.qemu import disk_args
from grade.eclipse.symbols import Layouts, Symbols

CONSOLE_SHOWN = 1500
# What programs print is not drawn on the screen too: that is half of their time.
QUIET_WORDS = "loglevel=3 console=ttyS0"
ENDS = {"end": "end", "panic": "dead", "dead": "dead", "off": "off", "reset": "reset"}


class Observation:
    def __init__(self, guest, kernel):
        self.machine, self.kernel = guest, kernel
        self.lines, self.console, self.raw = guest.records().lines, guest.console, guest.observed
        self.end = guest.end

    def all(self, regex):
        """The matches of `regex` with whole records, in order."""
        return [m for m in (re.fullmatch(regex, line) for line in self.lines) if m]

    def numbers(self, regex, base=10):
        """The groups of the only record that matches, as numbers."""
        found = self.all(regex)
        if len(found) != 1:
            raise Failure("wrong", f"{len(found)} records read {regex!r}; one should",
                          [("records", "\n".join(self.lines[:40]))])
        return [int(g, base) for g in found[0].groups()]

    def symbol(self, name):
        return Symbols.of(self.kernel).address[name]

    def read(self, va, n):
        return self.machine.read(va, n)

    def number(self, va, size=8):
        return self.machine.number(va, size)

    def phys(self, pa, n):
        return self.machine.phys(pa, n)

    def walk(self, va, cr3=None):
        return self.machine.walk(va, cr3)

    def struct(self, name, source):
        """{field: (offset, bytes)}; "" is the whole struct."""
        return Layouts.of(self.kernel).struct(name, source)


class Program:
    """What a first process did: its output, and its exit status as a shell would say it."""

    def __init__(self, output, status, console):
        self.output, self.status, self.console = output, status, console
        self.lines = output.splitlines()


class Disk:
    """An image with an EclipseFS: our programs in /bin and /tests, and the files given. tree() and fsck() look at it
    with the host's tools."""

    def __init__(self, tree, size, folder, programs):
        self.folder = folder
        self.image = os.path.join(folder, "disk.img")
        top = os.path.join(folder, "tree")
        for name in ("dev", "proc", "tmp", "mnt"):
            os.makedirs(os.path.join(top, name))
        self.given = executables() if programs else {}
        for name, host in self.given.items():
            os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
            shutil.copy(host, os.path.join(top, name))
        for name, data in tree.items():
            write_file(os.path.join(top, name), data)
        p = subprocess.run([build.tool("mkfs.eclipsefs"), "-d", top, "-s", size, self.image], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            raise Failure("grader", "no disk could be made", [("mkfs.eclipsefs", p.stdout)])

    def tree(self):
        """{path: bytes} of the files that are on it now, our programs left out; of a symbolic link its text."""
        out, top = {}, tempfile.mkdtemp(dir=self.folder)
        p = subprocess.run([build.tool("eclipsefs"), "extract", "-C", top, self.image], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT,
                           text=True, errors="replace")
        if p.returncode:
            raise Failure("wrong", "the file system on the disk cannot be read", [("eclipsefs extract", p.stdout)])
        for folder, _, names in os.walk(top):
            for name in names:
                full = os.path.join(folder, name)
                path = os.path.relpath(full, top)
                if path in self.given:
                    continue
                if os.path.islink(full):
                    out[path] = os.readlink(full).encode()
                else:
                    with open(full, "rb") as f:
                        out[path] = f.read()
        return out

    def fsck(self):
        """(status, what it said): 0 is a sound file system."""
        p = subprocess.run([build.tool("fsck.eclipsefs"), "-n", self.image], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT,
                           text=True, errors="replace")
        return p.returncode, p.stdout


def write_file(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    os.chmod(path, mode)


def executables():
    """{path in the guest: file on the host} of all programs: /bin and /tests."""
    out = {}
    for folder, where in (("user/strip/bin", "bin"), ("user/strip/tests", "tests")):
        top = build.path(folder)
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else ():
            out[f"{where}/{name}"] = os.path.join(top, name)
    return out


def show(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 400 else text[:400] + f"... ({len(text)} characters)"


def first_difference(got, want):
    """[lines]: expected and seen, at the first place where they differ."""
    if isinstance(got, str) and isinstance(want, str) and ("\n" in got or "\n" in want):
        got, want = got.split("\n"), want.split("\n")
    if isinstance(got, dict) and isinstance(want, dict):
        for key in sorted(set(got) | set(want), key=str):
            if key not in got or key not in want or got[key] != want[key]:
                return [f"at {key!r}:", "expected " + show(want.get(key, "(not there)")),
                        "seen     " + show(got.get(key, "(not there)"))]
    if isinstance(got, (list, tuple)) and isinstance(want, (list, tuple)):
        for i in range(max(len(got), len(want))):
            g, w = (got[i] if i < len(got) else None), (want[i] if i < len(want) else None)
            if g != w or i >= len(got) or i >= len(want):
                before = [f"         {show(want[j])}" for j in range(max(0, i - 2), i)]
                return [f"the first difference is in number {i + 1} of {len(want)}:", *before,
                        "expected " + (show(w) if i < len(want) else "nothing more"),
                        "seen     " + (show(g) if i < len(got) else "nothing more")]
    if isinstance(got, (bytes, bytearray)) and isinstance(want, (bytes, bytearray)):
        at = next((i for i in range(min(len(got), len(want))) if got[i] != want[i]), min(len(got), len(want)))
        return [f"the first difference is at byte {at} (expected {len(want)} bytes, seen {len(got)}):",
                f"expected {bytes(want[at:at + 24])!r}", f"seen     {bytes(got[at:at + 24])!r}"]
    if isinstance(got, int) and isinstance(want, int) and max(abs(got), abs(want)) > 1 << 20:
        return [f"expected {want:#x}", f"seen     {got:#x}"]
    return ["expected " + show(want), "seen     " + show(got)]


def worth_reading(console):
    """Without the list of what this kernel has and lacks, and without the panic's backtrace, which we show with
    lines."""
    text = re.sub(r"^ +(?:has|lacks) +\d+ \w+: .*\n", "", console, flags=re.M)
    return re.sub(r"^ *backtrace:\n(?: +[0-9a-f]{16} .*\n)+", "", text, flags=re.M).strip("\n ")


class Run:
    """One test's run. See the top of this file."""

    def __init__(self, name, lab, seed, icount=True):
        self.name, self.lab, self.seed, self.icount = name, lab, seed, icount
        self.guests, self.folders = [], []

    @property
    def random(self):
        return Random(self.seed)

    @property
    def truly_parallel(self):
        other = Run(self.name, self.lab, self.seed, icount=False)
        other.guests, other.folders = self.guests, self.folders
        return other

    # ---------------------------------------------------------------- verdicts

    def fail(self, kind, what, *more):
        raise Failure(kind, what, [("", "\n".join(str(m) for m in more))] if more else [])

    def check(self, truth, kind, what, *more):
        if not truth:
            self.fail(kind, what, *more)

    def equal(self, got, want, what):
        if got != want:
            self.fail("wrong", what, *first_difference(got, want))

    # ---------------------------------------------------------------- machines

    def boot(self, append, cpus=None, mem=64, icount=None, disk=None, archive=False, **words):
        """A Guest with the kernel of this lab. It is closed when the test ends."""
        icount = self.icount and disk is None if icount is None else icount
        cpus = cpus or (1 if self.icount else 4)
        build_trouble(self.lab)
        # First: what follows `--` is the program's.
        line = ("trace=1 " + (f"slice={timing(self.seed)[1]} " if self.lab >= 4 else "") + append).strip()
        for name in (build.kernel(self.lab), archive):
            if name and not os.path.exists(name):
                self.fail("grader", f"{os.path.relpath(name, build.ROOT)} was not built")
        words.setdefault("screen", "console=tty0" in append)
        guest = Guest(seed=self.seed, icount=icount, cpus=cpus, mem=mem, archive=archive, append=line, writable=True,
                      kernel=build.kernel(self.lab), image=disk.image if disk else None, **words)
        guest.again = lambda **more: self.boot(append, cpus, mem, icount, disk, archive, **{**words, **more})
        guest.program = None
        if REPLAY:
            print(f"--- labs 1-{self.lab}, SEED={self.seed}" + (f", icount shift {guest.shift}" if icount else "")
                  + f": {line}", flush=True)
        if GDB_PORT:
            print(f"the machine waits for gdb: run 'make gdb LAB={self.lab}' in another window", flush=True)
        self.guests.append(guest)
        return guest

    def observe(self, name, arg=None, append="", cpus=None, mem=64, ends="end", hold=False, archive=None, **words):
        """See the top of this file. More words: instructions= (the budget), shift= (a guest clock that
        does not depend on the seed, for who measures time), output=, extra=, reads_console=, disk=."""
        line = f"observe={name} seed={self.seed}" + (f" arg={arg}" if arg is not None else "")
        line += f" {append}" if append else ""
        archive = archive if archive is not None else (build.path("test-archive.cpio") if self.lab >= 4 else False)
        g = self.boot(line, cpus, mem, archive=archive, **words)
        self.expect_end(g, g.watch(), ends)
        records = g.records()
        if records.unknown is not None:
            self.fail("grader", f"the kernel of lab {self.lab} has no observation called {records.unknown}")
        if records.trouble:
            raise self.with_console(Failure("wrong", "the observations are garbled: " + records.trouble), g)
        obs = Observation(g, build.kernel(self.lab))
        if not hold:
            g.close()
        return obs

    def expect_end(self, g, end, ends):
        """Fails, and explains, unless the run ended as it must."""
        if ends == "any" or end == ENDS.get(ends, ends):
            if ends == "panic" and not explain.panicked(g, build.kernel(self.lab)):
                raise self.with_console(explain.failure(g, build.kernel(self.lab), self.lab), g)
            return
        raise self.with_console(explain.failure(g, build.kernel(self.lab), self.lab, wanted=ends), g)

    def with_console(self, failure, g):
        if g.end:
            failure.add("end of the console", worth_reading(g.console)[-CONSOLE_SHOWN:])
        return failure

    # ---------------------------------------------------------------- programs

    def program(self, name, args=(), cpus=None, mem=128, append="", **words):
        """The program as the first process, from the boot archive; /tests/NAME unless a path is given."""
        path = name if name.startswith("/") else f"/tests/{name}"
        line = f"{QUIET_WORDS} {append} init={path}" + (" -- " + " ".join(args) if args else "")
        g = self.boot(line, cpus, mem, archive=words.pop("archive", None) or build.path("test-archive.cpio"), **words)
        g.program = path
        return self.finish(g)

    def finish(self, g):
        """Waits until the first process is gone and the machine is off."""
        end = g.watch()
        self.expect_end(g, end, "off")
        m = re.search(r"init (?:exited with status|was killed by signal) (\d+): powering off\n?\Z", g.console)
        if not m:
            f = Failure("wrong", "the machine went off without saying how its first process ended")
            raise self.with_console(f, g)
        status = int(m[1]) + (128 if "killed" in m[0] else 0)
        g.close()
        return Program(g.console[:m.start()], status, g.console)

    def linux(self, name, args=()):
        """The same program on this machine's Linux."""
        path = build.path("host/tests", name)
        if not os.path.exists(path):
            self.fail("grader", f"user/tests/{name}.c was not built for the host")
        with tempfile.TemporaryDirectory(prefix="eclipse-") as cwd:
            p = subprocess.run([path, *args], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT,
                               timeout=120)
        text = p.stdout.decode("utf-8", "replace").replace("\r", "")
        return Program(text, p.returncode if p.returncode >= 0 else 128 - p.returncode, text)

    def same_as_linux(self, name, args=(), **words):
        """Output and status must be those of the program on Linux. Returns the Program of Eclipse."""
        want, got = self.linux(name, args), self.program(name, args, **words)
        line = " ".join([name, *args])
        if got.output != want.output:
            self.fail("wrong", f"`{line}` does not print what it prints on Linux",
                      *first_difference(got.output, want.output))
        if got.status != want.status:
            self.fail("wrong", f"`{line}` ended with status {got.status}, on Linux with {want.status}")
        return got

    # ---------------------------------------------------------------- scripts and disks

    def archive(self, files):
        """A boot archive with all our programs and these files: {path: bytes}."""
        folder = self.folder()
        named = executables()
        for i, (name, data) in enumerate(files.items()):
            path = os.path.join(folder, str(i))
            write_file(path, data, 0o755 if name.startswith("bin/") else 0o644)
            named[name.lstrip("/")] = path
        out = os.path.join(folder, "archive.cpio")
        subprocess.run([sys.executable, os.path.join(build.ROOT, "lib/host/mkcpio.py"), out,
                        *[f"/{name}={path}" for name, path in named.items()]], check=True)
        return out

    def script(self, text, files=None, disk=None, cpus=None, mem=128, append="", **words):
        """/bin/sh runs the script as the first process. It comes with the boot archive, and so do `files`."""
        archive = self.archive({**(files or {}), "judge.sh": text})
        root = "root=none" if self.lab >= 6 else ""
        g = self.boot(f"{QUIET_WORDS} {root} {append} init=/bin/sh -- /judge.sh", cpus, mem, disk=disk,
                      archive=archive, **words)
        g.program = "/bin/sh"
        return self.finish(g)

    def disk(self, tree=None, size="32M", programs=True):
        """An image with a file system that holds these files, and our programs."""
        return Disk(tree or {}, size, self.folder(), programs)

    def session(self, disk, text, cpus=None, mem=128, append="", extra=(), **words):
        """/bin/sh runs the script as the first process, with the disk as root. The script is on a second disk, padded
        with empty lines: any number of sessions can follow each other."""
        data = text.encode() + b"\n"
        path = os.path.join(self.folder(), "script")
        write_file(path, data + b"\n" * (-len(data) % 4096))
        g = self.boot(f"{QUIET_WORDS} root=/dev/vda {append} init=/bin/sh -- /dev/vdb", cpus, mem, disk=disk,
                      archive=False,
                      extra=[*disk_args("virtio", path, False, "script", boot=False), *extra], **words)
        g.program = "/bin/sh"
        return self.finish(g)

    # ---------------------------------------------------------------- things to clean up

    def folder(self):
        self.folders.append(tempfile.mkdtemp(prefix="eclipse-run-"))
        return self.folders[-1]

    @contextlib.contextmanager
    def scratch(self, name):
        yield os.path.join(self.folder(), name)

    def close(self):
        for g in self.guests:
            g.close()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def build_trouble(lab):
    """Fails the test when the kernel it needs does not build."""
    text = build.BROKEN.get(lab)
    if text:
        raise Failure("no-build", *text)


@pytest.fixture
def run(request):
    test = request.node.graded
    r = Run(test.name, test.lab, test.seed)
    yield r
    r.close()
