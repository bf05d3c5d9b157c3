"""The pytest plugin of `make grade` and `make test`: who runs when, points, a line per test, the score at the end.

Idea.       pytest collects; then each test runs in a process of its own, forked from the one that has collected
            everything, so that nothing is imported twice and no test can spoil another. A test starts when those that
            it needs have passed. If one of them has not, it is not run: "skipped: needs page_alloc" - one missing
            foundation is one red line. A lab's tests (labs/NN-name/test_*.py) have their points in lab.toml; other
            tests say what they are worth by marks: @pytest.mark.points(n) (1 otherwise), lab(n) (0: none), cost(n)
            (seconds, roughly: long ones first), xdist_group(name) (tests of one group share a process, and so do tests
            that share a fixture of their module).
Invariants. I1 every test that was chosen has one result, also when its process dies or does not end.
            I2 skipping is for missing foundations only: whatever else pytest calls skipped has failed.
"""

import fnmatch
import json
import os
import re
import resource
import selectors
import signal
import sys
import time

import pytest

from grade.eclipse import build, graded, judge, report
from grade.eclipse.failure import Failure
from grade.eclipse.guest import GDB_PORT
from grade.eclipse.qemu import GuestError

TEST_WALL = 900                       # seconds; a test that has not ended then never will


def pytest_addoption(parser):
    group = parser.getgroup("eclipse")
    group.addoption("--lab", type=int, default=0, help="only tests of labs 1..N")
    group.addoption("--only", default="", help="only tests whose name matches this glob")
    for name in ("json", "junit", "gradescope", "markdown", "hidden"):
        group.addoption(f"--out-{name}", default="")
    group.addoption("--jobs", type=int, default=1)
    group.addoption("--seed", type=int, default=None)
    group.addoption("--what", default="test")
    group.addoption("--replay", action="store_true")
    # Options of pytest's own reporter, which we replace: the rest of pytest asks for them.
    group.addoption("--verbose", dest="verbose", type=int, default=0)
    group.addoption("--showlocals", dest="showlocals", action="store_true")
    group.addoption("--tb", dest="tbstyle", default="short")


def pytest_configure(config):
    config.addinivalue_line("markers", "points(n): what the test is worth")
    config.addinivalue_line("markers", "lab(n): the lab that must be there")
    config.addinivalue_line("markers", "cost(n): how long it takes, roughly, in seconds")
    config.addinivalue_line("markers", "xdist_group(name): tests that share one boot run in one process")
    config.book = graded.Book(config.getoption("lab") or None, config.getoption("out_hidden"))
    config.eclipse = report.Reporter(config)
    config.pluginmanager.register(config.eclipse, "eclipse-reporter")
    config.pluginmanager.register(judge, "eclipse-judge")


def mark(item, name, default):
    # A parameter's mark wins over the function's and the module's: the closest comes first.
    m = item.get_closest_marker(name)
    return m.args[0] if m else default


def short(nodeid):
    """labs/test_ktest.py::test_x[1-4] becomes test_ktest.x[1-4]"""
    path, _, name = nodeid.partition("::")
    return os.path.basename(path)[:-3].removeprefix("test_") + "." + name.removeprefix("test_")


def wanted(item, only):
    """Does the glob, or one of several with commas between them, mean this test? lab3: the judges of lab 3."""
    return any(wanted_by(item, glob) for glob in only.split(",") if glob)


def wanted_by(item, only):
    if item.graded and only in (f"lab{item.graded.lab}", item.shown):
        return True
    if re.fullmatch(r"lab\d+", only):
        return False
    return any(fnmatch.fnmatchcase(n, only) for n in (item.shown, short(item.nodeid), item.nodeid)) \
        or only in short(item.nodeid) and not item.graded


def seed_of(config):
    """Each test draws its own, unless one was given."""
    given = config.getoption("seed")
    return given if given is not None else int.from_bytes(os.urandom(4), "little") or 1


