"""The pytest plugin of `make grade` and `make test`: points per test, a line per test, the score at the end.

A test says what it is worth and what it needs by marks: @pytest.mark.points(n) (1 otherwise), @pytest.mark.lab(n) (0: none).
There is no skipping: a test whose lab is being graded passes or fails.
"""

import fnmatch
import json
import os
import re
import time

import pytest


def pytest_addoption(parser):
    group = parser.getgroup("eclipse")
    group.addoption("--lab", type=int, default=0, help="only tests of labs 1..N")
    group.addoption("--only", default="", help="only tests whose name matches this glob")
    group.addoption("--json", default="")
    # Options of pytest's own reporter, which we replace: the rest of pytest asks for them.
    group.addoption("--verbose", dest="verbose", type=int, default=0)
    group.addoption("--showlocals", dest="showlocals", action="store_true")
    group.addoption("--tb", dest="tbstyle", default="short")


def pytest_configure(config):
    config.addinivalue_line("markers", "points(n): what the test is worth")
    config.addinivalue_line("markers", "lab(n): the lab that must be there")
    config.addinivalue_line("markers", "cost(n): how long it takes, roughly, in seconds")
    config.addinivalue_line("markers", "xdist_group(name): tests that share one boot run in one worker")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(config), "eclipse-reporter")


def mark(item, name, default):
    # A parameter's mark wins over the function's and the module's: the closest comes first.
    m = item.get_closest_marker(name)
    return m.args[0] if m else default


def short(nodeid):
    """labs/test_ktest.py::test_x[1-4] becomes test_ktest.x[1-4]"""
    path, _, name = re.sub(r"@[\w-]+$", "", nodeid).partition("::")
    return os.path.basename(path)[:-3].removeprefix("test_") + "." + name.removeprefix("test_")


def pytest_collection_modifyitems(config, items):
    lab, only = config.getoption("lab"), config.getoption("only")
    keep, drop = [], []
    for item in items:
        # In a tree of the first labs a test may have nothing to be run for: pytest makes it one that skips.
        empty = any("empty parameter set" in m.kwargs.get("reason", "") for m in item.iter_markers("skip"))
        right_lab = not empty and (not lab or mark(item, "lab", 0) <= lab)
        wanted = not only or fnmatch.fnmatchcase(short(item.nodeid), only) or fnmatch.fnmatchcase(item.nodeid, only) \
            or only in short(item.nodeid)
        (keep if right_lab and wanted else drop).append(item)
        item.user_properties.append(("points", mark(item, "points", 1)))
        item.user_properties.append(("lab", mark(item, "lab", 0)))
    # Long ones first, so that two workers end together.
    keep.sort(key=lambda item: -mark(item, "cost", 1))
    items[:] = keep
    if drop:
        config.hook.pytest_deselected(items=drop)


class Reporter:
    def __init__(self, config):
        self.config = config
        self.results = {}
        self.errors = []
        self.start = time.monotonic()

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(str(report.longrepr))
            print(f"FAIL  cannot be read: {report.nodeid}\n{report.longrepr}", flush=True)

    def pytest_internalerror(self, excrepr):
        self.errors.append(str(excrepr))
        print(f"FAIL  pytest itself:\n{excrepr}", flush=True)

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.passed:
            return
        if report.when == "teardown" and report.nodeid in self.results and not self.results[report.nodeid]["passed"]:
            return
        props = dict(report.user_properties)
        points = props.get("points", 1)
        name = short(report.nodeid)
        passed = report.passed
        text = "" if passed else str(report.longrepr)
        self.results[report.nodeid] = {"name": name, "lab": props.get("lab", 0), "points": points if passed else 0,
                                       "of": points, "passed": passed, "seconds": round(report.duration, 2),
                                       "message": text}
        got = points if passed else 0
        print(f"{'ok  ' if passed else 'FAIL'}  {got}/{points}  {name}  ({report.duration:.1f} s)", flush=True)
        if not passed:
            print("      " + text.replace("\n", "\n      "), flush=True)

    def pytest_sessionfinish(self, session, exitstatus):
        passed = sum(r["passed"] for r in self.results.values())
        failed = len(self.results) - passed + len(self.errors)
        score = sum(r["points"] for r in self.results.values())
        total = sum(r["of"] for r in self.results.values()) + len(self.errors)
        out = self.config.getoption("json")
        if out:
            with open(out, "w") as f:
                json.dump({"score": score, "total": total, "passed": passed, "failed": failed,
                           "tests": list(self.results.values())}, f, indent=1)
        print(f"\n{time.monotonic() - self.start:.0f} s")
        if failed:
            print("failed: " + " ".join(r["name"] for r in self.results.values() if not r["passed"]))
        print(f"Score: {score}/{total}")
        print(f"{passed} passed, {failed} failed", flush=True)
        session.exitstatus = 0 if passed and not failed else 1


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    # A skipped test would be a test that cannot fail.
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped: {report.longrepr}"
