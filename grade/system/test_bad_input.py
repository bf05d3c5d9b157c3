"""Hostile input of every kind: the answer is an error or a message, and the machine goes on."""

import os
import random
import re
import struct
import subprocess

import pytest

from grade.eclipse import build
from grade.eclipse.qemu import STATUS_PANIC, Machine, disk_args
from grade.eclipse.shell import Shell
from grade.host import test_eclipsefs as efs

pytestmark = pytest.mark.lab(11)


def mem_free(sh):
    return int(re.search(r"MemFree:\s+(\d+)", sh.ok("cat /proc/meminfo"))[1])


@pytest.mark.points(5)
@pytest.mark.cost(100)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_system_calls(seed):
    """A million calls over the seeds, four CPUs: no panic, no hang, and free memory is stable."""
    calls = int(os.environ.get("FUZZ_CALLS", "350000"))
    with Machine(image=build.test_image(), cpus=4) as m:
        sh = Shell(m)
        sh.ok("/tests/fuzz 20000 99 4; rm -r /tmp/fuzz", busy=200)
        before = mem_free(sh)
        out = sh.ok(f"/tests/fuzz {calls} {seed} 4", busy=400, wall=400)
        assert out.endswith("ok\n")
        sh.ok("rm -r /tmp/fuzz")
        after = mem_free(sh)
        assert after > before - 4096, f"{before - after} kB are gone"
        assert sh.ok("echo alive | cat") == "alive\n"


@pytest.mark.points(3)
@pytest.mark.parametrize("cpus,mem", [(1, 64), (4, 512)])
def test_fork_bomb(cpus, mem):
    with Machine(image=build.test_image(), cpus=cpus, mem=mem) as m:
        sh = Shell(m)
        out = sh.ok("/tests/forkbomb", busy=300, idle=120)
        assert out.endswith("ok\n"), out
        assert sh.ok("echo alive | cat") == "alive\n"


@pytest.mark.points(2)
def test_memory_hog():
    """A program that takes all memory is refused or killed; the shell goes on."""
    with Machine(image=build.test_image(), mem=64) as m:
        sh = Shell(m)
        sh.run("busybox awk 'BEGIN { s = \"x\"; while (1) s = s s }' 2>/dev/null", busy=200)
        sh.run("busybox dd if=/dev/zero of=/tmp/all bs=1M 2>/dev/null", busy=200)
        sh.ok("rm -f /tmp/all")
        assert sh.ok("echo alive | cat") == "alive\n"


def mutants(data, rng, count):
    """Broken relatives of an ELF file: truncated, bytes changed in the headers, fields set to extreme values."""
    out = []
    for i in range(count):
        d = bytearray(data)
        kind = i % 4
        if kind == 0:
            d = d[:rng.randrange(len(d))]
        elif kind == 1:
            for _ in range(rng.randrange(1, 8)):
                d[rng.randrange(64)] = rng.randrange(256)
        elif kind == 2:
            for _ in range(rng.randrange(1, 6)):
                d[64 + rng.randrange(56 * 3)] = rng.randrange(256)
        else:
            phnum = struct.unpack_from("<H", d, 56)[0]
            at = struct.unpack_from("<Q", d, 32)[0] + 56 * rng.randrange(max(phnum, 1)) + 8 * rng.randrange(1, 7)
            value = rng.choice([0, 1, 0xFFF, 0x1000, 1 << 31, (1 << 47) - 4096, 1 << 47, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
                                0xFFFFFFFF80100000, rng.getrandbits(64)])
            struct.pack_into("<Q", d, at, value)
        out.append(bytes(d))
    return out


def filesystem(tree, path, size="16M"):
    subprocess.run([build.tool("mkfs.eclipsefs"), "-d", str(tree), "-s", size, str(path)], check=True, stdout=subprocess.DEVNULL)
    return str(path)


@pytest.mark.points(4)
@pytest.mark.cost(20)
@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_programs(seed, tmp_path):
    rng = random.Random(seed)
    tree = tmp_path / "tree"
    tree.mkdir()
    with open(build.need(build.path("user/strip/bin/echo")), "rb") as f:
        data = f.read()
    for i, mutant in enumerate(mutants(data, rng, 120)):
        (tree / f"m{i:03}").write_bytes(mutant)
        (tree / f"m{i:03}").chmod(0o755)
    (tree / "script").write_text("#!/nowhere/interpreter\n")
    (tree / "loop").write_text("#!/mnt/loop\n")
    (tree / "empty").write_text("")
    (tree / "long").write_text("#!" + "x" * 5000 + "\n")
    for name in ("script", "loop", "empty", "long"):
        (tree / name).chmod(0o755)
    disk = filesystem(tree, tmp_path / "programs.img")
    with Machine(image=build.test_image(), cpus=2, extra=disk_args("virtio", disk, False, "disk1", boot=False)) as m:
        sh = Shell(m)
        sh.ok("mount -t eclipsefs /dev/vdb /mnt")
        before = mem_free(sh)
        sh.run("for f in /mnt/*; do busybox timeout 2 $f hello </dev/null >/dev/null 2>/dev/null; done", busy=300)
        assert sh.run("/mnt/loop 2>/dev/null")[1] in (126, 127)
        sh.run("sleep 3")               # timeout leaves a process that watches for up to two seconds
        assert before - mem_free(sh) < 8192
        assert sh.ok("/bin/echo alive | cat") == "alive\n"


