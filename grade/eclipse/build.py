"""Where the build's products are. `make grade` and `make test` make them before the first test runs."""

import glob
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("ECLIPSE_BUILD", "build"))
LAB = os.environ.get("ECLIPSE_LAB") or None
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")


# {lab: (what, [(heading, text)])} of kernels that did not build: set by grade/run.py before the first test.
BROKEN = {}


def path(*parts):
    return os.path.join(BUILD, *parts)


def kernel(lab=None):
    """The kernel of labs 1..lab; without a lab the one being graded."""
    lab = lab or LAB
    return path(f"lab-{lab}", "kernel.elf") if lab else path("kernel.elf")


def test_image():
    return path(f"lab-{LAB}", "test.img") if LAB else path("test.img")


def need(name):
    """`name`, which must have been built."""
    assert os.path.exists(name), f"not built: {os.path.relpath(name, ROOT)}"
    return name


def tool(name):
    return need(path("bin", name))


def ovmf():
    for name in ("/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd", "/usr/share/qemu/OVMF.fd",
                 "/opt/homebrew/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-x86_64-code.fd"):
        if os.path.exists(name):
            return name
    raise AssertionError("no UEFI firmware (make doctor)")


def busybox():
    for name in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(name):
            return name
    raise AssertionError("no busybox on this machine (make doctor)")


def copy_sparse(source, target):
    """Copies an image, leaving holes where it is all zeros."""
    zeros = bytes(1 << 20)
    with open(need(source), "rb") as f, open(target, "wb") as g:
        size = 0
        while chunk := f.read(1 << 20):
            if chunk != zeros[:len(chunk)]:
                g.seek(size)
                g.write(chunk)
            size += len(chunk)
        g.truncate(size)
    return target


def make(*goals, build=None, **variables):
    """Runs make; returns (status, output)."""
    def named(path):                             # as `make test` names it: else everything is linked anew, under the others' feet
        return os.path.relpath(path, ROOT) if path.startswith(ROOT + os.sep) else path
    goals, where = [named(g) for g in goals], named(build or BUILD)
    argv = [os.environ.get("MAKE", "make").split()[0], "-C", ROOT, "--no-print-directory", f"B={where}", *goals]
    argv += [f"{k}={v}" for k, v in variables.items()]
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True, errors="replace")
    return p.returncode, p.stdout


def sources(*patterns):
    """Files of the tree that match, as paths from its root."""
    out = []
    for p in patterns:
        out += glob.glob(os.path.join(ROOT, p), recursive=True)
    return sorted(os.path.relpath(f, ROOT) for f in out)


def scratch():
    return tempfile.mkdtemp(prefix="eclipse-")


def have(command):
    return shutil.which(command) is not None