def pytest_collection_modifyitems(config, items):
    lab, only = config.getoption("lab"), config.getoption("only")
    book, keep, drop, judged = config.book, [], [], set()
    for place, item in enumerate(items):
        item.graded = book.of(str(item.path), item.originalname if hasattr(item, "originalname") else item.name)
        item.shown = item.graded.name if item.graded else short(item.nodeid)
        if item.graded:
            g = item.graded
            judged.add(g.name)
            if not g.entered:
                g.points, g.lab = mark(item, "points", 1), mark(item, "lab", g.lab)
            g.seed = seed_of(config)
        item.points = item.graded.points if item.graded else mark(item, "points", 1)
        item.lab = item.graded.lab if item.graded else mark(item, "lab", 0)
        # In a tree of the first labs a test may have nothing to be run for: pytest makes it one that skips.
        empty = any("empty parameter set" in m.kwargs.get("reason", "") for m in item.iter_markers("skip"))
        right_lab = not empty and (not lab or item.lab <= lab)
        (keep if right_lab and (not only or wanted(item, only)) else drop).append(item)
    try:
        book.check(judged)
    except graded.Trouble as e:
        raise pytest.UsageError(str(e)) from None
    order = {name: i for i, name in enumerate(book.tests)}
    keep.sort(key=lambda i: (0, i.lab, order.get(i.shown, 1 << 30)) if i.graded else (1, -mark(i, "cost", 1), 0))
    items[:] = keep
    if drop:
        config.hook.pytest_deselected(items=drop)


# ---------------------------------------------------------------- who runs when

class Unit:
    """Tests that run one after the other in one process."""

    def __init__(self, items):
        self.items = items
        self.needs = set(items[0].graded.needs) if items[0].graded else set()
        self.left = list(items)              # no result yet
        self.again = False                   # it has had its second chance
        self.buffer = b""


def unit_key(item):
    m = item.get_closest_marker("xdist_group")
    if m:
        return "group " + str(m.kwargs.get("name") or m.args[0])
    defs = getattr(item, "_fixtureinfo", None)
    for found in (defs.name2fixturedefs.values() if defs else ()):
        if found[-1].scope == "module" and not item.graded:
            return item.location[0]
    return item.nodeid


def units_of(items):
    out = {}
    for item in items:
        out.setdefault(unit_key(item), []).append(item)
    return [Unit(members) for members in out.values()]


class Pool:
    """Up to `jobs` processes at once; self.state: {name of a graded test: passed, failed, skipped}."""

    def __init__(self, session, jobs):
        self.session, self.config, self.jobs = session, session.config, jobs
        self.reporter = session.config.eclipse
        self.state, self.running = {}, {}
        self.selector = selectors.DefaultSelector()
        self.waiting = units_of(session.items)
        self.chosen = {i.graded.name for i in session.items if i.graded}

    def run(self):
        try:
            while self.waiting or self.running:
                self.start_some()
                self.reporter.progress([i.shown for u in self.running.values() for i in u.left[:1]])
                for key, _ in self.selector.select(0.5):
                    self.read(key.fd)
                for fd, unit in list(self.running.items()):
                    if time.monotonic() - unit.began > TEST_WALL * max(1, len(unit.items)):
                        os.kill(unit.pid, signal.SIGKILL)
        finally:
            for unit in self.running.values():
                os.kill(unit.pid, signal.SIGKILL)
                os.waitpid(unit.pid, 0)

    def missing(self, unit):
        """What it needs and will not get: (names, still to be waited for)."""
        needs = unit.needs & self.chosen
        gone = [n for n in unit.needs if self.state.get(n) in ("failed", "skipped")]
        return gone, any(n not in self.state for n in needs)

    def start_some(self):
        progress = True
        while progress:
            progress = False
            for unit in list(self.waiting):
                gone, wait = self.missing(unit)
                broken = unit.items[0].graded and build.BROKEN.get(unit.items[0].lab)
                if gone:
                    self.skip(unit, "needs " + ", ".join(sorted(gone)))
                    progress = True
                elif broken and f"kernel {unit.items[0].lab}" in self.state:
                    self.skip(unit, f"needs a kernel of lab {unit.items[0].lab} that builds")
                    progress = True
                elif not wait and len(self.running) < self.jobs:
                    if broken:
                        self.state[f"kernel {unit.items[0].lab}"] = "failed"
                    self.start(unit)
        # A ring of needs would wait for ever.
        if self.waiting and not self.running:
            unit = self.waiting[0]
            self.skip(unit, "needs a test that needs it: " + ", ".join(sorted(unit.needs)))

    def skip(self, unit, why):
        self.waiting.remove(unit)
        for item in unit.items:
            if item.graded:
                self.state[item.graded.name] = "skipped"
            self.reporter.result(item, "skipped", f"skipped: {why}", 0.0)

    def start(self, unit):
        self.waiting.remove(unit)
        ours, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        unit.began, unit.pid = time.monotonic(), os.fork()
        if unit.pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.close(ours)
                child(self.session, unit, theirs)
                status = 0
            finally:
                os._exit(status)
        os.close(theirs)
        self.running[ours] = unit
        self.selector.register(ours, selectors.EVENT_READ)

    def read(self, fd):
        unit = self.running[fd]
        data = os.read(fd, 1 << 16)
        unit.buffer += data
        *lines, unit.buffer = unit.buffer.split(b"\n")
        for line in lines:
            self.take(unit, json.loads(line))
        if data:
            return
        self.selector.unregister(fd)
        os.close(fd)
        del self.running[fd]
        _, status = os.waitpid(unit.pid, 0)
        for item in list(unit.left):         # I1
            late = time.monotonic() - unit.began > TEST_WALL
            why = "did not end" if late else f"died (status {os.waitstatus_to_exitcode(status)})"
            self.take(unit, {"at": unit.items.index(item), "outcome": "failed", "kind": "grader",
                             "text": f"grader: the process of the test {why}",
                             "seconds": time.monotonic() - unit.began})

    def take(self, unit, r):
        item = unit.items[r["at"]]
        unit.left.remove(item)
        if r.get("kind") == "grader" and item.graded and not unit.again and not GDB_PORT:
            retry = Unit([item])             # our own trouble, and only that, is no reason to fail somebody
            retry.again = True
            self.waiting.insert(0, retry)
            return
        if item.graded and (item.graded.name not in self.state or r["outcome"] != "passed"):
            self.state[item.graded.name] = r["outcome"]
        self.reporter.result(item, r["outcome"], r["text"], r["seconds"], r.get("kind"), r.get("cpu", 0.0))


