"""make gradescope: the zip that Gradescope wants of an autograder.

    python3 -m grade.instructor.gradescope FILE.zip [--lab N] [--hidden DIR] [--release DIR]     makes it
    python3 -m grade.instructor.gradescope --run SUBMISSION RESULTS.json --out DIR               is what it runs

Idea.       The zip holds this tree. setup.sh, run once when Gradescope makes its image, installs the
            packages, builds what judges need and prepares a class run. run_autograder, run once per
            submission in a container that is then thrown away, does one unit of that class run. Where the
            container allows no bwrap the room is another uid (box.py).
"""

import argparse
import os
import random
import subprocess
import sys
import zipfile

from grade.instructor import course as courses, unit as units
from grade.instructor.course import ROOT, Course, CourseError, write_json
from grade.instructor.report import hidden_tests, message

SETUP = """#!/bin/sh
# Made by `make gradescope`. Gradescope runs this once, as root, to make its image (Debian 12, Ubuntu 24.04).
set -e
cd /autograder/source/tree
apt-get update
sh lib/host/setup.sh
chmod 700 /autograder/source
[ -d .git ] || {{ git init -q && git add -A -f && git -c user.name=x -c user.email=x@x commit -q -m tree; }}
make judges-need LAB={lab}
mkdir -p /autograder/source/empty/nobody
{box}
make grade-class SUBMISSIONS=/autograder/source/empty OUT=/autograder/source/run LAB={lab}{more}
"""
# Containers mostly allow no namespaces; the image is made where submissions will run, so it is tried here, once.
CHOOSE = """if ! bwrap --ro-bind / / --unshare-pid --unshare-net true 2> /dev/null; then
	echo 'export ECLIPSE_BOX=uid' > /autograder/source/box
	export ECLIPSE_BOX=uid
else
	: > /autograder/source/box
fi"""
RUN = """#!/bin/sh
# Made by `make gradescope`. Gradescope runs this for every submission.
. /autograder/source/box
cd /autograder/source/tree
export PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 -m grade.instructor.gradescope --run /autograder/submission /autograder/results/results.json \\
	--out /autograder/source/run
"""


def tracked():
    """The files of this tree that git knows, as they lie there."""
    p = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    names = [os.fsdecode(n) for n in p.stdout.split(b"\0") if n]
    return [n for n in names if os.path.isfile(os.path.join(ROOT, n))
            and not os.path.islink(os.path.join(ROOT, n))]


def add(z, name, data, mode=0o644):
    info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
    info.external_attr, info.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
    z.writestr(info, data)


def add_folder(z, folder, top):
    for sub, _, names in os.walk(folder):
        for n in sorted(names):
            full = os.path.join(sub, n)
            with open(full, "rb") as f:
                add(z, os.path.join(top, os.path.relpath(full, folder)), f.read())


def make(path, lab, hidden, release):
    """Writes the zip. Gradescope unpacks it to /autograder/source."""
    numbers = courses.lab_numbers()
    if (lab or max(numbers)) not in numbers:
        raise CourseError(f"LAB={lab}: there is no such lab here")
    more = " HIDDEN=/autograder/source/hidden" if hidden else ""
    more += " RELEASE=/autograder/source/release" if release else ""
    with zipfile.ZipFile(path + ".new", "w") as z:
        add(z, "setup.sh", SETUP.format(lab=lab or max(numbers), more=more, box=CHOOSE), 0o755)
        add(z, "run_autograder", RUN, 0o755)
        for name in tracked():
            full = os.path.join(ROOT, name)
            with open(full, "rb") as f:
                add(z, "tree/" + name, f.read(), 0o755 if os.access(full, os.X_OK) else 0o644)
        for folder, top in ((hidden, "hidden"), (release, "release")):
            if folder:
                if not os.path.isdir(folder):
                    raise CourseError(f"{folder}: no such folder")
                add_folder(z, folder, top)
    os.replace(path + ".new", path)


def results(result, hidden):
    """results.json as Gradescope reads it."""
    tests = [{"name": t["name"], "number": str(t.get("lab") or 0), "score": t["points"], "max_score": t["of"],
              "status": "passed" if t["passed"] else "failed", "output": message(t, hidden),
              "output_format": "text",
              "visibility": "visible"} for t in result["tests"]]
    text = "\n".join([result["verdict"], *result["notes"], *filter(None, [result["build_log"]])])
    return {"score": result["score"], "execution_time": round(result["seconds"]["total"]), "output": text,
            "output_format": "text", "visibility": "visible", "tests": tests,
            "extra_data": {"seed": result["seed"], "lab": result["lab"]}}


def run(submission, out, json_path):
    """One submission in a container: the unit of work of the class run that setup.sh prepared."""
    course = Course(out)
    course.seed = random.SystemRandom().randrange(1, 1 << 31)        # students may send again: never the same inputs
    folder, name = os.path.split(os.path.abspath(submission))
    course.settings["submissions"] = folder
    unit = {"id": "submission", "name": "submission", "sent": os.fsencode(only_zip(submission) or name).hex()}
    result = units.do(course, unit)
    os.makedirs(os.path.dirname(os.path.abspath(json_path)), exist_ok=True)
    write_json(json_path, results(result, hidden_tests(course)))
    print(f"{result['score']}/{result['total']}  {result['verdict']}")


def only_zip(folder):
    """Gradescope unpacks what it can; a lone zip or bundle in the folder is the submission itself."""
    names = [n for n in os.listdir(folder) if not n.startswith(".")]
    if len(names) == 1 and names[0].endswith((".zip", ".bundle")):
        return os.path.join(os.path.basename(os.path.abspath(folder)), names[0])
    return None


def main():
    ap = argparse.ArgumentParser(prog="make gradescope")
    ap.add_argument("path", nargs="?", default="")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--hidden", default="")
    ap.add_argument("--release", default="")
    ap.add_argument("--run", nargs=2, metavar=("SUBMISSION", "RESULTS"))
    ap.add_argument("--out", default="")
    args = ap.parse_args()
    try:
        if args.run:
            run(args.run[0], args.out, args.run[1])
            return
        if not args.path:
            sys.exit("make gradescope OUT=file.zip [LAB=N] [HIDDEN=dir]: where should the zip go?")
        make(args.path, args.lab, args.hidden, args.release)
    except CourseError as e:
        sys.exit(f"gradescope: {e}")
    print(f"{args.path}: upload it as the autograder of the assignment; {os.path.getsize(args.path) >> 10} KiB")


if __name__ == "__main__":
    main()
