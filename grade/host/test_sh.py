"""The shell on this machine's Linux: scripts as BusyBox's shell runs them, and a session at a terminal with job control."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from grade.eclipse import build

SCRIPTS = build.sources("grade/guest/sh/*.sh")


def output(argv, script, cwd):
    env = {"PATH": "/usr/bin:/bin", "HOME": "/"}
    p = subprocess.run([*argv, script], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60)
    return p.stdout.decode(errors="replace"), p.returncode


@pytest.mark.parametrize("script", SCRIPTS, ids=os.path.basename)
def test_script(script, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    script = os.path.abspath(script)
    want = output(["busybox", "sh"], script, tmp_path / "a")
    assert output([build.need(build.path("user/bin/sh"))], script, tmp_path / "b") == want


class Terminal:
    def __init__(self):
        sh = build.need(build.path("user/bin/sh"))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["PATH"] = "/usr/bin:/bin"
            os.execv(sh, ["sh"])
        self.seen = ""

    def expect(self, pattern, limit=20):
        """Read until the pattern shows; what came before and with it is taken away and returned."""
        end = time.monotonic() + limit
        while True:
            m = re.search(pattern, self.seen)
            if m:
                out, self.seen = self.seen[: m.end()], self.seen[m.end():]
                return out
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not come: {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 4096).decode(errors="replace")

    def run(self, text, pattern=r"\n# $"):
        os.write(self.fd, text.encode())
        return self.expect(pattern)


def test_terminal():
    t = Terminal()
    t.expect(r"^# $")
    assert "hi\r\n" in t.run("echo hi\n")
    t.run("sleep 100\n", r"\n")
    time.sleep(0.3)
    t.run("\x03")
    assert "130" in t.run("echo $?\n")
    t.run("cat\n", r"\n")
    time.sleep(0.3)
    assert "[1] Stopped  cat" in t.run("\x1a")
    assert "Stopped" in t.run("jobs\n")
    t.run("fg\n", r"cat\r\n")
    t.run("echoed\n", r"echoed\r\nechoed\r\n")
    t.run("\x04", r"# $")
    t.run("for i in 1 2; do\n", r"> $")
    assert "1\r\n2\r\n" in t.run("echo $i; done\n")
    assert "139" in t.run("sh -c 'kill -SEGV $$'; echo $?\n")
    assert re.search(r"\[1\] \d+", t.run("sleep 0.2 | cat &\n"))
    time.sleep(0.5)
    assert "[1] Done" in t.run("\n")
    assert "syntax error" in t.run(")\n")
    t.run("while true; do sleep 1; done\n", r"done\r\n")
    time.sleep(0.3)
    t.run("\x03")
    os.write(t.fd, b"exit 7\n")
    _, status = os.waitpid(t.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
