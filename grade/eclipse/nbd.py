"""A disk that remembers everything: an NBD server for two disks, one under test and one for markers.

Idea.       QEMU's disk is this server. Each write and flush is noted when it comes in and again when it
            has been answered, in one order together with the markers that the workload writes to the
            second disk. Unlike a log that knows only when requests were made, this tells what a flush may
            be trusted to cover: only writes answered before it came in. Answers are held back a moment and
            given in random order, as a disk with a queue would: a file system that does not wait for its
            writes is found out.
            Faults: the disk may also fail requests. Of a write that fails none, all or some of the sectors
            have changed; a flush that fails has lost, for good, some of what it should have covered. The
            log then has what the disk did, so that whoever reads it need not know about errors.
Interface.  with Recorder(image_bytes, log_path, seed, faults) as r: QEMU with r.qemu_args(); after it ended:
            r.problem, r.events. The log: "ECRASH01", u64 size, the disk as it was; then events: u8 kind, 3
            zero bytes, u32 id, u64 offset, u32 length, u32 zero, and length bytes of data. Kinds: see below.
            faults: a function (random, kind, offset, length) that says whether this write or flush fails.
"""

import os
import random
import selectors
import socket
import struct
import tempfile
import threading

WRITE, DONE, FLUSH, FLUSHED, MARK, LOST = 1, 2, 3, 4, 5, 6
SECTOR = 512
MARKS_SIZE = 16 * 4096
HOLD = 0.0004                      # seconds that an answer is held back while nothing else happens
QUEUE = 12                         # never more answers than this

HAS_FLAGS, SEND_FLUSH = 1, 4
OPT_EXPORT_NAME, OPT_ABORT, OPT_INFO, OPT_GO = 1, 2, 6, 7
REP_ACK, REP_INFO, REP_ERR_UNSUP, REP_ERR_UNKNOWN = 1, 3, 0x80000001, 0x80000006
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH = 0, 1, 2, 3
EIO, EINVAL = 5, 22


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.input = bytearray()
        self.state = "flags"
        self.disk = None


