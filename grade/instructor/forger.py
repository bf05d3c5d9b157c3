"""make forger [LAB=N] [TEST=glob]: which points a kernel gets that plays back what an honest one said under another
seed.

A judge that asks for nothing that depends on its seed, or believes the inputs that the guest tells, can be told
anything.
Every line printed is such a test; `hello` is computed by the forger, as any student could.
"""

import argparse
import os
import sys
import tempfile

from grade.instructor import class_check, classrun, samples, unit
from grade.instructor.course import CourseError


def told(build, lab, test, top):
    """The result of the forger's submission."""
    sent = os.path.join(top, "sent")
    os.makedirs(os.path.join(sent, "forger"))
    course = classrun.prepare(classrun.arguments([sent, os.path.join(top, "out"), "--build", build, "--lab", str(lab),
                                                  "--test", test]))
    maker = samples.Maker(course.skeleton(), course.allowed, lab)
    maker.tape = class_check.tape(build, lab, test)
    if not maker.tape:
        raise CourseError("nothing was recorded: does `make grade` work here?")
    samples.plays_back(maker, os.path.join(sent, "forger"))
    return unit.do(course, course.units[0])


def main():
    ap = argparse.ArgumentParser(prog="make forger")
    ap.add_argument("--build", required=True)
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--test", default="")
    args = ap.parse_args()
    lab = args.lab or max(classrun.courses.lab_numbers())
    with tempfile.TemporaryDirectory(prefix="eclipse-forger-") as top:
        try:
            r = told(args.build, lab, args.test, top)
        except CourseError as e:
            sys.exit(f"forger: {e}")
    for t in r["tests"]:
        if t["passed"]:
            print(f"lab {t['lab']}: {t['name']}: {t['points']} points for what another seed's kernel said")
    print(f"{r['score']} of {r['total']} points; {r['verdict']}")


if __name__ == "__main__":
    main()