def processor_seconds():
    """What this process and those it has waited for have used."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def child(session, unit, fd):
    """Runs the tests and sends a line about each."""
    from _pytest.runner import runtestprotocol
    sys.stdin = open(os.devnull)
    for at, item in enumerate(unit.items):
        following = unit.items[at + 1] if at + 1 < len(unit.items) else None
        item.outcome = None
        before = processor_seconds()
        reports = runtestprotocol(item, log=False, nextitem=following)
        bad = next((r for r in reports if not r.passed), None)
        seconds = sum(r.duration for r in reports)
        answer = {"at": at, "outcome": "failed" if bad else "passed", "text": str(bad.longrepr) if bad else "",
                  "seconds": seconds, "cpu": processor_seconds() - before, "kind": getattr(bad, "kind", None)}
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(fd, data):]


def pytest_runtestloop(session):
    if session.testsfailed and not session.config.option.continue_on_collection_errors:
        raise session.Interrupted("collection failed")
    prepare = getattr(session.config, "eclipse_prepare", None)
    if prepare:
        prepare([i for i in session.items if i.graded])
    Pool(session, session.config.getoption("jobs")).run()
    return True


# ---------------------------------------------------------------- what a failure says

def advice(item, kind):
    """Hint, place in the handout, and the commands that repeat the run."""
    g, rows = item.graded, []
    if kind not in ("no-build", "grader"):
        hint = g.hint_for(kind)
        rows += [f"hint: {hint}"] if hint else []
    if g.handout():
        rows.append(f"read: {g.handout()}")
    if kind != "no-build":
        rows.append(f"repeat this run:   make replay T={g.name} SEED={g.seed}")
        rows.append(f"under gdb:         make replay-gdb T={g.name} SEED={g.seed}")
    return "\n".join(rows)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    r = outcome.get_result()
    if r.skipped:                            # a skipped test would be a test that cannot fail
        r.outcome = "failed"
        r.longrepr = f"skipped: {r.longrepr}"
    if not r.failed:
        return
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, Failure):
        r.kind, r.longrepr = error.kind, error.text()
    elif item.graded and isinstance(error, AssertionError) and not isinstance(error, GuestError):
        r.kind = "wrong"
        r.longrepr = f"wrong: {error}" if str(error) else f"wrong: {r.longrepr}"
    elif item.graded:
        r.kind, r.longrepr = "grader", f"grader: the judge itself failed: {error!r}\n{r.longrepr}"
    else:
        r.kind = "wrong" if isinstance(error, (AssertionError, GuestError)) else None
        return
    if item.graded:
        r.longrepr = f"{r.longrepr}\n{advice(item, r.kind)}".rstrip()
