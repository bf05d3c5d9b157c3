"""Tries the judges before anybody is judged: the solved tree is the first submission.

Idea.       What the reference does not get points for, no student can. It is built and judged like a submission,
            with the seed of the class and the instructor's own tests; a test that it fails twice is left out of
            everybody's points, and the run says so. That happens when tests of one's own are wrong (HIDDEN), when
            this tree's judges ask for more than an older release can do (RELEASE), or on a machine that is too slow
            or lacks something.
Interface.  left_out(course, number, jobs) -> [{name, why}].
"""

from grade.instructor import course as courses, judge, unit as units
from grade.instructor.course import CourseError


def built(course, release):
    """The kernels of the reference, laid into the tree as handed out."""
    skeleton = course.skeleton()
    found = courses.solutions(course.lab, course.allowed, release)
    build = units.build(course, {p: d for p, d in found.items() if d != skeleton.get(p)}, 0)
    if build.failed and not release:
        raise CourseError(f"the solved tree does not build: {build.says()}\n{build.log[-2000:]}")
    return build


def failures(course, kernels, jobs):
    """{name: record} of the tests that the reference does not pass, twice."""
    bad = {}
    for _ in range(2):
        got = judge.judge(course, kernels, max(kernels), jobs=jobs, test=",".join(bad))
        if got.trouble:
            raise CourseError(f"the solved tree cannot be judged: {got.trouble}\n{got.text[-3000:]}")
        bad = {t["name"]: t for t in got.tests if not t["passed"]}
        if not bad:
            break
    return bad


def left_out(course, number, jobs=1):
    """[{name, why}]: those of the `number` of tests that cannot count, as the reference does not pass them here."""
    release = course.settings["release"]
    build = built(course, release)
    out = []
    if build.kernels:
        out = [{"name": n, "why": t["message"]} for n, t in failures(course, build.kernels, jobs).items()]
    if len(out) == number:
        raise CourseError(f"the judges do not work here: the solved tree passes nothing\n{out[0]['why'][:3000]}")
    if build.failed:
        print(f"RELEASE={release}: this tree's solution does not fit it ({build.says()}): "
              "the tests of these labs could not be tried", flush=True)
    return out
