"""The judges of lab 10: what /proc says, against Linux's /proc, or against what the judge has arranged."""

import re

from grade.eclipse.judge import Run

MOUNT_PROC = "mkdir -p /proc /tmp\nmount -t proc proc /proc\n"


def procmix(run, letters):
    """user/tests/procmix.c makes processes at random and tells what /proc says about them; two seeds."""
    random = run.random
    for _ in range(2):
        run.same_as_linux("procmix", [str(1 + random.below(1 << 30)), letters])


def test_proc_text(run: Run):
    """A file is read in pieces and from anywhere, and is one text all the same."""
    procmix(run, "r")


def test_proc_large_text(run: Run):
    """A text of hundreds of lines: it grows while it is made."""
    procmix(run, "mm")


def test_proc_names(run: Run):
    """Names that look like processes and descriptors, but are none."""
    procmix(run, "n")


def test_proc_listing(run: Run):
    """/proc lists every process once, in order, and those that are gone no more."""
    procmix(run, "l")


def test_proc_states(run: Run):
    """Running, sleeping, zombie."""
    procmix(run, "s")


def test_proc_arguments(run: Run):
    """Arguments and environment, of all lengths, out of the memory of another process."""
    procmix(run, "a")


def test_proc_descriptors(run: Run):
    """Files, deleted files, pipes; numbers that are not in use."""
    procmix(run, "ff")


def test_proc_owners(run: Run):
    """Whom the files belong to, and who may look."""
    procmix(run, "o")


def test_proc_gone(run: Run):
    """A process that ends while its files are open."""
    procmix(run, "g")


def test_proc_places(run: Run):
    """Where a process is, what it runs, also when the directory was deleted."""
    procmix(run, "p")


def name_with_spaces(random):
    return "".join("ab \t\n\\c d"[random.below(9)] for _ in range(3 + random.below(8))) + "."


def test_mounts_escaped(run: Run):
    """Names with spaces, tabs, newlines and backslashes do not break the lines of /proc/mounts."""
    random = run.random
    names = {f"m{i}" + name_with_spaces(random) + "e": name_with_spaces(random) for i in range(4)}
    script = MOUNT_PROC + "".join(f"mkdir '/tmp/{name}'\nmount -t tmpfs '{source}' '/tmp/{name}'\n"
                                  for name, source in names.items())
    out = run.script(script + "cat /proc/mounts\n")

    def escaped(text):
        return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)
    want = [f"{escaped(source)} /tmp/{escaped(name)} tmpfs rw" for name, source in names.items()]
    run.equal([line.split(",")[0] for line in out.lines if " /tmp/m" in line], want, "the lines of /proc/mounts")


def test_meminfo(run: Run):
    """As much memory as the machine has; a file in memory takes of it what it is long."""
    r = run.random
    mem, kib = 96 + r.below(300), 1024 + r.below(8192)
    look = "cat /proc/meminfo\n"
    out = run.script(MOUNT_PROC + look + "cp /much /tmp/much\n" + look, files={"much": bytes(kib << 10)}, mem=mem)
    for line in out.lines:
        run.check(re.fullmatch(r"\w+(\(\w+\))?: +\d+( kB)?", line), "wrong", f"a line of /proc/meminfo: {line!r}")
    (total, _), (before, after) = ([int(x) / 1024 for x in re.findall(rf"(?m)^{name}: +(\d+) kB", out.output)]
                                   for name in ("MemTotal", "MemFree"))
    least = mem * 0.9 - kib / 1024                      # the boot archive, which has the file, is not counted
    run.check(least < total <= mem, "wrong", f"MemTotal is {total:.1f} MiB; the machine has {mem}")
    run.check(0 < before < total, "wrong", f"MemFree is {before:.1f} of {total:.1f} MiB")
    run.check(-0.1 < before - after - kib / 1024 < 1, "wrong",
              f"a file of {kib / 1024:.2f} MiB in memory took {before - after:.2f} MiB of MemFree")


def test_stat_counts(run: Run):
    r = run.random
    look = "grep processes /proc/stat\n"
    some = [3 + r.below(20) for _ in range(4)]
    out = run.script(MOUNT_PROC + look + "".join("/bin/echo >/dev/null\n" * n + look for n in some))
    counts = [int(line.split()[1]) for line in out.lines if line.startswith("processes ")]
    run.equal([b - a for a, b in zip(counts, counts[1:])], [n + 1 for n in some],
              "how many processes /proc/stat counted")


def test_uptime(run: Run):
    seconds = 2 + run.random.below(20000) / 1000
    out = run.script(MOUNT_PROC + f"cat /proc/uptime\nsleep {seconds:.3f}\ncat /proc/uptime\n")
    (up1, idle1), (up2, idle2) = ([float(x) for x in line.split()]
                                  for line in out.lines if re.fullmatch(r"[\d.]+ [\d.]+", line))
    up, idle = up2 - up1, idle2 - idle1
    run.check(-0.02 < up - seconds < 0.5, "wrong", f"{seconds} seconds of sleep took {up:.2f} seconds of uptime")
    run.check(seconds - 0.5 < idle <= up + 0.02, "wrong", f"... of which {idle:.2f} were idle")


def test_kernel_log(run: Run):
    mem = 96 + run.random.below(100)
    out = run.script(MOUNT_PROC + "cat /proc/kmsg\n", mem=mem)
    run.check(re.search(rf"memory: \d+ MiB free of ({mem}|{mem - 1}) MiB", out.output), "wrong",
              "/proc/kmsg does not tell how the kernel started", out.output[:1000])
