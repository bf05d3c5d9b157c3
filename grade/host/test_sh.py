"""The shell on this machine's Linux: scripts as BusyBox's shell runs them, what nobody should type, and a session at a
terminal with job control."""

import contextlib
import os
import pty
import random
import re
import resource
import select
import subprocess
import termios
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


def test_killed_is_said_where_the_shell_speaks(tmp_path):
    """The death of a program is the shell's news: not in the file that the program's errors go to. A group's errors are."""
    sh = build.need(build.path("user/bin/sh"))
    for text, said, written in (('sh -c "kill -TERM \\$\\$" >o 2>&1; echo $?', "Terminated\n", ""),
                                ('{ sh -c "kill -TERM \\$\\$"; } 2>o; echo $?', "", "Terminated\n")):
        p = subprocess.run([sh, "-c", text], cwd=tmp_path, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert (p.stdout, p.stderr, (tmp_path / "o").read_text()) == ("143\n", said, written)


N = 5000
HOSTILE = {
    "brackets": "(" * N, "braces": "{ " * N, "substitutions": "$(" * N, "quotes": '"$(' * N, "parameters": "${x:-" * N,
    "arithmetic": "echo $((" + "(" * N, "ifs": "if " * N, "nots": "! " * N + "true", "elifs": "if a; then b; " + "elif a; then b; " * N + "fi",
    "pipes": "true |" * N + " true", "ands": "true &&" * N + " true", "words": "echo " + "x " * N, "lists": "true;" * N,
    "long": "echo " + "x" * 100000, "stars": "echo " + "*" * 3000, "descriptor": "echo >&99999999999",
    "unclosed": "echo 'abc", "backslash": "echo \\", "redirections": "true " + ">o " * 200, "undone": "{ " * 200 + "true; " + "} >o; " * 200,
    "captured": "echo " + "$(" * 200 + "true" + ")" * 200, "memory": "x=xxxxxxxxxxxxxxxx\nwhile true; do x=$x$x; done",
    "slashes": "echo " + "./" * 5000 + "*", "jobs": ": & " * 500 + "wait", "exports": "export " + "x=1 " * N + "1=2",
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
    <<-'E' E 3<&- ${ ${x ${#x} ${x} $x $@ "$@" $* $# $? $(( )) 1+ x 2* x=1 y= echo set -- export read exec . jobs wait
    [ ] = -f * ? [a- [! ~ # fg bg cd IFS=: a:b g() - <&9 -x 9>&- ./*/ \1 \xff""".split() + ["while false", "until true", "\n", "\t"]


def test_random_tokens(tmp_path):
    """Nothing in TOKENS makes an endless loop or names a file elsewhere."""
    rand = random.Random(7)
    for _ in range(150):
        words = [rand.choice(TOKENS) + rand.choice([" ", " ", "", "\n"]) for _ in range(rand.randrange(1, 40))]
        survive("".join(words), tmp_path)


@pytest.mark.parametrize("text", [
    "case x in x) echo;; esac", "f() { echo; }", "function f { echo; }", "cat <<E", "cat <<<E", "cat <>o", "echo >|o", "echo $((1+2))",
    "echo ${x:-y}", "echo ${#x}", "echo ${x%y}", "echo `ls`", "set -e", "shift", "break", "continue", "return", "eval echo", "trap x 1",
    "alias a=b", "unset x", "umask 0", "local x", "for i; do echo; done", "IFS=:", "x=1 cd /",
])
def test_not_supported(text, tmp_path):
    """What this shell lacks is refused by name, also where it would not be reached by running, and points to BusyBox."""
    p = subprocess.run([build.need(build.path("user/bin/sh")), "-c", f"echo before\n{text}\necho after"], cwd=tmp_path, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 2 and p.stdout == "before\n" and os.listdir(tmp_path) == []
    assert re.fullmatch(r"sh: .* is not supported, see busybox sh\n", p.stderr)


@pytest.mark.parametrize("text", ["echo &>o", "echo |& cat", "(", "{ echo", "if true", "for i in a", "while true; do", "then", "fi", ")", "a ;; b",
                                  "&& a", "a | ; b", "echo 'a", 'echo "$(a"', "for 1 in a; do b; done", "(a) b", "a (b)", "> ;"])
def test_syntax_error(text, tmp_path):
    p = subprocess.run([build.need(build.path("user/bin/sh")), "-c", text], cwd=tmp_path, timeout=60, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    assert p.returncode == 2 and p.stdout == "" and "syntax error" in p.stderr and os.listdir(tmp_path) == []


class Terminal:
    def __init__(self):
        sh = build.need(build.path("user/bin/sh"))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["PATH"] = "/usr/bin:/bin"
            # ^C and ^Z otherwise throw away what was written or typed up to a moment later: on a busy host also the next prompt
            modes = termios.tcgetattr(0)
            modes[3] |= termios.NOFLSH
            termios.tcsetattr(0, termios.TCSANOW, modes)
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

    def run(self, text, pattern=r"\n(# )+$"):
        os.write(self.fd, text.encode())
        return self.expect(pattern)

    def group(self):
        """The names of the processes in the terminal's foreground."""
        names, group = [], os.tcgetpgrp(self.fd)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(") ", 1)
                if int(rest.split()[2]) == group and os.getsid(int(pid)) == self.pid:
                    names.append(name)
        return names

    def start(self, text, name):
        """Types a command and waits until programs of that name, and perhaps a shell that waits for them, are in the foreground."""
        self.run(text, r"\n")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            names = self.group()
            if name in names and names.count("sh") <= 1:
                return
            time.sleep(0.01)
        raise AssertionError(f"{name} is not in the foreground: {self.seen!r}")


def test_terminal():
    t = Terminal()
    t.expect(r"^# $")
    assert "hi\r\n" in t.run("echo hi\n")
    t.start("sleep 100\n", "sleep")
    t.run("\x03")
    assert "130" in t.run("echo $?\n")
    t.start("cat\n", "cat")
    assert "[1] Stopped  cat" in t.run("\x1a")
    assert "Stopped" in t.run("jobs\n")
    t.start("cat | cat\n", "cat")
    assert "[2] Stopped  cat | cat" in t.run("\x1a")
    t.start("fg %1\n", "cat")
    t.run("echoed\n", r"echoed\r\nechoed\r\n")
    t.run("\x04", r"# $")
    t.start("fg\n", "cat")
    t.run("again\n", r"again\r\nagain\r\n")
    t.run("\x03")
    assert "no such job" in t.run("bg\n")
    assert "no such job" in t.run("fg %33\n")
    t.start("sleep 0.5 | cat\n", "cat")
    t.run("\x1a")
    t.run("bg\n")
    assert "0\r\n" in t.run("wait; echo $?\n")
    t.run("for i in 1 2; do\n", r"> $")
    assert "1\r\n2\r\n" in t.run("echo $i; done\n")
    t.run("echo 'a\n", r"> $")
    assert "a\r\nb\r\n" in t.run("b'\n")
    assert "139" in t.run("sh -c 'kill -SEGV $$'; echo $?\n")
    t.run("sleep 100 | cat &\n", r"\[1\] \d+\r\n# $")
    assert "Running  sleep 100 | cat &" in t.run("jobs\n")
    assert "137\r\n" in t.run("kill -9 $!; wait $!; echo $?\n")
    assert "127" in t.run("wait 1; echo $?\n")
    assert "none\r\n" in t.run("jobs; echo none\n")
    out = t.run("true &\n")
    while "[1] Done  true &" not in out:
        out = t.run("\n")
    assert "not supported" in t.run("{ echo ${x:-y}; } >/dev/null\n")
    assert "back\r\n" in t.run("echo back\n")              # the redirection was undone
    assert "syntax error" in t.run(")\n")
    t.start("while true; do sleep 1; done\n", "sleep")
    t.run("\x03")
    t.start("while true; do sleep 1 | cat; done\n", "cat")
    t.run("\x03")
    t.start("echo $(exec sleep 100)\n", "sleep")
    t.run("\x03")
    t.run("while true; do true; done\n", r"done\r\n")
    t.run("\x03")
    os.write(t.fd, b"exit 7\n")
    _, status = os.waitpid(t.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
