"""A VirtIO disk that we are: the other end of QEMU's vhost-user-blk, with the guest's memory in our hands.

Idea.       QEMU gives us the rings and shares the guest's memory, and we answer the requests. So a device can
            lie where QEMU's own never would: in the used ring, in lengths, in what it leaves out.
Interface.  with Disk(image_path) as d: QEMU with d.qemu_args(mem) beside the machine's; d.mode = one of
            MODES. d.asked counts requests. The image is read at the start and written back at the end.
Invariants. I1 requests are answered by one thread, in order; the mode is looked at once for each.
"""

import array
import mmap
import os
import selectors
import socket
import struct
import tempfile
import threading
import time

MODES = {
    "good": "",
    "error": "every request fails, by its status",
    "no-read": "every read fails",
    "no-write": "every write fails",
    "no-flush": "every flush fails",
    "short": "half of what was to be read is there, and the length says so; the status is good",
    "no-status": "the status byte is not written",
    "slow": "a fifth of a second for each",
    "long": "more bytes are said to have been written than there was room for",
    "bad-id": "an id that no queue has",
    "idle-id": "the id of a request that is not under way",
    "twice": "each request is answered twice",
    "jump": "the index runs ahead by a thousand",
}
GET_FEATURES, SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 1, 2, 5, 8, 9, 10
GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 11, 12, 13, 14
GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_CONFIG = 15, 17, 24
VERSION_1, PROTOCOL, INDIRECT, FLUSH, SEG_MAX = 1 << 32, 1 << 30, 1 << 28, 1 << 9, 1 << 2
PROTOCOL_CONFIG = 1 << 9
REPLY = 5                                    # flags of an answer: version 1, reply
NEXT, WRITE, IN_TABLE = 1, 2, 4              # descriptor flags
IN, OUT, FLUSH_OUT = 0, 1, 4
FAILS = {"error": (IN, OUT, FLUSH_OUT), "no-read": (IN,), "no-write": (OUT,), "no-flush": (FLUSH_OUT,)}