class Recorder:
    def __init__(self, image, log_path, seed=1, faults=None):
        self.disks = {"disk": bytearray(image), "marks": bytearray(MARKS_SIZE)}
        self.log = open(log_path, "wb")
        self.log.write(b"ECRASH01" + struct.pack("<Q", len(image)) + image)
        self.random = random.Random(seed)
        self.faults = faults
        self.unflushed = {}                 # id of a write: None, or how many events there were when it was done
        self.failed = 0
        self.held = []                      # (connection, reply, kind, id, events when it came in)
        self.next_id = 0
        self.events = 0
        self.problem = None
        self.folder = tempfile.mkdtemp(prefix="eclipse-nbd-")
        self.path = os.path.join(self.folder, "s")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.stop_ours, self.stop_theirs = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop_ours.send(b"x")
        self.thread.join(10)
        self.log.close()
        self.listener.close()
        os.unlink(self.path)
        os.rmdir(self.folder)

    def qemu_args(self, names=("disk", "marks")):
        args = []
        for name in names:
            server = f"server.type=unix,server.path={self.path}"
            args += ["-blockdev", f"driver=nbd,node-name={name},{server},export={name}",
                     "-device", f"virtio-blk-pci,drive={name}"]
        return args

    # ---------------------------------------------------------------- the loop

    def run(self):
        try:
            self.serve()
        except Exception as e:              # the main thread reports it
            self.problem = repr(e)

    def serve(self):
        sel = selectors.DefaultSelector()
        sel.register(self.listener, selectors.EVENT_READ, None)
        sel.register(self.stop_theirs, selectors.EVENT_READ, "stop")
        while True:
            ready = sel.select(HOLD if self.held else None)
            for key, _ in ready:
                if key.data == "stop":
                    return
                if key.data is None:
                    sock, _ = self.listener.accept()
                    sock.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
                    sel.register(sock, selectors.EVENT_READ, Connection(sock))
                elif not self.receive(key.data):
                    sel.unregister(key.fileobj)
                    key.fileobj.close()
            while self.held and (not ready or len(self.held) > QUEUE):
                self.answer_one()
                if not ready:
                    break

    def receive(self, c):
        """Takes what has arrived. Returns False at the end of the connection."""
        data = c.sock.recv(1 << 20)
        if not data:
            return False
        c.input += data
        while self.step(c):
            pass
        return c.state != "closed"

    def take(self, c, n):
        out = bytes(c.input[:n])
        del c.input[:n]
        return out

    def step(self, c):
        """One message, if it is complete."""
        if c.state == "flags":
            if len(c.input) < 4:
                return False
            self.take(c, 4)
            c.state = "options"
            return True
        if c.state == "options":
            return self.option(c)
        return c.state == "requests" and self.request(c)

    # ---------------------------------------------------------------- options

    def option(self, c):
        if len(c.input) < 16:
            return False
        _, opt, length = struct.unpack(">8sII", c.input[:16])
        if len(c.input) < 16 + length:
            return False
        data = self.take(c, 16 + length)[16:]

        def reply(kind, payload=b""):
            c.sock.sendall(struct.pack(">QIII", 0x3e889045565a9, opt, kind, len(payload)) + payload)

        if opt in (OPT_GO, OPT_INFO):
            n, = struct.unpack(">I", data[:4])
            name = data[4:4 + n].decode()
            if name not in self.disks:
                reply(REP_ERR_UNKNOWN)
                return True
            reply(REP_INFO, struct.pack(">HQH", 0, len(self.disks[name]), HAS_FLAGS | SEND_FLUSH))
            reply(REP_INFO, struct.pack(">HIII", 3, 512, 4096, 1 << 22))
            reply(REP_ACK)
            if opt == OPT_GO:
                c.disk, c.state = name, "requests"
        elif opt == OPT_ABORT:
            reply(REP_ACK)
            c.state = "closed"
        else:
            reply(REP_ERR_UNSUP)
        return True

    # ---------------------------------------------------------------- requests

    def request(self, c):
        if len(c.input) < 28:
            return False
        _, _, kind, handle, offset, length = struct.unpack(">IHHQQI", c.input[:28])
        body = length if kind == CMD_WRITE else 0
        if len(c.input) < 28 + body:
            return False
        data = self.take(c, 28 + body)[28:]
        disk = self.disks[c.disk]
        if kind == CMD_DISC:
            c.state = "closed"
            return False
        outside = kind != CMD_FLUSH and offset + length > len(disk)
        if outside or kind not in (CMD_READ, CMD_WRITE, CMD_FLUSH):
            self.answer(c, handle, EINVAL)
        elif kind == CMD_READ:
            self.answer(c, handle, 0, bytes(disk[offset:offset + length]))
        elif c.disk == "marks":
            if kind == CMD_WRITE:
                self.event(MARK, 0, offset, data)
            self.answer(c, handle, 0)
        else:
            kind = WRITE if kind == CMD_WRITE else FLUSH
            if self.faults and self.faults(self.random, kind, offset, length):
                self.fail(c, handle, kind, offset, data)
            elif kind == WRITE:
                self.held.append((c, handle, DONE, self.write(offset, data), 0))
            else:
                self.next_id += 1
                self.event(FLUSH, self.next_id, 0, b"")
                self.held.append((c, handle, FLUSHED, self.next_id, self.events))
        return True

    def write(self, offset, data):
        """Changes the disk. Returns the number of this write."""
        self.next_id += 1
        self.disks["disk"][offset:offset + len(data)] = data
        self.event(WRITE, self.next_id, offset, data)
        self.unflushed[self.next_id] = None
        return self.next_id

    def fail(self, c, handle, kind, offset, data):
        """A request that fails: some sectors of a write may have changed; a flush loses what it was about."""
        self.failed += 1
        if kind == WRITE:
            keep = self.random.choice([0, 0.5, 1])
            for at in range(0, len(data), SECTOR):
                if self.random.random() < keep:
                    number = self.write(offset + at, data[at:at + SECTOR])
                    self.event(DONE, number, 0, b"")
                    self.unflushed[number] = self.events
        else:
            for number in [n for n, done in self.unflushed.items() if done and self.random.random() < 0.5]:
                self.event(LOST, number, 0, b"")
                del self.unflushed[number]
        self.answer(c, handle, EIO)

    def answer(self, c, handle, error, data=b""):
        c.sock.sendall(struct.pack(">IIQ", 0x67446698, error, handle) + data)

    def answer_one(self):
        """The guest cannot see the answer before it is in the log."""
        c, handle, kind, number, since = self.held.pop(self.random.randrange(len(self.held)))
        self.event(kind, number, 0, b"")
        if kind == DONE and number in self.unflushed:
            self.unflushed[number] = self.events
        elif kind == FLUSHED:
            self.unflushed = {n: done for n, done in self.unflushed.items() if not done or done > since}
        try:
            self.answer(c, handle, 0)
        except OSError:
            pass                            # QEMU has gone

    def event(self, kind, number, offset, data):
        self.events += 1
        self.log.write(struct.pack("<B3xIQII", kind, number, offset, len(data), 0) + data)
