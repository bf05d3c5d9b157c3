"""The build itself: incremental, honest about wrong words, and reading nothing but the lists."""

import os
import re
import shutil
import subprocess

import pytest

from grade.eclipse import build, labs


def quiet_make(*goals, **variables):
    status, out = build.make(*goals, **variables)
    assert status == 0, out
    return out


def test_second_make_does_nothing():
    """Run after the products are there: unchanged inputs build nothing."""
    build.need(build.path("eclipse.img"))
    out = quiet_make("all")
    out = quiet_make("all")
    assert not re.search(r"^\s+(CC|AS|LD|LINK|ROOT|CPIO|IMAGE)\b", out, re.M), out


def test_a_clean_copy_builds_the_first_lab(tmp_path):
    """A copy of the tree without any build output, in parallel."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("GNUmakefile", "Makefile", "labs", "kern", "lib", "fs"):
        source = os.path.join(build.ROOT, name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, copy / name)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(["make", "-j4", "LAB=1", "B=out", "kernel"], cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    assert (copy / "out/lab-1/kernel.elf").exists()
    # A later lab's folder that is not there is a lab not yet reached.
    shutil.rmtree(copy / "labs" / labs.all_labs()[-1].folder)
    p = subprocess.run(["make", "LAB=1", "B=out", "kernel"], cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0, p.stdout
    # A changed flag, a changed list and a changed header each rebuild what depends on them.
    p = subprocess.run(["make", "LAB=1", "B=out", "kernel"], cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "CC" not in p.stdout and "LD" not in p.stdout, p.stdout
    os.utime(copy / "kern/boot/cpu.h")
    p = subprocess.run(["make", "LAB=1", "B=out", "kernel"], cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "kern/boot/cpu.c" in p.stdout and "LD" in p.stdout, p.stdout


@pytest.mark.parametrize("words,complaint", [
    (["LAB=x", "all"], "LAB"), (["BOOT=floppy", "qemu-nox"], "BOOT"), (["DISK=tape", "qemu-nox"], "DISK"),
    (["nosuchgoal"], "nosuchgoal"), (["release"], "DEST"),
])
def test_wrong_words(words, complaint):
    goals = [w for w in words if "=" not in w]
    status, out = build.make(*goals, **dict(w.split("=") for w in words if "=" in w))
    assert status != 0 and complaint in out, out


def test_help_and_doctor():
    out = quiet_make("help")
    for word in ("make setup", "make qemu", "make grade", "make test", "LAB=", "BOOT=", "DISK=", "CPUS="):
        assert word in out
    assert "MISSING" not in quiet_make("doctor")


def test_system_call_table():
    """The generated table names functions that are there."""
    out = quiet_make("syscalls")
    rows = re.findall(r"\| `(\w+)\(\)` in `([\w/.]+)`", out)
    assert len(rows) > 60, f"{len(rows)} calls"
    for fn, name in rows:
        assert re.search(rf"^(?:\w[\w\s\*]*\b)?{fn}\(", open(os.path.join(build.ROOT, name)).read(), re.M), f"{fn} in {name}"


def test_image_has_a_good_table():
    """The partition table as sgdisk sees it, where there is one."""
    with open(build.need(build.path("eclipse.img")), "rb") as f:
        head = f.read(1024)
    assert head[510:512] == b"\x55\xaa" and head[512:520] == b"EFI PART"
    if shutil.which("sgdisk"):
        p = subprocess.run(["sgdisk", "-v", build.path("eclipse.img")], stdout=subprocess.PIPE, text=True)
        assert "No problems found" in p.stdout, p.stdout


def test_no_generated_file_in_the_tree():
    """Everything made is under the build directory: git sees nothing new."""
    p = subprocess.run(["git", "status", "--porcelain", "--ignored"], cwd=build.ROOT, stdout=subprocess.PIPE, text=True)
    stray = [l for l in p.stdout.splitlines() if re.search(r"\.(o|d|elf|img|cpio|pyc|log)$", l)]
    assert not stray, stray


def test_every_function_is_short():
    """Nine functions in ten have at most 40 lines, the median at most 14 (STYLE: a guide, kept by the tree as a whole)."""
    sizes = []
    for f in build.sources("kern/**/*.c", "fs/**/*.c"):
        start = None
        for i, line in enumerate(open(os.path.join(build.ROOT, f)).read().splitlines()):
            if line == "{":
                start = i
            elif line == "}" and start is not None:
                sizes.append(i - start - 1)
                start = None
    sizes.sort()
    assert sizes, "no function found"
    assert sizes[len(sizes) * 9 // 10] <= 40 and sizes[len(sizes) // 2] <= 14, (sizes[len(sizes) // 2], sizes[len(sizes) * 9 // 10])
