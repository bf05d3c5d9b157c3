"""A machine: one QEMU process with its console, QMP monitor and a throw-away disk.

Idea.       The console is one end of a socket pair that QEMU inherits, so not a byte is lost and no name can collide.
            expect() waits for an *event*, and its patience is counted in what the guest could do, not in seconds:
                busy    CPU time of the QEMU process; a loaded host does not use it up
                idle    a guest that halts and says nothing for so long will never say anything
                wall    host time, generous, only so that the run ends
Interface.  with Machine(boot=..., disk=..., ...) as m: m.expect(r"..."); m.send("..."); m.wait_exit()
Invariants. I1 the process is gone, and waited for by its pid, when the with-block ends.
            I2 the image given is never written to unless writable=True.
"""

import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

from grade.eclipse import build

BUSY, IDLE, WALL = 60.0, 45.0, 240.0
STATUS_POWEROFF, STATUS_OK, STATUS_PANIC, STATUS_TESTS_FAILED = 0, 33, 35, 37


class GuestError(AssertionError):
    """The guest did not do what was expected. Carries the end of the console."""


def cpu_seconds(pid):
    """CPU time used by a process and those it started (a QEMU in a sandbox), or None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return None
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return used + sum(cpu_seconds(int(child)) or 0.0 for child in f.read().split())
    except OSError:
        return used


def die_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def disk_args(disk, image, writable, name="disk0", boot=True):
    """QEMU's words for one disk; `image` is a path or a list of -drive words."""
    words = ",".join(image) if isinstance(image, list) else f"file={image},format=raw"
    drive = words + ("" if writable else ",snapshot=on")
    index = ",bootindex=0" if boot else ""
    if disk == "ata":
        return ["-drive", f"{drive},if=none,id={name}", "-device", f"ide-hd,drive={name}{index}"]
    device = {
        "virtio": f"virtio-blk-pci,drive={name}{index}",
        "virtio-modern": f"virtio-blk-pci,disable-legacy=on,drive={name}{index}",
        "virtio-mmio": f"virtio-blk-device,drive={name}",
        "usb": f"usb-storage,drive={name}{index}",
    }[disk]
    return ["-drive", f"{drive},if=none,id={name}", "-device", device]


def may_grow(regex, text, match):
    """Whether `match`, at the end of `text`, might be another one or none if its line went on. A pattern with \\Z wants the end itself."""
    if match.end() < len(text) or r"\Z" in regex.pattern:
        return False
    longer = [regex.search(text + more, match.start()) for more in "0x "]
    return any(not m or m.end() != match.end() for m in longer)


