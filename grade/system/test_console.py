"""The terminal: echo, line editing, ^C ^D ^Z, raw mode, and the shell's own language."""

import re

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import Machine
from grade.eclipse.shell import Shell

pytestmark = [pytest.mark.lab(11), pytest.mark.xdist_group("console")]


@pytest.fixture
def sh():
    with Machine(image=build.path("eclipse.img")) as m:
        yield Shell(m)


def foreground(sh, command):
    """Starts a command and waits until it runs: it says so itself."""
    sh.m.send(f"echo sta''rted; {command}\n")
    sh.m.expect(r"^started\n")
    sh.m.drain(0.5)


@pytest.mark.points(2)
def test_interrupt(sh):
    """^C ends the foreground program with status 130; the shell goes on."""
    foreground(sh, "sleep 1000")
    sh.m.send("\x03")
    sh.m.expect(sh.prompt)
    assert sh.run("echo $?")[0] == "130\n"


@pytest.mark.points(2)
def test_interrupt_pipeline(sh):
    foreground(sh, "cat | cat")
    sh.m.send("\x03")
    sh.m.expect(sh.prompt)
    assert sh.ok("echo alive") == "alive\n"


@pytest.mark.points(2)
def test_busy_program_is_interrupted(sh):
    foreground(sh, "while true; do true; done")
    sh.m.send("\x03")
    sh.m.expect(sh.prompt)
    assert sh.ok("echo alive") == "alive\n"


@pytest.mark.points(2)
def test_end_of_file(sh):
    """^D after a line ends cat's input; ^D at the prompt ends the shell, and init starts another."""
    sh.m.send("cat > /tmp/typed\n")
    sh.m.expect("typed\n")
    sh.m.send("first line\n")
    sh.m.send("second\n")
    sh.m.send("\x04")
    sh.m.expect(sh.prompt)
    assert sh.ok("cat /tmp/typed") == "first line\nsecond\n"
    sh.m.send("\x04")
    sh.m.expect(sh.prompt)
    assert sh.ok("echo alive") == "alive\n"


@pytest.mark.points(2)
def test_stop(sh):
    """^Z stops the foreground program and gives the prompt back."""
    foreground(sh, "sleep 1000")
    sh.m.send("\x1a")
    sh.m.expect(sh.prompt)
    assert re.search(r"\bT\b.*sleep|sleep.*\bT\b", sh.ok("ps")) or "T" in sh.ok("busybox ps -o stat,comm | grep sleep")


@pytest.mark.points(1)
def test_line_editing(sh):
    """Backspace takes a character back, ^U the line; what is typed is echoed."""
    sh.m.send("echo helpx\x7f\x7flo\n")
    sh.m.expect(r"^hello\n")
    sh.m.expect(sh.prompt)
    sh.m.send("this is not run\x15echo clean\n")
    sh.m.expect(r"^clean\n")


@pytest.mark.points(2)
def test_raw_mode(sh):
    """A program that sets raw mode (BusyBox's shell with line editing) gets bytes as they are typed."""
    sh.m.send("busybox sh\n")
    sh.m.expect(r"[#$] ")
    sh.m.send("echo ab\x1b[Dx\n")            # cursor left, then x: "axb"
    sh.m.expect(r"^axb\n")
    sh.m.send("exit\n")
    sh.m.expect(sh.prompt)


def test_vi(sh):
    """vi edits a file: window size, raw mode, poll."""
    sh.m.send("busybox vi /tmp/note\n")
    sh.m.expect(r"\x1b\[22;1H~")
    sh.m.drain(0.3)
    sh.m.send("ihello from vi\x1b")
    sh.m.drain(0.5)
    sh.m.send(":wq\r")
    sh.m.expect(r"# \Z")
    assert sh.ok("cat /tmp/note") == "hello from vi\n"


def test_big_paste(sh):
    """A paste of many lines arrives whole and in order."""
    sh.m.send("cat > /tmp/paste\n")
    sh.m.expect("paste\n")
    text = "".join(f"line {i:04d} of a paste\n" for i in range(200))
    for line in text.splitlines(True):
        sh.m.send(line)
        sh.m.expect(re.escape(line))
    sh.m.send("\x04")
    sh.m.expect(sh.prompt)
    assert sh.ok("wc -l < /tmp/paste").strip() == "200"


@pytest.mark.points(3)
@pytest.mark.parametrize("command,output,status", [
    ("echo a; echo b", "a\nb\n", 0), ("true && echo yes", "yes\n", 0), ("false && echo yes", "", 1),
    ("false || echo no", "no\n", 0), ("X=5; echo \"$X\" '$X' $X$X", "5 $X 55\n", 0),
    ("if true; then echo t; else echo f; fi", "t\n", 0), ("for i in 1 2 3; do echo $i; done", "1\n2\n3\n", 0),
    ("i=x; while [ $i != xxxx ]; do i=x$i; done; echo $i", "xxxx\n", 0), ("(exit 7)", "", 7), ("sh -c 'exit 3'", "", 3),
    ("echo one > /tmp/f; echo two >> /tmp/f; cat < /tmp/f", "one\ntwo\n", 0), ("echo err >&2 2>/dev/null", "err\n", 0),
    ("ls /nowhere 2>/dev/null", "", 1), ("echo /bin/ec*", "/bin/echo\n", 0), ("cat /etc/hostname | cat | wc -l | tr -d ' '", "1\n", 0),
    ("nosuchcommand 2>/dev/null", "", 127), ("/etc/hostname 2>/dev/null", "", 126), ("echo $(echo inner)", "inner\n", 0),
    ("sleep 0 & wait; echo done", "done\n", 0), ("echo $?", "0\n", 0), ("! true", "", 1), ("echo 'a  b'  c", "a  b c\n", 0),
], ids=range(22))
@pytest.mark.xdist_group("shell")
def test_shell_language(command, output, status, shared):
    got = shared.run(command)
    # A line about a background job is the shell's own business.
    text = re.sub(r"^\[\d+\].*\n", "", got[0], flags=re.M)
    assert (text, got[1]) == (output, status)


@pytest.fixture(scope="module")
def shared():
    with Machine(image=build.path("eclipse.img")) as m:
        yield Shell(m)
