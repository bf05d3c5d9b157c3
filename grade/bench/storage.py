"""`make bench GROUP=storage`: EclipseFS on Eclipse against ext4 on Linux, in the same QEMU.

Idea.       Both boot with `-kernel` and an archive that holds one and the same program (storage.c) as the first process, and a fresh
            disk of the same size as /dev/vda. What an operation costs is measured twice: in guest instructions, under
            `-icount shift=0` with the plugin count.c; and in time, in boots of their own that take turns, Linux, Eclipse, Linux,
            Eclipse, so that what else the host does hits both. Of all the times a row ran the least counts: a busy host only ever adds.

                linux/ deb or /boot -> kernel, modules -> archive --.
                                                 storage (ours) ----+--> QEMU --> "row NAME OPS NS", "count USER KERNEL" --> table
                kernel.elf ------------------------------ archive --'

            Linux is set up to be as fast as it can be: no mitigations, hardening or auditing, and no string instructions by the
            byte, which an emulator does byte by byte. Without a Linux kernel only our side is measured.
Interface.  python3 -m grade.bench.storage --build DIR [--runs N] [--scale N] [--rows "a b"] [--cache MODE] [--only SYSTEM]
            [--json FILE]
"""

import argparse
import glob
import json
import lzma
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
DISK_MIB, BOOT_SECONDS = 256, 900
# In the order in which they must be loaded; what is not there is built in.
MODULES = """virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
             crc16 libcrc32c crc32c_generic mbcache jbd2 ext4""".split()
LINUX_WORDS = ("console=ttyS0 quiet loglevel=0 panic=-1 mitigations=off audit=0 lsm=capability init_on_alloc=0 "
               "hardened_usercopy=off randomize_kstack_offset=off clearcpuid=erms,fsrm nopku tsc=reliable "
               "transparent_hugepage=never rdinit=/storage")
UNITS = {"seq_write": "KiB", "seq_read": "KiB", "seq_read_warm": "KiB", "readdir": "entry", "raw_qd1": "read",
         "raw_qd32": "read", "rand_read": "read"}


class Bench:
    def __init__(self, args):
        self.args = args
        self.dir = os.path.join(args.build, "bench")
        os.makedirs(self.dir, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def archive(self, name, files):
        """A boot archive of {path: host file}."""
        out = self.path(name)
        subprocess.run([sys.executable, os.path.join(ROOT, "lib/host/mkcpio.py"), out] +
                       [f"/{k}={v}" for k, v in files.items()], check=True)
        return out

    # ---- Linux

    def linux_tree(self):
        """A folder with boot/vmlinuz-* and lib/modules: unpacked from Debian's package, or / itself; None."""
        tree, debs = self.path("linux"), glob.glob(self.path("linux-image-*.deb"))
        if not debs and not glob.glob("/boot/vmlinuz-*-amd64") and shutil.which("apt-get"):
            self.download()
            debs = glob.glob(self.path("linux-image-*.deb"))
        if debs and not os.path.isdir(tree):
            subprocess.run(["dpkg-deb", "-x", debs[0], tree], check=True)
        for t in (tree, "/"):
            if glob.glob(os.path.join(t, "boot/vmlinuz-*")):
                return t
        return None

    def download(self):
        """Debian's kernel for virtual machines, into the build folder."""
        depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], stdout=subprocess.PIPE, text=True).stdout
        name = re.search(r"Depends: (linux-image-\d\S+)", depends)
        if name:
            print(f"bench: downloading {name[1]}", flush=True)
            subprocess.run(["apt-get", "-qq", "download", name[1]], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def linux_modules(self, tree, version):
        """{path in the archive: host file} of those modules that the kernel has as files."""
        files, folder = {}, os.path.join(tree, "lib/modules", version)
        for name in MODULES:
            found = [os.path.join(d, f) for d, _, names in os.walk(folder) for f in names if f.split(".ko")[0] == name and ".ko" in f]
            if not found:
                continue
            plain = self.path(f"{len(files):02d}.ko")
            with open(found[0], "rb") as f, open(plain, "wb") as g:
                data = f.read()
                g.write(lzma.decompress(data) if found[0].endswith(".xz") else data)
            files[f"modules/{len(files):02d}.ko"] = plain
        return files

    def linux(self, program):
        """The words for QEMU and a maker of empty disks; None: no Linux here."""
        tree = self.linux_tree()
        if not tree or not shutil.which("mkfs.ext4"):
            return None
        kernel = sorted(glob.glob(os.path.join(tree, "boot/vmlinuz-*")))[-1]
        files = self.linux_modules(tree, os.path.basename(kernel)[len("vmlinuz-"):])
        archive = self.archive("linux.cpio", {"storage": program, **files})
        return ["-kernel", kernel, "-initrd", archive, "-append", f"{LINUX_WORDS} -- ext4 {self.words()}"], self.disk_ext4

    def disk_ext4(self, image):
        with open(image, "wb") as f:
            f.truncate(DISK_MIB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)

    # ---- Eclipse

    def eclipse(self, program):
        archive = self.archive("eclipse.cpio", {"storage": program})
        return ["-kernel", self.args.kernel, "-initrd", archive, "-append",
                f"loglevel=3 init=/storage -- eclipsefs {self.words()}"], self.disk_eclipsefs

    def disk_eclipsefs(self, image):
        if os.path.exists(image):
            os.unlink(image)
        subprocess.run([os.path.join(self.args.build, "bin/mkfs.eclipsefs"), "-s", f"{DISK_MIB}M", image], check=True,
                       stdout=subprocess.DEVNULL)

    # ---- running

    def words(self):
        return " ".join([str(self.args.scale)] + self.args.rows)

    def boot(self, system, more=()):
        """Boots one system; returns the lines of its console."""
        words, mkfs = system
        image = self.path("disk.img")
        mkfs(image)
        fill(image, durable=self.args.cache != "unsafe")
        command = [QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "512", "-machine", "pc", "-display", "none", "-nodefaults",
                   "-no-reboot", "-net", "none", "-serial", "stdio", "-drive", f"file={image},format=raw,if=virtio,cache={self.args.cache}",
                   *words, *more]
        p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BOOT_SECONDS)
        lines = p.stdout.decode(errors="replace").replace("\r", "").splitlines()
        if "storage: done" not in lines:
            raise SystemExit("bench: the program did not end well:\n" + "\n".join(lines[-15:]))
        return [m for m in (re.match(r"row (\w+) (\d+) (\d+)$", line) for line in lines) if m]

    def times(self, system):
        """{row: least nanoseconds per operation} of one boot."""
        best = {}
        for row in self.boot(system):
            ns = int(row[3]) / int(row[2])
            best[row[1]] = min(ns, best.get(row[1], ns))
        return best

    def counts(self, system):
        """{row: (user, kernel) instructions per operation}, each of the time that took the fewest in all."""
        log, best = self.path("count.log"), {}
        rows = self.boot(system, ["-icount", "shift=0", "-plugin", self.path("count.so"), "-d", "plugin", "-D", log])
        with open(log) as f:
            counted = [tuple(map(int, m.groups())) for m in re.finditer(r"^count (\d+) (\d+)$", f.read(), re.M)]
        if len(counted) != len(rows):
            raise SystemExit(f"bench: {len(rows)} rows, but {len(counted)} counts in {log}")
        for row, pair in zip(rows, counted):
            per = tuple(x / int(row[2]) for x in pair)
            best[row[1]] = min(per, best.get(row[1], per), key=sum)
        return best


