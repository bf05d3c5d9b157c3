"""Runs a shell script on what students sent, in a room of its own.

Idea.       The room is an empty tmpfs with the compiler's folders of this machine read-only beside it. What
            the script works on comes in as a tar on its standard input, what it made leaves as its standard
            output: no folder of this machine is shared, so there is nothing to read, to change or to leave
            behind.
Interface.  run(script, tar_in) -> Done. how() says which room there is here; check() why there is none.
Invariants. I1 no network, no keys, no environment, no tests: only /usr's programs and libraries, links of
               /etc/alternatives, /dev/null, and the tmpfs W (the script's working folder).
            I2 own uid; own PID namespace: KILL of its first process ends all.
            I3 time, memory, processes, file size, room on the tmpfs and output are bounded, whatever the
               script does.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

MIB = 1 << 20
UID_BASE, UIDS = 1_900_000_000, 10_000       # nobody's: above what systemd hands out
WORK = "/w"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Limits:
    def __init__(self, seconds=120, cpu=20, memory=1024 * MIB, processes=64, file=64 * MIB, room=384 * MIB,
                 output=64 * MIB, log=256 * 1024):
        self.seconds, self.cpu, self.memory, self.processes = seconds, cpu, memory, processes
        self.file, self.room, self.output, self.log = file, room, output, log


class Done:
    """How a run ended: exit status, standard output (bytes), what it said (text), and which limit ended it,
    or None."""

    def __init__(self, status, out, said, limit, seconds):
        self.status, self.out, self.said, self.limit, self.seconds = status, out, said, limit, seconds


def how():
    """bwrap; or, only where ECLIPSE_BOX=uid asks for it (inside a container that is thrown away), another
    uid."""
    return os.environ.get("ECLIPSE_BOX", "bwrap")


def namespaces():
    """bwrap's words for everything unshared. Root needs no user namespace: it drops to the uid inside."""
    words = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
             "--unshare-cgroup-try",
             "--die-with-parent", "--new-session", "--clearenv", "--hostname", "room"]
    if os.geteuid() != 0:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    return words


def system_folders():
    """The programs and libraries of this machine, read-only; nothing of /etc but the links between
    programs."""
    words = []
    for d in ("/usr", "/etc", "/dev"):       # without this bwrap makes them for root's eyes only
        words += ["--perms", "0755", "--dir", d]
    for d in ("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/etc/alternatives"):
        words += ["--ro-bind-try", d, d]
    for d in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(d):
            words += ["--symlink", os.readlink(d), d]
        else:
            words += ["--ro-bind-try", d, d]
    return words


def drop(uid, limits=()):
    """The words that set limits and, for root, give the uid up for good."""
    words = ["prlimit", "--core=0", *limits]
    if os.geteuid() == 0:
        words += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs",
                  "--inh-caps=-all",
                  "--bounding-set=-all"]
    return words


def limit_words(limits):
    return [f"--cpu={limits.cpu}:{limits.cpu + 5}", f"--as={limits.memory}", f"--nproc={limits.processes}",
            f"--fsize={limits.file}",
            "--nofile=256"]


def folders(path):
    """bwrap's words for the folders above `path`, which everybody may enter."""
    parts = path.split("/")
    return [w for i in range(2, len(parts)) for w in ("--perms", "0755", "--dir", "/".join(parts[:i]))]


def as_root():
    """The sources also have the name of this tree, $SRC: debuggers and reports shall find what objects were
    made from."""
    return folders(ROOT) + ["--symlink", WORK + "/src", ROOT]


def command(script, limits, uid, room, devices):
    """The whole command line, and its environment."""
    shell = ["sh", "-c", script]
    env = {"PATH": PATH, "LC_ALL": "C", "HOME": "/nonexistent", "TMPDIR": WORK, "W": WORK, "SRC": ROOT}
    if how() == "uid":
        env |= {"TMPDIR": room, "W": room, "SRC": room + "/src"}
        return drop(uid, limit_words(limits)) + shell, env
    words = namespaces() + system_folders()
    for d in devices:
        words += ["--dev-bind", d, d]
    words += ["--perms", "0777", "--size", str(limits.room), "--tmpfs", WORK, "--chdir", WORK] + as_root()
    for k, v in env.items():
        words += ["--setenv", k, v]
    return words + ["--remount-ro", "/", "--"] + drop(uid, limit_words(limits)) + shell, {"PATH": PATH}


class Reader(threading.Thread):
    """Reads a pipe to its end; keeps `most` bytes, and calls `full` when there are more than `bearable`."""

    def __init__(self, pipe, most, bearable, full):
        super().__init__(daemon=True)
        self.pipe, self.most, self.bearable, self.full, self.data = pipe, most, bearable, full, bytearray()
        self.start()

    def run(self):
        seen = 0
        try:
            while chunk := os.read(self.pipe.fileno(), 65536):
                self.data += chunk[:self.most - len(self.data)]
                seen += len(chunk)
                if seen > self.bearable:
                    self.full()
                    return
        except OSError:
            pass


def feed(pipe, data):
    """Writes `data` and closes; a script that does not read it all is none of our trouble."""
    try:
        pipe.write(data)
        pipe.close()
    except OSError:
        pass


def run(script, tar_in=b"", limits=None, uid=0, devices=("/dev/null",)):
    """Runs `sh -c script` in a fresh room with `tar_in` as its standard input. Never raises for what the
    script does."""
    limits = limits or Limits()
    room = tempfile.mkdtemp(prefix="eclipse-room-") if how() == "uid" else None
    uid = UID_BASE + uid % UIDS
    if room:
        os.chown(room, uid, uid)
    argv, env = command(script, limits, uid, room, devices)
    start, why = time.monotonic(), []
    p = subprocess.Popen(argv, env=env, cwd=room or "/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, start_new_session=True)

    def end(reason):
        why.append(reason)
        kill(p)

    timer = threading.Timer(limits.seconds, end, ("time",))
    timer.start()
    out = Reader(p.stdout, limits.output, limits.output, lambda: end("output"))
    said = Reader(p.stderr, limits.log, 64 * limits.log, lambda: end("output"))
    feeder = threading.Thread(target=feed, args=(p.stdin, tar_in), daemon=True)
    feeder.start()
    status = p.wait()
    timer.cancel()
    kill(p)                                  # whoever of the group is left
    for t in (feeder, out, said):
        t.join(10)
    if room:
        kill_uid(uid)
        shutil.rmtree(room, ignore_errors=True)
    for pipe in (p.stdout, p.stderr):
        pipe.close()
    return Done(status, bytes(out.data), said.data.decode("utf-8", "replace"), why[0] if why else None,
                time.monotonic() - start)


def kill(p):
    """The group dies by KILL; what is in the PID namespace dies with its first process."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill_uid(uid):
    """Without a PID namespace: everything that runs under the room's own uid."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass


def check():
    """None, or the line that says why students' work cannot be built here."""
    if how() == "uid":
        return None if os.geteuid() == 0 else "ECLIPSE_BOX=uid needs root: it is for containers that are thrown away"
    if how() != "bwrap":
        return f"ECLIPSE_BOX={how()}: bwrap or uid is wanted"
    if not shutil.which("bwrap"):
        return "bwrap is missing: make setup (Debian package bubblewrap)"
    done = run("echo in", limits=Limits(seconds=20))
    if done.out == b"in\n":
        return None
    said = done.said.strip().splitlines() or ["no message"]
    return "bwrap cannot make a sandbox on this machine: " + said[-1]
