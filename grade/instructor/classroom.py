"""make classroom: what a GitHub Classroom assignment needs, to be laid over its template repository.

    python3 -m grade.instructor.classroom DIR [--lab N] [--course URL] [--release DIR]

Idea.       One job: build and grade once (make grade, JSON), then a line per graded test that says its
            points; GitHub Classroom adds them up. With COURSE=url (the repository that `make release` wrote,
            pushed somewhere) the job grades the files with exercises inside a fresh copy of that, so that
            edits of tests or Makefile count for nothing.
Interface.  DIR/.github/workflows/classroom.yml, DIR/.github/classroom/autograding.json and verdict.py.
"""

import argparse
import json
import os
import sys
import tomllib

from grade.instructor import course as courses
from grade.instructor.course import CourseError

VERDICT = '''"""verdict.py NAME: says how a test went in the last `make grade`; exit status 0 when it passed."""
import json
import sys

try:
    with open("verdicts.json") as f:
        tests = {t["name"]: t for t in json.load(f)["tests"]}
except (OSError, ValueError):
    sys.exit("nothing was graded: see the step before")
t = tests.get(sys.argv[1])
if t is None:
    sys.exit(f"{sys.argv[1]}: was not run")
print(t["message"] or "ok")
sys.exit(0 if t["passed"] else 1)
'''
HEAD = """# Made by `make classroom` for labs 1 to {lab}.
name: Autograding Tests
on: [push, workflow_dispatch, repository_dispatch]
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    if: github.actor != 'github-classroom[bot]'
    steps:
      - uses: actions/checkout@v4
{fresh}      - name: Install
        run: cd "$TREE" && make setup
      - name: Grade
        run: cd "$TREE" && make grade LAB={lab} JSON="$GITHUB_WORKSPACE/verdicts.json" || true
"""
OWN = """      - name: Where to grade
        run: echo "TREE=$GITHUB_WORKSPACE" >> "$GITHUB_ENV"
"""
FRESH = """      - name: A fresh tree with the student's files in it
        run: |
          git clone -q -b lab{lab} {course} "$RUNNER_TEMP/tree"
          cat > "$RUNNER_TEMP/files" <<'END'
{files}
          END
          while read -r f; do
            if [ -f "$f" ] && [ ! -L "$f" ]; then cp -- "$f" "$RUNNER_TEMP/tree/$f"; fi
          done < "$RUNNER_TEMP/files"
          echo "TREE=$RUNNER_TEMP/tree" >> "$GITHUB_ENV"
"""
TEST = """      - name: {name}
        id: {name}
        uses: classroom-resources/autograding-command-grader@v1
        with:
          test-name: {name}
          setup-command: ''
          command: python3 {verdict} {name}
          timeout: 1
          max-score: {points}
"""
TAIL = """      - name: Report
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
{env}
        with:
          runners: {runners}
"""


def graded(tree, lab):
    """[(name, points)] of the graded tests of labs 1..lab that students have."""
    out = []
    for path in sorted(p for p in tree if p.endswith("/lab.toml")):
        if courses.number_of(path) <= lab:
            out += [(t["name"], t["points"]) for t in tomllib.loads(tree[path].decode()).get("test", [])
                    if not t.get("hidden")]
    return out


def workflow(lab, tests, files, course):
    """The text of classroom.yml."""
    verdict = ".github/classroom/verdict.py"
    listed = "\n".join("          " + f for f in files)
    fresh = FRESH.format(lab=lab, course=course, files=listed) if course else OWN
    steps = "".join(TEST.format(name=n, points=p, verdict=verdict) for n, p in tests)
    env = "\n".join(f'          {n.upper()}_RESULTS: "${{{{ steps.{n}.outputs.result }}}}"' for n, _ in tests)
    tail = TAIL.format(env=env, runners=",".join(n for n, _ in tests))
    return HEAD.format(lab=lab, fresh=fresh) + steps + tail


def autograding(lab, tests):
    """The same as GitHub Classroom's older autograding.json."""
    out = [{"name": "build and grade", "setup": "make setup",
            "run": f"make grade LAB={lab} JSON=verdicts.json || true",
            "input": "", "output": "", "comparison": "included", "timeout": 60, "points": 0}]
    out += [{"name": n, "setup": "", "run": f"python3 .github/classroom/verdict.py {n}", "input": "",
             "output": "",
             "comparison": "included", "timeout": 1, "points": p} for n, p in tests]
    return {"tests": out}


def make(folder, lab, course, release=""):
    """release: the repository that was handed out, when it lacks tests that are kept back or this tree moved on."""
    numbers = courses.lab_numbers()
    lab = lab or max(numbers)
    if lab not in numbers:
        raise CourseError(f"LAB={lab}: there is no such lab here")
    tree = courses.branch(release, f"lab{lab}") if release else courses.manifests()
    tests = graded(tree, lab)
    os.makedirs(os.path.join(folder, ".github", "workflows"), exist_ok=True)
    os.makedirs(os.path.join(folder, ".github", "classroom"), exist_ok=True)
    texts = {"workflows/classroom.yml": workflow(lab, tests, courses.exercises_in(tree, lab), course),
             "classroom/autograding.json": json.dumps(autograding(lab, tests), indent=2) + "\n",
             "classroom/verdict.py": VERDICT}
    for name, text in texts.items():
        with open(os.path.join(folder, ".github", name), "w") as f:
            f.write(text)
    return lab, tests


def main():
    ap = argparse.ArgumentParser(prog="make classroom")
    ap.add_argument("folder")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--course", default="")
    ap.add_argument("--release", default="")
    args = ap.parse_args()
    if not args.folder:
        sys.exit("make classroom OUT=dir [LAB=N] [COURSE=url] [RELEASE=dir]: where should it go?")
    try:
        lab, tests = make(args.folder, args.lab, args.course, args.release)
    except CourseError as e:
        sys.exit(f"classroom: {e}")
    print(f"{args.folder}/.github: labs 1 to {lab}, {len(tests)} tests, {sum(p for _, p in tests)} points; "
          "commit it to the assignment's template repository")


if __name__ == "__main__":
    main()