def fill(image, durable):
    """No holes in the disk: what the host does to fill one at the next flush is no matter of the guest's."""
    with open(image, "r+b") as f:
        while chunk := f.read(1 << 20):
            f.seek(-len(chunk), os.SEEK_CUR)
            f.write(chunk)
        f.flush()
        if durable:
            os.fsync(f.fileno())


def measure(bench, systems):
    """{system: {row: {"insns": n, "user": n, "ns": n}}}"""
    seen = {name: [] for name in systems}
    counts = {name: bench.counts(s) for name, s in systems.items()}
    for i in range(bench.args.runs):
        for name, s in systems.items():
            print(f"bench: time, boot {i + 1} of {bench.args.runs}: {name}", file=sys.stderr, flush=True)
            seen[name].append(bench.times(s))
    return {name: {row: {"insns": sum(pair), "user": pair[0],
                         "ns": min((run[row] for run in seen[name]), default=0)}
                   for row, pair in counts[name].items()} for name in systems}


def table(result):
    """Prints it; ratios above 1: Eclipse is ahead."""
    ours, linux = result["Eclipse"], result.get("Linux", {})
    print(f"{'':18}{'per':>7} | {'instructions':^32} | {'nanoseconds':^32}")
    print(f"{'':18}{'':>7} | {'Eclipse':>11}{'Linux':>11}{'ratio':>10} | {'Eclipse':>11}{'Linux':>11}{'ratio':>10}")
    for row, us in ours.items():
        text = f"{row:18}{UNITS.get(row, 'file'):>7}"
        for key in ("insns", "ns"):
            them = linux.get(row, {}).get(key)
            ratio = f"{them / us[key]:.2f}" if them and us[key] else "-"
            text += f" | {us[key]:11.1f}" + (f"{them:11.1f}" if them else f"{'-':>11}") + f"{ratio:>10}"
        print(text)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--kernel", required=True)
    p.add_argument("--program", required=True)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--scale", type=int, default=1)
    p.add_argument("--rows", type=str.split, default=[])
    p.add_argument("--cache", default="unsafe")
    p.add_argument("--only", default="")
    p.add_argument("--json")
    bench = Bench(p.parse_args())
    linux = bench.args.only in "Linux" and bench.linux(bench.args.program)
    systems = {"Linux": linux, "Eclipse": bench.eclipse(bench.args.program)}
    if not linux and not bench.args.only:
        print("bench: no Linux kernel (package linux-image-cloud-amd64) or no mkfs.ext4: Eclipse only")
    systems = {k: v for k, v in systems.items() if v and bench.args.only in k}
    result = measure(bench, systems)
    if bench.args.json:
        with open(bench.args.json, "w") as f:
            json.dump(result, f, indent=1)
    if "Eclipse" in result:
        table(result)


if __name__ == "__main__":
    main()
