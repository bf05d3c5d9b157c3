#!/usr/bin/env python3
"""mkcpio.py OUT /path=FILE... - writes a boot archive (cpio, "newc" format).

Idea.       The archive is a list of records, each a 110-byte header of hex fields, a name and the contents, all padded
            to 4 bytes; a record named TRAILER!!! ends it. Directories are made as the paths need them. The order and
            the times are fixed, so that equal inputs give equal archives.
"""

import os
import sys

S_IFDIR, S_IFREG = 0o040000, 0o100000


def record(ino, name, mode, data=b"", nlink=1):
    """One record: header, name with its NUL, data, each padded to 4 bytes."""
    raw = name.encode() + b"\0"
    fields = [ino, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(raw), 0]
    out = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(data) % 4)


def archive(files):
    """`files`: {path without leading slash: host file}. Returns the bytes of the archive."""
    dirs = set()
    for path in files:
        while os.path.dirname(path):
            path = os.path.dirname(path)
            dirs.add(path)
    dirs |= {"dev", "proc", "tmp", "mnt"}
    out = [record(1, ".", S_IFDIR | 0o755, nlink=2)]
    ino = 2
    for path in sorted(dirs):
        out.append(record(ino, path, S_IFDIR | (0o1777 if path == "tmp" else 0o755), nlink=2))
        ino += 1
    for path in sorted(files):
        with open(files[path], "rb") as f:
            data = f.read()
        out.append(record(ino, path, S_IFREG | (0o755 if os.access(files[path], os.X_OK) else 0o644), data))
        ino += 1
    out.append(record(0, "TRAILER!!!", 0))
    data = b"".join(out)
    return data + b"\0" * (-len(data) % 512)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: mkcpio.py OUT /path=FILE...")
    files = dict(arg.lstrip("/").split("=", 1) for arg in sys.argv[2:])
    tmp = sys.argv[1] + ".tmp"
    with open(tmp, "wb") as f:
        f.write(archive(files))
    os.replace(tmp, sys.argv[1])


if __name__ == "__main__":
    main()
