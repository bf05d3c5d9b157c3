#!/usr/bin/env python3
"""syscalls.py - the table of system calls, from the source: which are there, who answers them, which are not.

A call is there when a file that a lab lists registers it with SYSCALL_REG or SYSCALL_REG_FRAME; the numbers and names are those
of lib/abi/syscalls.h. Run in the top folder; writes Markdown.
"""

import glob
import re


def calls():
    with open("lib/abi/syscalls.h") as f:
        return [(int(n), name, int(args)) for n, name, args in re.findall(r"^SYSCALL\w*\((\d+),\s*(\w+),\s*(\d+)", f.read(), re.M)]


def registered():
    """{name: [(lab, file, function)]}, the last one wins."""
    found = {}
    for lst in sorted(glob.glob("labs/[0-9]*-*/files")):
        lab = int(re.search(r"labs/(\d+)", lst)[1])
        with open(lst) as f:
            files = [line.split()[0] for line in f if line.strip() and not line.startswith("#")]
        for name in (f for f in files if f.endswith(".c")):
            try:
                with open(name) as f:
                    text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
            except FileNotFoundError:
                continue
            for call, fn in re.findall(r"\bSYSCALL_REG(?:_FRAME)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", text):
                found.setdefault(call, []).append((lab, name, fn))
    return found


def main():
    have, every = registered(), calls()
    there = [c for c in every if c[1] in have]
    print("# System calls\n\nMade from the source by `lib/host/syscalls.py`.\n")
    print(f"{len(there)} of Linux's {len(every)} calls are there; the others answer -ENOSYS.\n")
    print("| number | call | arguments | lab | answered by |\n|---:|---|---:|---:|---|")
    for number, name, args in there:
        lab, file, fn = have[name][-1]
        earlier = f" (replaces lab {have[name][-2][0]}'s)" if len(have[name]) > 1 else ""
        print(f"| {number} | {name} | {args} | {lab} | `{fn}()` in `{file}`{earlier} |")
    print("\nMissing:", ", ".join(name for _, name, _ in every if name not in have) + ".")


if __name__ == "__main__":
    main()
