"""The shell on this machine's Linux: scripts as BusyBox's shell runs them, what nobody should type, and a session at a
terminal with job control."""

import os
import pty
import random
import re
import resource
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


N = 5000
HOSTILE = {
    "brackets": "(" * N, "braces": "{ " * N, "substitutions": "$(" * N, "quotes": '"$(' * N, "parameters": "${x:-" * N,
    "arithmetic": "echo $((" + "(" * N, "minus": "echo $((" + "-" * N + "1))", "ifs": "if " * N, "nots": "! " * N + "true",
    "pipes": "true |" * N + " true", "ands": "true &&" * N + " true", "words": "echo " + "x " * N, "lists": "true;" * N,
    "long": "echo " + "x" * 100000, "stars": "echo " + "*" * 3000, "descriptor": "echo >&99999999999",
    "matching": f"case {'a' * 3000} in {'*a' * 1500}*b) ;; esac", "unclosed": "echo 'abc", "here": "cat <<E\nabc\n",
    "redirections": "true " + ">o " * 200, "recursion": "f() { f; }; f", "evals": "f() { eval f; }; f",
    "memory": "x=xxxxxxxxxxxxxxxx\nwhile true; do x=$x$x; done",
    "nuls": "\0" * 10240, "junk": "".join(chr(random.Random(1).randrange(256)) for _ in range(10240)),
}


def survive(text, cwd):
    """The shell may not like it, but ends by itself. There are no programs to be found, and little memory."""
    limit = 16 << 20
    sh = build.need(build.path("user/bin/sh"))
    for argv, data in ([sh], text), ([sh, "-c", text.replace("\0", "")], ""):
        if len(argv[-1]) > 100000:
            continue
        p = subprocess.run([a.encode("latin-1") for a in argv], input=data.encode("latin-1"), cwd=cwd, timeout=60,
                           env={"PATH": "/nowhere"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        assert p.returncode >= 0, f"ended by signal {-p.returncode}: {text[:200]!r}"


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile(what, tmp_path):
    survive(HOSTILE[what], tmp_path)


TOKENS = """if then elif else fi for i in a b do done case esac a) ;; { } ( ) $( ` ' " \\ ; && || | ! < >o >>o 2>&1 <<E
    <<-'E' E 3<&- ${ ${x ${#x} ${x:- ${x# ${x%% $x $@ "$@" $* $# $? $(( )) 1+ x 2* /0 x=1 y= echo set -- shift read eval
    break return exit test [ ] = -f * ? [a- [! ~ # export unset wait jobs fg umask cd IFS=: a:b g() - <&9 . -x
    \1 \xff""".split() + ["while false", "\n", "\t"]


def test_random_tokens(tmp_path):
    """Nothing in TOKENS makes an endless loop or names a file elsewhere."""
    rand = random.Random(7)
    for _ in range(150):
        words = [rand.choice(TOKENS) + rand.choice([" ", " ", "", "\n"]) for _ in range(rand.randrange(1, 40))]
        survive("".join(words), tmp_path)


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
    t.run("sleep 0.5 &\n")
    assert "Running  sleep 0.5" in t.run("jobs\n")
    assert "127" in t.run("wait %7; echo $?\n")
    assert "0\r\n" in t.run("wait; echo $?\n")
    assert "none\r\n" in t.run("jobs; echo none\n")
    assert "bad" in t.run("f() { echo $1 ${nosuch?bad}; }; set -- a b; f 1 2; echo x\n")
    assert "2 a b\r\n" in t.run("echo $# $*\n")
    assert "syntax error" in t.run(")\n")
    t.run("while true; do sleep 1; done\n", r"done\r\n")
    time.sleep(0.3)
    t.run("\x03")
    os.write(t.fd, b"exit 7\n")
    _, status = os.waitpid(t.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
