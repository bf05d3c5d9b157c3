"""What the grader says: a line per test, the score, and the same for programs.

Idea.       Results are printed in the order of the labs, however they come in; on a terminal with colours, and with a
            line below them that says what is running.
Interface.  Reporter.result() for each test, finish() at the end: JSON, JUnit, Gradescope's results.json, Markdown.
"""

import json
import os
import sys
import time
from xml.sax.saxutils import escape, quoteattr

COLOURS = {"passed": "\033[32m", "failed": "\033[31m", "skipped": "\033[33m"}
WORDS = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}


def say(*words, end="\n", flush=False):
    """print, also when nobody reads any more: `make grade | head` still grades, and writes its files."""
    try:
        print(*words, end=end, flush=flush)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")


def number(x):
    return int(x) if x == int(x) else x


class Reporter:
    def __init__(self, config):
        self.config = config
        self.results, self.errors, self.expected = {}, [], []
        self.start = time.monotonic()
        self.shown, self.line, self.last = 0, "", 0.0
        self.tty = sys.stdout.isatty()

    # ---------------------------------------------------------------- pytest's side

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(str(report.longrepr))
            say(f"FAIL  cannot be read: {report.nodeid}\n{report.longrepr}", flush=True)

    def pytest_internalerror(self, excrepr):
        self.errors.append(str(excrepr))
        say(f"FAIL  pytest itself:\n{excrepr}", flush=True)

    def pytest_collection_finish(self, session):
        self.expected = [i.nodeid for i in session.items]
        for note in getattr(self.config.book, "notes", []):
            say(f"note: {note}", flush=True)

    def pytest_sessionfinish(self, session, exitstatus):
        self.finish()
        session.exitstatus = self.status()

    # ---------------------------------------------------------------- results

    def result(self, item, outcome, text, seconds, kind=None, cpu=0.0):
        passed, g = outcome == "passed", item.graded
        first = text.split("\n")[0]
        self.results[item.nodeid] = {
            "name": item.shown, "lab": item.lab, "points": item.points if passed else 0, "of": item.points,
            "passed": passed,
            "class": "" if passed else "skipped" if outcome == "skipped" else kind or "wrong",
            "seconds": round(seconds, 2),
            "cpu": round(cpu, 2), "message": text, "first": first, "outcome": outcome,
            "seed": g.seed if g else None, "section": g.handout() if g else ""}
        self.show_ready()

    def show_ready(self):
        """Prints the results whose turn has come."""
        graded = self.config.getoption("what") != "test"
        while self.shown < len(self.expected):
            if graded:
                node = self.expected[self.shown]
                if node not in self.results:
                    return
            else:
                node = next((n for n, r in self.results.items() if "printed" not in r), None)
                if node is None:
                    return
            self.shown += 1
            self.results[node]["printed"] = True
            self.show(self.results[node])

    def paint(self, text, outcome):
        return f"{COLOURS[outcome]}{text}\033[0m" if self.tty else text

    def show(self, r):
        self.clear()
        points = f"{number(r['points'])}/{number(r['of'])}"
        head = f"{self.paint(WORDS[r['outcome']], r['outcome'])}  {points:>5}  {r['name']}"
        if r["outcome"] == "passed":
            say(f"{head}  ({r['seconds']:.1f} s)", flush=True)
            return
        if r["seed"] is None and r["outcome"] == "failed":
            say(f"{head}  ({r['seconds']:.1f} s)\n      " + r["message"].replace("\n", "\n      "), flush=True)
            return
        say(f"{head}  {r['first']}", flush=True)
        rest = r["message"].partition("\n")[2]
        if rest:
            say("      " + rest.replace("\n", "\n      "), flush=True)

    def progress(self, running):
        if not self.tty or time.monotonic() - self.last < 0.2:
            return
        self.last = time.monotonic()
        score = sum(r["points"] for r in self.results.values())
        text = f"[{len(self.results)}/{len(self.expected)}, {number(score)} points]  " + ", ".join(running)
        self.clear()
        self.line = text[:os.get_terminal_size().columns - 1]
        say(self.line, end="", flush=True)

    def clear(self):
        if self.line:
            say("\r\033[K", end="")
            self.line = ""

    # ---------------------------------------------------------------- the end

    def summary(self):
        rows = list(self.results.values())
        passed = sum(r["passed"] for r in rows)
        skipped = sum(r["outcome"] == "skipped" for r in rows)
        clean = [{k: v for k, v in r.items() if k not in ("printed", "first", "outcome")} for r in rows]
        return {"score": number(sum(r["points"] for r in rows)),
                "total": number(sum(r["of"] for r in rows) + len(self.errors)),
                "passed": passed, "failed": len(rows) - passed - skipped + len(self.errors), "skipped": skipped,
                "tests": clean}

    def status(self):
        """0: full points. 1: not. 2: could not be run."""
        s = self.summary()
        if self.errors or not s["tests"]:
            return 2
        return 0 if len(s["tests"]) == len(self.expected) and s["passed"] == len(s["tests"]) else 1

    def finish(self):
        self.clear()
        for r in self.results.values():      # what was still waiting for its turn
            if "printed" not in r:
                self.show(r)
        s = self.summary()
        for option, write in (("json", self.json), ("junit", self.junit), ("gradescope", self.gradescope),
                              ("markdown", self.markdown)):
            name = self.config.getoption(f"out_{option}")
            if name:
                with open(name, "w") as f:
                    write(f, s)
        say(f"\n{time.monotonic() - self.start:.0f} s")
        bad = [r["name"] for r in self.results.values() if r["outcome"] == "failed"]
        if bad:
            say("failed: " + " ".join(bad))
        self.by_lab()
        say(f"Score: {s['score']}/{s['total']}")
        say(f"{s['passed']} passed, {s['failed']} failed" + (f", {s['skipped']} skipped" if s["skipped"] else ""),
            flush=True)

    def by_lab(self):
        """A line per lab, when several were graded."""
        labs = {}
        for r in self.results.values():
            if r["seed"] is not None:
                got, of = labs.get(r["lab"], (0, 0))
                labs[r["lab"]] = got + r["points"], of + r["of"]
        if len(labs) > 1:
            say("  ".join(f"lab {n}: {number(g)}/{number(o)}" for n, (g, o) in sorted(labs.items())))

    def json(self, f, s):
        json.dump(s, f, indent=1)

    def junit(self, f, s):
        f.write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites>'
                f'<testsuite name="eclipse" tests="{len(s["tests"])}" '
                f'failures="{s["failed"]}" skipped="{s["skipped"]}" time="{time.monotonic() - self.start:.1f}">\n')
        for t in s["tests"]:
            f.write(f'<testcase classname="lab{t["lab"]}" name={quoteattr(t["name"])} time="{t["seconds"]}">')
            if t["class"] == "skipped":
                f.write(f"<skipped message={quoteattr(xml_text(t['message'].split(chr(10))[0]))}/>")
            elif not t["passed"]:
                first = quoteattr(xml_text(t["message"].split("\n")[0]))
                f.write(f"<failure type={quoteattr(t['class'])} message={first}>"
                        f"{escape(xml_text(t['message']))}</failure>")
            f.write("</testcase>\n")
        f.write("</testsuite></testsuites>\n")

    def gradescope(self, f, s):
        """https://gradescope-autograders.readthedocs.io: the format of results.json."""
        tests = [{"name": t["name"], "score": t["points"], "max_score": t["of"], "number": str(t["lab"]),
                  "status": "passed" if t["passed"] else "failed", "output": t["message"], "output_format": "text",
                  "visibility": "visible"} for t in s["tests"]]
        json.dump({"score": s["score"], "execution_time": round(time.monotonic() - self.start), "visibility": "visible",
                   "output": f"{s['passed']} passed, {s['failed']} failed, {s['skipped']} skipped", "tests": tests},
                  f, indent=1)

    def markdown(self, f, s):
        f.write(f"# Score: {s['score']}/{s['total']}\n\n"
                f"{s['passed']} passed, {s['failed']} failed, {s['skipped']} skipped.\n\n")
        f.write("| lab | test | points | |\n|---|---|---|---|\n")
        for t in s["tests"]:
            first = t["message"].split("\n")[0].replace("|", "\\|").replace("<", "&lt;")
            f.write(f"| {t['lab']} | `{t['name']}` | {number(t['points'])}/{number(t['of'])} "
                    f"| {'ok' if t['passed'] else first} |\n")
        for t in s["tests"]:
            if not t["passed"] and t["class"] != "skipped":
                body = t["message"].replace("````", "'''")
                f.write(f"\n## {t['name']}\n\n" + (f"Read {t['section']}.\n\n" if t["section"] else "")
                        + f"````\n{body}\n````\n")


def xml_text(text):
    """Without the characters that XML cannot have."""
    return "".join(c if c in "\n\t" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" else "?" for c in text)
