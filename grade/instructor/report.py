"""What an instructor and the students get to read: gradebook.csv, reports/ID.md and .html, index.html,
similar.html.

Invariants. I1 what came from a student (names, compiler output, what a machine said) is escaped for the
               format it is put in: HTML by jinja2, Markdown by fences that cannot be closed from inside, CSV
               so that no spreadsheet runs it.
            I2 of an instructor's own (hidden) tests a student's report has the name and the points, not the
               text.
"""

import csv
import glob
import os
import re
import shutil
import tomllib

import jinja2

from grade.instructor.course import ROOT

TEXT = 6000                                  # characters of a failure in a report


def per_lab(tests):
    """{lab: (points, of)}; lab 0 are tests that belong to none."""
    out = {}
    for t in tests:
        got, of = out.get(t.get("lab") or 0, (0, 0))
        out[t.get("lab") or 0] = (got + t["points"], of + t["of"])
    return dict(sorted(out.items()))


def public_tests():
    """Names of the tests that every student has, too."""
    names = set()
    for path in glob.glob(os.path.join(glob.escape(ROOT), "labs/*/lab.toml")):
        with open(path, "rb") as f:
            names |= {t["name"] for t in tomllib.load(f).get("test", []) if not t.get("hidden")
                      and not t.get("pool")}
    return names


def hidden_tests(course):
    """Names of the tests that came with HIDDEN, and of those that a release may keep back."""
    return {t["name"] for t in course.tests()["tests"]} - public_tests()


def cell(text):
    """A cell that no spreadsheet takes for a formula."""
    text = str(text)
    return "'" + text if text.startswith(tuple("=+-@\t\r")) and not re.fullmatch(r"-?\d+(\.\d+)?", text) else text


def gradebook(course, results):
    labs = sorted({n for r in results for n in per_lab(r["tests"])})
    names = [t["name"] for t in course.tests()["tests"]]
    with open(course.path("gradebook.csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f)
        w.writerow(["name", "id", "score", "total", *(f"lab {n}" if n else "other" for n in labs), "passed",
                    "failed", "skipped",
                    "seconds", "verdict", "notes", *names])
        for r in results:
            by_lab, points = per_lab(r["tests"]), {t["name"]: t["points"] for t in r["tests"]}
            row = [r["name"], r["id"], r["score"], r["total"], *(by_lab.get(n, (0, 0))[0] for n in labs),
                   r["passed"],
                   r["failed"], r["skipped"], r["seconds"]["total"], r["verdict"], " | ".join(r["notes"]),
                   *(points.get(n, 0) for n in names)]
            w.writerow([cell(c) for c in row])


def message(test, hidden):
    if test["name"] in hidden:
        return "" if test["passed"] else "(one of the instructor's own tests)"
    text = test.get("message") or ""
    return text if len(text) <= TEXT else text[:TEXT] + "\n... (there was more)"


def fenced(text):
    """Text in a fence longer than any run of backquotes in it."""
    longest = max((len(m) for m in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"


def plain(text):
    """Text inside a line of Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!])", r"\\\1", text)


def markdown(course, r, hidden):
    out = [f"# {plain(r['name'])}: {r['score']} of {r['total']} points\n", plain(r["verdict"]) + "\n"]
    if r["notes"]:
        out += ["## About what was sent\n"] + [f"- {plain(n)}" for n in r["notes"]] + [""]
    if r["build_log"]:
        out += ["## The build\n", fenced(r["build_log"])]
    out += ["## Points\n", "| lab | points |", "|---|---|"]
    out += [f"| {n or 'other'} | {got} of {of} |" for n, (got, of) in per_lab(r["tests"]).items()]
    out += ["", "| test | points | |", "|---|---|---|"]
    out += [f"| {plain(t['name'])} | {t['points']} of {t['of']} | {'' if t['passed'] else t.get('class') or 'failed'} |"
            for t in r["tests"]]
    failed = [t for t in r["tests"] if not t["passed"] and t.get("class") != "no-build"]
    if failed and r["changed"]:
        out.append("\n## What failed\n")
        for t in failed:
            out += [f"### {plain(t['name'])}\n", fenced(message(t, hidden))]
    out += [f"\nGraded as labs 1 to {r['lab']} with seed {r['seed']}; files with work in them: "
            + (", ".join(f"`{p}`" for p in r["changed"]) or "none") + "\n"]
    return "\n".join(out)


def difficulty(results):
    """Per test: how many of those that built failed it, and how; the hardest first."""
    rows = {}
    for r in results:
        for t in r["tests"]:
            row = rows.setdefault(t["name"], {"name": t["name"], "lab": t.get("lab") or 0, "of": t["of"],
                                              "passed": 0,
                                              "failed": 0, "kinds": {}})
            row["passed" if t["passed"] else "failed"] += 1
            if not t["passed"]:
                kind = t.get("class") or "failed"
                row["kinds"][kind] = row["kinds"].get(kind, 0) + 1
    for row in rows.values():
        row["share"] = row["failed"] / max(row["failed"] + row["passed"], 1)
        row["kinds"] = ", ".join(f"{k} {n}" for k, n in sorted(row["kinds"].items(), key=lambda i: -i[1]))
    return sorted(rows.values(), key=lambda r: (-r["share"], r["lab"], r["name"]))


def histogram(results, bars=10):
    """How many submissions have so much of the points: [(from %, to %, how many, height %)]."""
    counts = [0] * bars
    for r in results:
        share = r["score"] / r["total"] if r["total"] else 0
        counts[min(int(share * bars), bars - 1)] += 1
    top = max(counts) or 1
    return [(100 * i // bars, 100 * (i + 1) // bars, n, 100 * n // top) for i, n in enumerate(counts)]


def templates():
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.join(os.path.dirname(__file__),
                                                                         "templates")),
                             autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.globals["per_lab"] = per_lab
    return env


def put(path, text):
    with open(path + ".new", "w", encoding="utf-8", errors="backslashreplace") as f:
        f.write(text)
    os.replace(path + ".new", path)


def write(course, results, pairs, seconds):
    """Everything that is read, from the results; nothing of an earlier run stays."""
    env, hidden = templates(), hidden_tests(course)
    folder = course.path("reports")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    gradebook(course, results)
    page = env.get_template("student.html")
    for r in results:
        put(os.path.join(folder, r["id"] + ".md"), markdown(course, r, hidden))
        put(os.path.join(folder, r["id"] + ".html"), page.render(r=r, message=lambda t: message(t, hidden)))
    put(course.path("similar.html"), env.get_template("similar.html").render(pairs=pairs))
    put(course.path("index.html"), env.get_template("index.html").render(
        course=course, results=sorted(results, key=lambda r: (-r["score"], r["name"])),
        bars=histogram(results),
        difficulty=difficulty(results), pairs=pairs, seconds=seconds, baseline=course.tests()))


