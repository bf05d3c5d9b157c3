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
    script = MOUNT_PROC + "".join(f"mkdir '/tmp/{name}'\nmount -t tmpfs '{source}' '/tmp/{name}'\n" for name, source in names.items())
    out = run.script(script + "cat /proc/mounts\n")

    def escaped(text):
        return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)
    want = [f"{escaped(source)} /tmp/{escaped(name)} tmpfs rw" for name, source in names.items()]
    run.equal([line.split(",")[0] for line in out.lines if " /tmp/m" in line], want, "the lines of /proc/mounts")


def test_meminfo(run: Run):
    mem = 96 + run.random.below(300)
    out = run.script(MOUNT_PROC + "cat /proc/meminfo\n", mem=mem)
    for line in out.lines:
        run.check(re.fullmatch(r"\w+(\(\w+\))?: +\d+( kB)?", line), "wrong", f"a line of /proc/meminfo: {line!r}")
    kb = {line.split(":")[0]: int(line.split()[1]) for line in out.lines}
    total, free = kb["MemTotal"] / 1024, kb["MemFree"] / 1024
    run.check(mem * 0.9 < total <= mem, "wrong", f"MemTotal is {total:.1f} MiB; the machine has {mem}")
    run.check(0 < free < total, "wrong", f"MemFree is {free:.1f} MiB of {total:.1f}")


def test_stat_counts(run: Run):
    n = 3 + run.random.below(20)
    look = "grep processes /proc/stat\n"
    out = run.script(MOUNT_PROC + look + "/bin/echo >/dev/null\n" * n + look)
    before, after = [int(line.split()[1]) for line in out.lines if line.startswith("processes ")]
    run.equal(after - before, n + 1, "how many processes /proc/stat counted")


def test_uptime(run: Run):
    out = run.script(MOUNT_PROC + "cat /proc/uptime\nsleep 2\ncat /proc/uptime\n")
    (up1, idle1), (up2, idle2) = ([float(x) for x in line.split()] for line in out.lines if re.fullmatch(r"[\d.]+ [\d.]+", line))
    run.check(1.95 < up2 - up1 < 2.5, "wrong", f"2 seconds of sleep took {up2 - up1:.2f} seconds of uptime")
    run.check(1.5 < idle2 - idle1 <= up2 - up1 + 0.02, "wrong", f"... of which {idle2 - idle1:.2f} were idle")


def test_kernel_log(run: Run):
    mem = 96 + run.random.below(100)
    out = run.script(MOUNT_PROC + "cat /proc/kmsg\n", mem=mem)
    run.check(re.search(rf"memory: \d+ MiB free of ({mem}|{mem - 1}) MiB", out.output), "wrong", "/proc/kmsg does not tell how the kernel started",
              out.output[:1000])