def sample_tree(path):
    (path / "dir" / "deep").mkdir(parents=True)
    for i in range(40):
        (path / f"file{i}").write_text(f"contents {i}\n" * (i * 40 + 1))
        (path / "dir" / f"n{i}").write_text("x")
    (path / "link").symlink_to("file1")
    (path / "dir" / "deep" / "big").write_bytes(os.urandom(300000))


def mutated(good, rng, cut):
    """A broken relative of a version 3.0 image; mostly with right checksums, so that the damage is believed."""
    d = bytearray(good)
    metadata = [b for magic in (b"EBMP", b"EIMP", b"EINO", b"EEXT", b"EDIR", b"EJSB") for b in efs.blocks_of(good, magic)] + [0]
    for _ in range(rng.choice([1, 2, 8])):
        block = rng.choice(metadata)
        for _ in range(rng.choice([1, 4, 16])):
            at = block * 4096 + rng.choice([rng.randrange(8, 4092), rng.randrange(32, 300), 256 + rng.randrange(1500)])
            struct.pack_into("<I", d, at, rng.choice([0, 1, 3, 0xFFFFFFFF, rng.randrange(1 << 32), rng.choice(metadata)]))
        if block and rng.random() < 0.8:
            efs.seal(d, block)
    return d[:rng.randrange(1, len(d) // 4096) * 4096] if cut else d


def mutated_v2(rng):
    d = bytearray(efs.v2_image(efs.V2))
    for _ in range(rng.choice([1, 3, 10])):
        d[rng.choice([rng.randrange(65), 4096 + rng.randrange(200), rng.randrange(4096, len(d))])] = rng.randrange(256)
    return bytes(d).ljust(65536, b"\0")


@pytest.mark.points(4)
@pytest.mark.cost(30)
@pytest.mark.parametrize("seed", range(4))
def test_mutated_disk_images(seed, tmp_path):
    """Sixteen broken file systems per boot: mount, read all, write, unmount. Errors are welcome, a panic is not."""
    rng = random.Random(seed)
    tree = tmp_path / "tree"
    tree.mkdir()
    sample_tree(tree)
    with open(filesystem(tree, tmp_path / "good.img", "4M"), "rb") as f:
        good = f.read()
    extra = []
    for i in range(16):
        name = tmp_path / f"bad{i}.img"
        name.write_bytes(mutated_v2(rng) if i % 8 == 6 else mutated(good, rng, cut=i % 8 == 7))
        extra += disk_args("virtio", str(name), True, f"bad{i}", boot=False)
    with Machine(image=build.test_image(), cpus=2, extra=extra) as m:
        sh = Shell(m)
        for i in range(16):
            name = "vd" + "bcdefghijklmnopqrstuvwxyz"[i]
            sh.run(f"mount -t eclipsefs /dev/{name} /mnt && (busybox find /mnt -type f -exec head -c 70000 {{}} + ; ls -l /mnt/dir; "
                   f"echo new > /mnt/new; echo more >> /mnt/file3; mkdir /mnt/d2; mv /mnt/file1 /mnt/dir/moved; rm -r /mnt/dir; sync) "
                   f">/dev/null 2>/dev/null; umount /mnt 2>/dev/null", busy=120)
        assert sh.ok("echo alive | cat") == "alive\n"


@pytest.mark.points(3)
@pytest.mark.parametrize("seed", range(2))
def test_mutated_partition_tables(seed, tmp_path):
    """Disks with broken partition tables beside a good one: the machine boots and names what it found."""
    rng = random.Random(seed)
    with open(build.need(build.path("eclipse.img")), "rb") as f:
        head = f.read(2048 * 512)
    extra = []
    for i in range(16):
        d = bytearray(head)
        for _ in range(rng.choice([1, 2, 8, 64])):
            d[rng.choice([446, 512, 512, 1024, 1024]) + rng.randrange(64)] = rng.choice([0, 1, 255, rng.randrange(256)])
        if i % 3 == 0:                                  # make the header's checksums right again, so that it is believed
            import binascii
            struct.pack_into("<I", d, 512 + 88, binascii.crc32(bytes(d[1024:1024 + 128 * 128])))
            struct.pack_into("<I", d, 512 + 16, 0)
            struct.pack_into("<I", d, 512 + 16, binascii.crc32(bytes(d[512:512 + 92])))
        name = tmp_path / f"table{i}.img"
        name.write_bytes(d[:rng.choice([512, 1024, 17 * 1024, len(d)])])
        extra += disk_args("virtio" if i < 14 else "ata", str(name), False, f"table{i}", boot=False)
    with Machine(image=build.test_image(), extra=extra) as m:
        sh = Shell(m)
        assert sh.ok("echo alive | cat") == "alive\n"
        sh.run("for d in /dev/vd* /dev/sd*; do busybox dd if=$d of=/dev/null bs=4k count=4 2>/dev/null; done")
        assert sh.ok("echo alive | cat") == "alive\n"


def blkdebug(tmp_path, image, rules):
    config = tmp_path / "rules.conf"
    config.write_text(rules)
    return ["driver=raw", "file.driver=blkdebug", f"file.config={config}", "file.image.driver=file", f"file.image.filename={image}"]


@pytest.mark.points(3)
@pytest.mark.parametrize("kind,name", [("virtio", "vdb"), ("ata", "sda")])
@pytest.mark.parametrize("event", ["read_aio", "write_aio", "flush_to_disk"])
def test_disk_errors(kind, name, event, tmp_path):
    """A disk that fails reads, writes or flushes: EIO to who asked, the machine goes on."""
    tree = tmp_path / "tree"
    tree.mkdir()
    sample_tree(tree)
    disk = filesystem(tree, tmp_path / "disk.img")
    rules = f'[inject-error]\nevent = "{event}"\nerrno = "5"\nonce = "off"\nimmediately = "off"\n'
    if event == "read_aio":
        rules += f'sector = "{os.path.getsize(disk) // 512 // 2}"\n'
    spec = blkdebug(tmp_path, disk, rules)
    with Machine(image=build.test_image(), extra=disk_args(kind, spec, True, "disk1", boot=False)) as m:
        sh = Shell(m)
        if event == "read_aio":
            output, status = sh.run(f"busybox dd if=/dev/{name} of=/dev/null bs=64k 2>&1")
            assert status == 1 and "I/O error" in output or "Input/output error" in output, output
        else:
            output, status = sh.run(f"busybox dd if=/dev/zero of=/dev/{name} bs=64k count=4 seek=100 conv=notrunc,fsync 2>&1")
            assert status != 0 and ("I/O error" in output or "Input/output error" in output), output
            sh.run(f"mount -t eclipsefs /dev/{name} /mnt && (echo x > /mnt/x; rm /mnt/file2; sync) 2>/dev/null; umount /mnt", idle=100)
        assert sh.ok("echo alive | cat") == "alive\n"


@pytest.mark.points(2)
@pytest.mark.parametrize("kind", ["virtio", "ata"])
def test_root_disk_is_broken(kind, tmp_path):
    """No sector of the root disk can be read: a message, and init from the boot archive."""
    rules = '[inject-error]\nevent = "read_aio"\nerrno = "5"\nonce = "off"\nimmediately = "off"\n'
    with Machine(disk=kind, image=blkdebug(tmp_path, build.test_image(), rules)) as m:
        assert Shell(m).ok("echo alive") == "alive\n"


@pytest.mark.points(3)
def test_panic_leaves_with_a_backtrace():
    """A non-maskable interrupt nobody asked for is a panic: file and line, CPU, backtrace with names, status 35."""
    with Machine(image=build.test_image()) as m:
        Shell(m)
        m.qmp("inject-nmi")
        m.expect(r"(?i)panic")
        status = m.wait_exit()
        assert status == STATUS_PANIC, m.error(f"status {status}")
        assert re.search(r"cpu\s*0", m.console, re.I), m.error("no CPU named")
        assert re.search(r"\w+\+0x[0-9a-f]+", m.console), m.error("no function named")


@pytest.mark.points(2)
@pytest.mark.parametrize("cpus", [1, 4])
def test_user_faults(cpus):
    """A program that faults dies with the right status and a line that says where; nothing else does."""
    with Machine(image=build.test_image(), cpus=cpus) as m:
        sh = Shell(m)
        for signal, status in ((11, 139), (8, 136), (4, 132), (6, 134)):
            assert sh.run(f"busybox sh -c 'kill -{signal} $$'; true")[1] == 0
            assert sh.run(f"(busybox sh -c 'kill -{signal} $$')")[1] == status
        assert sh.ok("echo alive | cat") == "alive\n"
