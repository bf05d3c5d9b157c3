"""gdb, driven as `make gdb` drives it: a kernel function, a program's main, processes, page table."""

import os
import shutil
import socket
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import Machine

pytestmark = pytest.mark.lab(11)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def gdb(script, append=""):
    """Starts a machine that waits for gdb, runs gdb's commands in batch mode, returns what it said."""
    port = free_port()
    program = shutil.which("gdb") or shutil.which("gdb-multiarch") or shutil.which("x86_64-elf-gdb")
    assert program, "no gdb on this machine (make doctor)"
    with Machine(image=build.path("eclipse.img"), append=append, extra=["-S", "-gdb", f"tcp:127.0.0.1:{port}"]):
        env = dict(os.environ, ECLIPSE_PORT=str(port), ECLIPSE_BUILD=build.BUILD, ECLIPSE_KERNEL=build.path("kernel.elf"))
        argv = [program, "-q", "-nx", "-x", ".gdbinit", "-batch"]
        for line in script:
            argv += ["-ex", line]
        p = subprocess.run(argv, cwd=build.ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", timeout=200)
    assert "safe-path" not in p.stdout, p.stdout
    return p.stdout


@pytest.mark.points(3)
def test_stops_in_the_kernel():
    out = gdb(["break kmain", "continue", "backtrace", "info line"])
    assert "Breakpoint 1, kmain (" in out and "kern/boot/main.c" in out, out


@pytest.mark.points(3)
def test_stops_in_a_program():
    """At a user program's main, the process list has the program, and the page table maps where it stands."""
    out = gdb(["user sh", "break main", "continue", "backtrace 1", "eclipse-ps", "pt $rip", "locks"])
    assert "Breakpoint 1, main (" in out and "user/sh" in out, out
    assert any("alive" in l and "sh" in l.split() for l in out.splitlines()), out
    assert "init" in out, out
    walk = [l for l in out.splitlines() if l.strip().startswith("PT ")]
    assert walk and "user" in walk[0] and "present" in walk[0] and "write" not in walk[0], out
    assert "cpu 0: no spinlock" in out, out
