"""What `make grade` and `make test` run: build everything first, then pytest on two cores with our own report.

grade: grade/labs (and HIDDEN). test: everything under grade/. Exit status 0 only with full points.
"""

import argparse
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def products(what, lab, numbers):
    """The goals to build. With -k: a part that does not build fails only the tests that need it."""
    k = f"{{B}}/lab-{lab}" if lab else "{B}"
    goals = [f"{k}/kernel.elf", "{B}/archive.cpio", "{B}/test-archive.cpio", f"{k}/test.img", "host-tests", "tools"]
    goals += [f"{{B}}/lab-{n}/kernel.elf" for n in numbers if not lab or n < lab]
    if what == "test":
        goals += [f"{k}/eclipse.img"]
    return goals


def build(args, numbers):
    make = os.environ.get("MAKE", "make").split()[0]
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    variables = [f"B={args.build}"]
    ok = True
    kernels = [g for g in products(args.what, args.lab, numbers) if "lab-" in g and g.endswith("kernel.elf")]
    rest = [g for g in products(args.what, args.lab, numbers) if g not in kernels]
    lab = [f"LAB={args.lab}"] if args.lab else []
    # One make at a time: kernels of different labs share their objects.
    for goals in [rest] + [[k] for k in kernels]:
        number = goals[0].split("lab-")[1].split("/")[0] if goals != rest else None
        extra = lab if goals == rest else [f"LAB={number}"]
        argv = [make, "-k", f"-j{args.jobs}", "--no-print-directory", *variables, *extra]
        argv += [g.replace("{B}", args.build) for g in goals]
        p = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace")
        if p.returncode:
            ok = False
            print(f"grade: the build of {' '.join(argv[5:])} failed:\n{p.stdout[-6000:]}", flush=True)
    return ok


def main():
    ap = argparse.ArgumentParser(prog="make grade")
    ap.add_argument("what", choices=["grade", "test"])
    ap.add_argument("--build", default="build")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--test", default="")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--json", default="")
    ap.add_argument("--junit", default="")
    ap.add_argument("--hidden", default="")
    ap.add_argument("--no-build", action="store_true")
    args = ap.parse_args()

    try:
        import pytest
    except ImportError:
        sys.exit("grading needs a python3 with pytest: make setup (Debian packages python3-pytest, python3-pytest-xdist)")

    # Tests import `grade...`; those of grade/host also each other.
    paths = [ROOT, os.path.join(ROOT, "grade", "host")]
    sys.path[:0] = paths
    sys.dont_write_bytecode = True
    # make hands its command-line variables down in the environment; a make that a test runs elsewhere must not see them.
    for name in ("B", "LAB", "TEST", "JOBS", "JSON", "JUNIT", "HIDDEN", "ROOTFS", "IMG", "V", "MAKEFLAGS", "MAKELEVEL", "MFLAGS",
                 "MAKEOVERRIDES"):
        os.environ.pop(name, None)
    os.environ.update(ECLIPSE_BUILD=args.build, PYTHONDONTWRITEBYTECODE="1",
                      PYTHONPATH=os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH", "")])))
    if args.lab:
        os.environ["ECLIPSE_LAB"] = str(args.lab)
    from grade.eclipse import labs
    if not args.no_build:
        build(args, labs.numbers())

    folders = ["grade/labs"] if args.what == "grade" else ["grade"]
    argv = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "grade.plugin", "--rootdir", ROOT, "-c", os.devnull,
            "--import-mode=importlib", "-W", "ignore"]
    try:
        import xdist  # noqa: F401
        if args.jobs > 1:
            argv += ["-n", str(args.jobs), "--dist", "loadgroup"]
    except ImportError:
        pass
    # A tree that has only the first labs is graded on those.
    argv += ["--lab", str(args.lab or max(labs.numbers()))]
    if args.test:
        argv += ["--only", args.test]
    if args.json:
        argv += ["--json", os.path.abspath(args.json)]
    if args.junit:
        argv += ["--junitxml", os.path.abspath(args.junit)]
    argv += [os.path.join(ROOT, f) for f in folders]
    if args.hidden:
        argv.append(os.path.abspath(args.hidden))
    sys.exit(pytest.main(argv))


if __name__ == "__main__":
    main()