class Disk:
    def __init__(self, image):
        self.image = image
        with open(image, "rb") as f:
            self.bytes = bytearray(f.read())
        self.mode = "good"
        self.asked = 0
        self.problem = None
        self.regions, self.size, self.next, self.call, self.kick, self.rings = [], 0, 0, None, None, None
        self.folder = tempfile.mkdtemp(prefix="eclipse-vhost-")
        self.path = os.path.join(self.folder, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.stop_ours, self.stop_theirs = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop_ours.send(b"x")
        self.thread.join(10)
        self.listener.close()
        os.unlink(self.path)
        os.rmdir(self.folder)
        with open(self.image, "wb") as f:
            f.write(self.bytes)

    def qemu_args(self, mem):
        return ["-object", f"memory-backend-memfd,id=shared,size={mem}M,share=on",
                "-machine", "memory-backend=shared", "-chardev", f"socket,id=vhost,path={self.path}",
                "-device", "vhost-user-blk-pci,chardev=vhost,num-queues=1,disable-legacy=on"]

    # ---------------------------------------------------------------- the control channel

    def run(self):
        try:
            self.serve()
        except Exception as e:
            self.problem = repr(e)

    def serve(self):
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.listener, selectors.EVENT_READ, self.accept)
        self.sel.register(self.stop_theirs, selectors.EVENT_READ, None)
        while True:
            for key, _ in self.sel.select():
                if key.data is None:
                    return
                key.data(key.fileobj)

    def accept(self, listener):
        self.sel.register(listener.accept()[0], selectors.EVENT_READ, self.message)

    def message(self, sock):
        fds = array.array("i")
        head, ancillary, _, _ = sock.recvmsg(12, socket.CMSG_SPACE(8 * fds.itemsize))
        if len(head) < 12:
            self.sel.unregister(sock)
            sock.close()
            return
        for _, _, data in ancillary:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        request, _, size = struct.unpack("<III", head)
        body = sock.recv(size, socket.MSG_WAITALL) if size else b""

        def answer(payload):
            sock.sendall(struct.pack("<III", request, REPLY, len(payload)) + payload)

        if request == GET_FEATURES:
            answer(struct.pack("<Q", VERSION_1 | PROTOCOL | INDIRECT | FLUSH | SEG_MAX))
        elif request == GET_PROTOCOL_FEATURES:
            answer(struct.pack("<Q", PROTOCOL_CONFIG))
        elif request == GET_QUEUE_NUM:
            answer(struct.pack("<Q", 1))
        elif request == GET_CONFIG:
            offset, length, flags = struct.unpack("<III", body[:12])
            config = struct.pack("<QII4xI", len(self.bytes) // 512, 0, 126, 512).ljust(256, b"\0")
            answer(struct.pack("<III", offset, length, flags) + config[offset:offset + length])
        elif request == SET_MEM_TABLE:
            self.regions = []
            for i, fd in enumerate(fds):
                gpa, length, user, offset = struct.unpack_from("<QQQQ", body, 8 + 32 * i)
                self.regions.append((gpa, user, length, offset, mmap.mmap(fd, offset + length)))
                os.close(fd)
        elif request == SET_VRING_NUM:
            self.size = struct.unpack("<II", body)[1]
        elif request == SET_VRING_BASE:
            self.next = struct.unpack("<II", body)[1]
        elif request == SET_VRING_ADDR:
            self.rings = struct.unpack("<IIQQQQ", body)[2:5]        # descriptors, used, available
        elif request == SET_VRING_CALL:
            self.call = fds[0] if fds else None
        elif request == SET_VRING_KICK and fds:
            self.kick = fds[0]
            self.sel.register(self.kick, selectors.EVENT_READ, self.kicked)
        elif request == GET_VRING_BASE:
            if self.kick is not None:
                self.sel.unregister(self.kick)
                os.close(self.kick)
                self.kick = None
            answer(struct.pack("<II", 0, self.next))

    # ---------------------------------------------------------------- the guest's memory

    def place(self, addr, n, user=False):
        for gpa, va, length, offset, memory in self.regions:
            start = va if user else gpa
            if start <= addr and addr + n <= start + length:
                return memory, offset + addr - start
        raise ValueError(f"the driver names {n} bytes at {addr:#x}")

    def read(self, addr, n, user=False):
        memory, at = self.place(addr, n, user)
        return bytes(memory[at:at + n])

    def store(self, addr, data, user=False):
        memory, at = self.place(addr, len(data), user)
        memory[at:at + len(data)] = data

    # ---------------------------------------------------------------- requests

    def kicked(self, fd):
        os.read(fd, 8)
        desc, used, avail = self.rings
        while True:
            idx, = struct.unpack("<H", self.read(avail + 2, 2, True))
            if idx == self.next:
                return
            head, = struct.unpack("<H", self.read(avail + 4 + self.next % self.size * 2, 2, True))
            self.next = (self.next + 1) % 65536
            self.asked += 1
            self.finish(used, head, *self.execute(self.chain(desc, head)))

    def chain(self, table, at):
        """The pieces of a request: [(address, length, the device writes)]."""
        out, user, limit = [], True, self.size
        while True:
            addr, n, flags, following = struct.unpack("<QIHH", self.read(table + 16 * at, 16, user))
            if flags & IN_TABLE:
                table, at, user, limit = addr, 0, False, n // 16
                continue
            out.append((addr, n, bool(flags & WRITE)))
            if not flags & NEXT or len(out) > limit:
                return out
            at = following

    def execute(self, pieces):
        """Does it. Returns (mode, bytes written)."""
        mode = self.mode
        kind, _, sector = struct.unpack("<IIQ", self.read(pieces[0][0], 16))
        at, done = sector * 512, 0
        total = sum(n for _, n, _ in pieces[1:-1])
        if mode == "slow":
            time.sleep(0.2)
        fails = kind in FAILS.get(mode, ())
        for addr, n, _ in pieces[1:-1] if not fails else []:
            if kind == IN:
                n = min(n, total // 2 - done) if mode == "short" else n
                self.store(addr, bytes(self.bytes[at:at + n]))
                done += n
            elif kind == OUT:
                self.bytes[at:at + n] = self.read(addr, n)
            at += n
        if mode != "no-status":
            self.store(pieces[-1][0], b"\1" if fails else b"\0")
        return mode, (total if kind == IN and fails else done) + 1

    def finish(self, used, head, mode, written):
        idx, = struct.unpack("<H", self.read(used + 2, 2, True))
        ident = {"bad-id": 0xffff0000, "idle-id": (head + self.size // 2) % self.size}.get(mode, head)
        for _ in range(2 if mode == "twice" else 1):
            length = {"long": 1 << 20, "no-status": 0}.get(mode, written)
            self.store(used + 4 + idx % self.size * 8, struct.pack("<II", ident, length), True)
            idx += 1
        self.store(used + 2, struct.pack("<H", (idx + (1000 if mode == "jump" else 0)) % 65536), True)
        if self.call is not None:
            os.write(self.call, struct.pack("<Q", 1))