class Machine:
    def __init__(self, boot="direct", disk="virtio", image=None, kernel=None, archive=None, cpus=1, mem=512, append="",
                 writable=False, extra=(), accel="tcg", fds=()):
        self.console = ""            # everything the console said, without carriage returns
        self.at = 0                  # expect() looks from here on
        self.status = None
        self.closed = False
        ours, theirs = socket.socketpair()
        qmp_ours, qmp_theirs = socket.socketpair()
        argv = self.argv(boot, disk, image, kernel, archive, cpus, mem, append, writable, accel)
        argv += ["-chardev", f"socket,id=console,fd={theirs.fileno()}", "-serial", "chardev:console",
                 "-chardev", f"socket,id=qmp,fd={qmp_theirs.fileno()}", "-mon", "chardev=qmp,mode=control", *extra]
        self.command = " ".join(argv)
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr,
                                        pass_fds=[theirs.fileno(), qmp_theirs.fileno(), *fds], preexec_fn=die_with_parent)
        theirs.close()
        qmp_theirs.close()
        self.serial = ours
        self.serial.setblocking(False)
        self.qmp_socket = qmp_ours
        self.qmp_socket.settimeout(60)
        self.qmp_file = None

    @staticmethod
    def argv(boot, disk, image, kernel, archive, cpus, mem, append, writable, accel):
        mmio = disk == "virtio-mmio"
        machine = "microvm,acpi=on,isa-serial=on,pit=on,pic=on,rtc=on" if mmio else "pc"
        argv = [build.QEMU, "-machine", machine, "-cpu", "max", "-accel", accel, "-m", str(mem), "-smp", str(cpus),
                "-display", "none", "-nodefaults", "-net", "none", "-no-user-config",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        if not mmio:
            argv += ["-vga", "std"]
        if mmio:
            argv += ["-global", "virtio-mmio.force-legacy=false"]
        if disk == "usb":
            argv += ["-device", "qemu-xhci"]
        if boot == "direct":
            argv += ["-kernel", build.need(kernel or build.kernel()), "-append", append]
            if archive is not False:
                argv += ["-initrd", build.need(archive or build.path("archive.cpio"))]
        else:
            image = image or build.path("eclipse.img")
            if append:
                argv += ["-smbios", "type=11,value=eclipse:" + append.replace(",", ",,")]
            if boot == "uefi":
                argv += ["-bios", build.ovmf()]
        if image is not None:
            argv += disk_args(disk, build.need(image) if isinstance(image, str) else image, writable, boot=boot != "direct")
        return argv

    # ---------------------------------------------------------------- console

    def _pump(self, timeout):
        """Reads what the console has, waiting up to `timeout`. Returns False at end of file."""
        ready, _, _ = select.select([self.serial], [], [], timeout)
        if not ready:
            return True
        try:
            data = self.serial.recv(65536)
        except ConnectionResetError:
            data = b""
        self.console += data.decode("utf-8", "replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, busy=BUSY, idle=IDLE, wall=WALL):
        """Waits until the console says `pattern` (a regular expression, from where the last one ended).

        Text arrives in pieces: what matches at the end of it ("status 1" of "status 11") is waited for until it can be no other.
        """
        regex = re.compile(pattern, re.M)
        start = quiet = time.monotonic()
        cpu0 = cpu_quiet = cpu_seconds(self.process.pid)
        alive = True
        while True:
            match = regex.search(self.console, self.at)
            if match and not (alive and may_grow(regex, self.console, match)):
                self.at = match.end()
                return match
            if not alive:
                self._reap()
                raise self.error(f"QEMU ended (status {self.status}) while waiting for {pattern!r}")
            size = len(self.console)
            alive = self._pump(0.5)
            now, cpu = time.monotonic(), cpu_seconds(self.process.pid)
            if len(self.console) != size:
                quiet, cpu_quiet = now, cpu
            elif cpu is not None and cpu - cpu_quiet > 0.1 * (now - quiet):
                quiet, cpu_quiet = now, cpu          # quiet but busy
            if cpu is not None and cpu0 is not None and cpu - cpu0 > busy:
                raise self.error(f"{busy:.0f} s of guest work went by while waiting for {pattern!r}")
            if now - quiet > idle:
                raise self.error(f"the guest halts and says nothing while waiting for {pattern!r}")
            if now - start > wall:
                raise self.error(f"{wall:.0f} s went by while waiting for {pattern!r}")

    def send(self, text):
        """Types `text`. QEMU holds back what the serial port cannot take yet; send line by line all the same."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            _, ready, _ = select.select([self.serial], [self.serial], [], 30)[0:3]
            if not ready:
                self._pump(0)
                raise self.error("the guest does not read its console")
            data = data[self.serial.send(data):]
            self._pump(0)

    def drain(self, seconds=0.3):
        """Collects what the console still says."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._pump(0.1):
            pass

    def tail(self, n=3000):
        return self.console[-n:]

    def error(self, what):
        self.stderr.seek(0)
        qemu = self.stderr.read().decode("utf-8", "replace").strip()
        text = f"{what}\n--- end of the console:\n{self.tail()}"
        if qemu:
            text += f"\n--- QEMU said:\n{qemu[-2000:]}"
        return GuestError(text + f"\n--- started as:\n{self.command[:3000]}")

    # ---------------------------------------------------------------- QMP

    def qmp(self, command, **arguments):
        """Runs a QMP command; returns its answer."""
        if self.qmp_file is None:
            self.qmp_file = self.qmp_socket.makefile("rw")
            self.qmp_file.readline()                 # greeting
            self.qmp("qmp_capabilities")
        self.qmp_file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp_file.flush()
        while True:
            line = self.qmp_file.readline()
            if not line:
                raise self.error(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise self.error(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    # ---------------------------------------------------------------- the end

    def wait_exit(self, busy=BUSY, idle=IDLE, wall=WALL):
        """Waits until QEMU has ended; returns its exit status."""
        try:
            self.expect(r"(?!)", busy, idle, wall)
        except GuestError:
            if self.status is None:
                raise
        return self.status

    def _reap(self):
        try:
            self.status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.status = self.process.wait()

    def close(self):
        if self.closed:
            return
        self.closed = True
        if self.process.poll() is None:
            self.process.kill()
        self._reap()
        self.serial.close()
        self.qmp_socket.close()
        self.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
