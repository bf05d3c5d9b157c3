#!/usr/bin/env python3
"""QEMU in a room of its own: what judges start in the place of qemu-system-x86_64.

Idea.       A student's kernel may break out of its machine; then it is in an empty root with QEMU's own
            files, without network, as nobody, and with QEMU's seccomp filter on. The files that the command
            line names are the only others: read-only, but for a disk that the judge wants written and for the
            files that QEMU's output goes to.
Invariants. I1 the process that was started is bwrap; killed, it takes QEMU with it. Exit status and inherited
               files are QEMU's.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from grade.instructor import box  # noqa: E402

READ = {"-kernel", "-initrd", "-bios", "-pflash", "-dtb"}
LISTS = {"-drive", "-chardev", "-object", "-device", "-blockdev", "-fsdev"}
FILE_KEYS = ("file", "path", "mem-path", "filename", "logfile")
FILTER = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
GIB = 1 << 30


def paths(argv):
    """[(path, written)] that QEMU's command line names."""
    out = []
    for word, value in zip(argv, argv[1:]):
        if word in READ:
            out.append((value, False))
        elif word in LISTS:
            parts = value.split(",")
            fixed = {"snapshot=on", "readonly=on", "read-only=on"} & set(parts)
            for key, _, path in (p.partition("=") for p in parts):
                if key.split(".")[-1] in FILE_KEYS and path.startswith("/"):
                    out.append((path, not fixed))
        elif word in ("-serial", "-debugcon", "-D", "-mem-path", "-pidfile"):
            m = re.match(r"(?:(?:file|pipe|unix):)?(/[^,]*)", value)
            if m:
                out.append((m[1], True))
    # What the judge handed over by number is there already.
    return [(path, written) for path, written in out if not path.startswith("/dev/fd/")]


def open_to(path, written):
    """The judge's own files, in folders that nobody else can enter, made readable for the room's uid."""
    if written and not os.path.exists(path):
        open(path, "a").close()
    if os.geteuid() == 0 and os.stat(path).st_uid == 0:
        mode = os.stat(path).st_mode
        wanted = mode | (0o666 if written else 0o444)
        if mode != wanted:
            os.chmod(path, wanted)


def memory(argv):
    """MiB of the machine."""
    at = argv.index("-m") + 1 if "-m" in argv else 0
    m = re.match(r"(?:size=)?(\d+)([GM]?)", argv[at]) if at else None
    return int(m[1]) * (1024 if m[2] == "G" else 1) if m else 512


def main():
    qemu, argv = os.environ.get("ECLIPSE_QEMU", "qemu-system-x86_64"), sys.argv[1:]
    if box.how() == "uid":                   # a container that is thrown away: QEMU's own filter, no room
        os.execvp(qemu, [qemu, "-sandbox", FILTER, *argv])
    words = box.namespaces() + box.system_folders() + ["--dev-bind", "/dev/null", "/dev/null"]
    words += ["--proc", "/proc", "--symlink", "/proc/self/fd",
              "/dev/fd"]       # a judge hands files over by number
    words += ["--perms", "0755", "--dir", "/usr/share", "--perms", "0755", "--dir", "/var"]
    for d in ("qemu", "seabios", "OVMF", "ovmf"):
        words += ["--ro-bind-try", f"/usr/share/{d}", f"/usr/share/{d}"]
    words += ["--perms", "1777", "--size", str(GIB), "--tmpfs", "/var/tmp"]
    longest = 64 << 20
    made = set()
    for path, written in paths(argv):
        open_to(path, written)
        longest = max(longest, os.path.getsize(path) if written else 0)
        for folder in reversed([path[:i] for i, c in enumerate(path) if c == "/" and i]):
            made.add(folder)
        words += ["--bind" if written else "--ro-bind", os.path.realpath(path), path]
    dirs = [w for d in sorted(made - {"/usr", "/usr/share", "/var", "/var/tmp"})
            for w in ("--perms", "0755", "--dir", d)]
    at = words.index("--tmpfs") + 2
    words[at:at] = dirs
    limits = [f"--fsize={longest}", f"--as={memory(argv) * (1 << 20) + 6 * GIB}", "--nofile=256",
              "--nproc=256"]
    words += ["--setenv", "PATH", box.PATH, "--chdir", "/var/tmp", "--remount-ro", "/", "--"]
    words += box.drop(box.UID_BASE + int(os.environ.get("ECLIPSE_UID", "0")) % box.UIDS, limits)
    os.execvp(words[0], words + [qemu, "-sandbox", FILTER, *argv])


if __name__ == "__main__":
    main()
