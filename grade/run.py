"""What `make grade` and `make test` run: collect, build what the tests need, run them, report.

grade: the judges of the labs (labs/*/test_*.py, and HIDDEN).  test: these and everything under grade/.
Exit status: 0 full points, 1 not, 2 could not be run.
"""

import argparse
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# make hands its command-line variables down in the environment; a make that a test runs elsewhere must not see them.
OURS = ("B", "LAB", "TEST", "JOBS", "JSON", "JUNIT", "GRADESCOPE", "MARKDOWN", "HIDDEN", "SEED", "T", "ROOTFS", "IMG",
        "V",
        "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")


def arguments():
    ap = argparse.ArgumentParser(prog="make grade")
    ap.add_argument("what", choices=["grade", "test", "replay"])
    ap.add_argument("--build", default="build")
    ap.add_argument("--lab", type=int, default=0)
    ap.add_argument("--test", default="")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--seed", default=os.environ.get("SEED", ""))
    for out in ("json", "junit", "gradescope", "markdown"):
        ap.add_argument(f"--{out}", default="")
    ap.add_argument("--hidden", default="")
    ap.add_argument("--gdb", type=int, default=0, help="replay: wait for gdb on this port")
    ap.add_argument("--no-build", action="store_true")
    args = ap.parse_args()
    if args.seed and not args.seed.isdigit():
        ap.error(f"SEED={args.seed}: a number is wanted")
    if args.hidden and not os.path.isdir(args.hidden):
        ap.error(f"HIDDEN={args.hidden}: there is no such folder")
    if args.what == "replay" and not args.test:
        ap.error("T=name: which test?")
    return args


def environment(args):
    # Tests import `grade...`; those of grade/host also each other.
    paths = [ROOT, os.path.join(ROOT, "grade", "host")]
    sys.path[:0] = paths
    sys.dont_write_bytecode = True
    for name in OURS:
        os.environ.pop(name, None)
    os.environ.update(ECLIPSE_BUILD=args.build, PYTHONDONTWRITEBYTECODE="1",
                      PYTHONPATH=os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH", "")])))
    if args.lab:
        os.environ["ECLIPSE_LAB"] = str(args.lab)
    if args.what == "replay":
        os.environ["ECLIPSE_REPLAY"] = "1"
    if args.gdb:
        os.environ["ECLIPSE_GDB"] = str(args.gdb)


def words(args, book, numbers):
    """pytest's command line."""
    argv = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "grade.plugin", "--rootdir", ROOT,
            "-c", os.devnull, "--import-mode=importlib", "-W", "ignore", "--continue-on-collection-errors",
            "--what", args.what, "--jobs", str(max(1, args.jobs))]
    # A tree that has only the first labs is graded on those.
    argv += ["--lab", str(args.lab or max(numbers))]
    argv += ["--only", args.test] if args.test else []
    argv += ["--seed", args.seed] if args.seed else []
    argv += ["--replay", "-s"] if args.what == "replay" else []
    for out in ("json", "junit", "gradescope", "markdown"):
        if getattr(args, out):
            argv += [f"--out-{out}", os.path.abspath(getattr(args, out))]
    if args.hidden:
        argv += ["--out-hidden", os.path.abspath(args.hidden)]
    folders = [f for f in book.folders if book_judges(f)]
    return argv + ([os.path.join(ROOT, "grade")] if args.what == "test" else []) + folders


def book_judges(folder):
    from grade.eclipse import graded
    return graded.judges(folder)


def main():
    args = arguments()
    try:
        import pytest
    except ImportError:
        print("grading needs a python3 with pytest: make setup (Debian package python3-pytest)", file=sys.stderr)
        sys.exit(2)
    environment(args)
    from grade.eclipse import graded, labs, products
    try:
        book = graded.Book(args.lab or None, os.path.abspath(args.hidden) if args.hidden else "")
    except graded.Trouble as e:
        print(f"grade: {e}", file=sys.stderr)
        sys.exit(2)
    if args.what == "test" and not args.no_build:
        products.everything(args.build, args.lab, args.jobs, labs.numbers())
    argv = words(args, book, labs.numbers())
    if args.what == "grade" and argv[-1].startswith("-") or not os.path.exists(argv[-1]):
        print("grade: no lab here has tests", file=sys.stderr)
        sys.exit(2)
    plugin = products.Plugin(args)
    status = int(pytest.main(argv, plugins=[plugin]))
    sys.exit(status if status in (0, 1) else 2)


if __name__ == "__main__":
    main()
