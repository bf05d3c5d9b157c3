"""Judges of lab 6: images of disks made here and compared with what the kernel found; a model of the ring; the device's side of
everything (kern/block/observe_virtio.c, observe_block.c).

What the guest draws is drawn here again, in the same order: no record is believed to speak of other inputs than these."""

import os
import re
import struct
import zlib

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random, Script
from grade.eclipse.qemu import disk_args

EIO, ENXIO, ENODEV, ENOSPC, EROFS = 5, 6, 19, 28, 30
SECTOR = 512
IO_SECTORS, IO_PIECES = 300, 48   # of a request of observe_block.c, at most
MINORS = 16                       # a disk and its partitions 1 to 15 have device numbers
NEXT, WRITE, INDIRECT = 1, 2, 4
MASK = (1 << 64) - 1


def split(lines, word):
    """[(line, the lines after it)] for every line that begins with `word`."""
    out = []
    for line in lines:
        if line.split()[0] == word:
            out.append((line, []))
        elif out:
            out[-1][1].append(line)
    return out


def numbers(line):
    """All numbers of a line, hexadecimal ones not."""
    return [int(x) for x in re.findall(r"(?<![\w-])-?\d+\b", line)]


def noise(random, n):
    return b"".join(random.next().to_bytes(8, "little") for _ in range((n + 7) // 8))[:n]


# ---------------------------------------------------------------- PCI

def pci_machine(run):
    """A machine with devices that have registers of all kinds and sizes."""
    random, extra = Random(run.seed), []
    kinds = ["virtio-rng-pci", "e1000", "nvme,serial=n1", "ich9-ahci", "edu", "virtio-blk-pci,drive=nothing", "piix3-usb-uhci",
             "pci-testdev,membar=%dM" % (1 << random.below(8)), "pci-testdev,membar=%dM" % (4096 << random.below(2)),
             "virtio-serial-pci", "i82551", "sdhci-pci"]
    for kind in random.shuffle(kinds)[:5 + random.below(4)] + ["pci-testdev,membar=4G"]:
        if "nothing" in kind:
            extra += ["-blockdev", "null-co,node-name=nothing,size=1048576"]
        extra += ["-device", kind]
    return run.observe("pci_devices", extra=extra, icount=False, archive=False, hold=True)


def pci_functions(run, obs):
    """[((bus, dev, fn), lines)] of what the kernel found: all that QEMU has."""
    script = Script(run, obs.lines)
    told = []
    while script.coming() not in ("nobody", Script.NOTHING):
        told.append(script.next())
    found = split(told, "device")
    want = {(bus["bus"], d["slot"], d["function"]): "id %x %x" % (d["id"]["vendor"], d["id"]["device"])
            for bus in obs.machine.qmp("query-pci") for d in bus["devices"]}
    run.equal({tuple(numbers(line)[:3]): line[line.index("id"):] for line, _ in found}, want,
              "the functions (bus, device, function) in the machine, with vendor and device")
    return [(tuple(numbers(line)[:3]), more) for line, more in found]


def pci_byte(machine, where, off):
    """A byte of the configuration space, read by QEMU itself."""
    bus, dev, fn = where
    words = f"o /w 0xcf8 {1 << 31 | bus << 16 | dev << 11 | fn << 8 | off & 0xfc:#x}", "i /w 0xcfc"
    answer = [machine.monitor(w) for w in words][-1]
    return int(answer.split("=")[1], 16) >> 8 * (off & 3) & 0xff


def test_pci_registers(run: Run):
    """Address and size of every register range, compared with what QEMU says of its own devices."""
    obs = pci_machine(run)
    want = {}
    for bus in obs.machine.qmp("query-pci"):
        for d in bus["devices"]:
            where = bus["bus"], d["slot"], d["function"]
            want[where] = {r["bar"]: (r["address"], r["size"], int(r["type"] == "io")) for r in d["regions"]
                           if r["bar"] < 6 and r["address"] > 0}
    for where, lines in pci_functions(run, obs):
        got = {}
        for m in (re.fullmatch(r"bar (\d) at (\w+) len (\w+) io (\d)", line) for line in lines):
            if m and int(m[3], 16):
                got[int(m[1])] = int(m[2], 16), int(m[3], 16), int(m[4])
        run.equal({k: "at %#x, %#x bytes, io %d" % v for k, v in got.items()},
                  {k: "at %#x, %#x bytes, io %d" % v for k, v in want.get(where, {}).items()},
                  "the address ranges of the device at %d:%d.%d" % where)


def test_pci_capabilities(run: Run):
    """Capabilities, compared with what QEMU reads there; and a device that is not there: a list in a circle."""
    obs = pci_machine(run)
    for where, lines in pci_functions(run, obs):
        want, at = [], pci_byte(obs.machine, where, 0x34) & ~3
        while pci_byte(obs.machine, where, 6) & 0x10 and at >= 0x40 and len(want) < 48:
            want.append((pci_byte(obs.machine, where, at), at))
            at = pci_byte(obs.machine, where, at + 1) & ~3
        got = [tuple(numbers(x)) for x in lines if x.startswith("cap")]
        order = [c for i in range(32) for c in want if c[0] == i]
        run.equal(got, order, "the capabilities (id, offset) of the device at %d:%d.%d" % where)
    run.equal(obs.lines[obs.lines.index("nobody") + 1:], [], "capabilities of a device that is not there")


# ---------------------------------------------------------------- VirtIO: features and queues

def test_virtio_features(run: Run):
    version, random = 1 << 32, Random(run.seed)
    groups = split(run.observe("virtio_features").lines, "device")
    run.equal(len(groups), 24, "devices that were agreed with")
    for line, told in groups:
        want, has = random.next() & ~version, random.next()
        has |= version if random.below(4) else 0
        refuses = random.below(4) == 0
        run.equal(line, f"device {has:x} want {want:x} refuses {int(refuses)}", "the device that was to be agreed with")
        both = has & (want | version)
        good = bool(has & version) and not refuses
        run.equal(told[-1], f"agreed {both if good else 0:x}: {0 if good else -ENODEV}", f"the end of an agreement: {line}")
        if not has & version:
            continue
        sets = [i for i, x in enumerate(told) if x.startswith("features set")]
        run.equal([told[i] for i in sets][-1:], [f"features set {both:x}"], f"what the device was told: {line}")
        ok = [i for i, x in enumerate(told) if re.fullmatch(r"status set (\d+)", x) and int(x.split()[2]) & 8]
        run.check(ok and ok[0] > sets[-1], "wrong", "FEATURES_OK must be set once the features are", *told)
        run.check(all(int(told[i].split()[2]) & 3 == 3 for i in ok), "wrong",
                  "ACK and DRIVER stay set when FEATURES_OK is added", *told)
        run.check(any(x.startswith("status read") for x in told[ok[0]:]), "wrong",
                  "whether the device accepts is read from its status afterwards", *told)


def test_virtio_queues(run: Run):
    """The largest queue that both sides can have; nothing is left behind when the device does not take it."""
    random = Random(run.seed)
    groups = split(run.observe("virtio_queues").lines, "device")
    run.equal(len(groups), 40, "devices that a queue was made for")
    for line, told in groups:
        features, index = random.next(), random.below(8)
        most = random.below(700) if random.below(5) else random.below(3) * 32768 & 0xffff
        start = 0 if random.below(4) else -EIO
        indirect, event = features >> 28 & 1, features >> 29 & 1
        run.equal(line, f"device {index} max {most} start {start} features {indirect} {event}",
                  "the device that a queue was made for")
        size = max((1 << i for i in range(9) if 1 << i <= most), default=0)
        want = [f"start {index} size {size} indirect {indirect} event {event}"] if most else []
        run.equal([x for x in told if x.startswith("start")], want, f"the queue handed over: {line}")
        run.equal(told[-2], f"queue: {start if most else -ENODEV}", f"the answer: {line}")
        run.equal(told[-1], "pages lost 0", f"pages when it is over: {line}")


# ---------------------------------------------------------------- the ring

class Ring:
    """What is in flight, and what must follow from each step. The steps are drawn as observe_virtio.c draws them."""

    def __init__(self, run, random, script, size, indirect, event, start):
        self.run, self.script, self.size, self.indirect, self.event = run, script, size, indirect, event
        self.random, self.below = random, random.below
        self.flying, self.answered = {}, []        # head: (serial, descriptors, room); heads that the device is done with
        self.held = []                             # heads that the device has
        self.free, self.idx, self.kicked = size, start, start
        self.waits = []                            # requests that must be offered now: (serial, descriptors, pieces)
        self.serial = 0

    def draw(self, n_out, n_in):
        """The next request: (whether it brings a table, its pieces)."""
        self.serial += 1
        table = int(self.below(4) > 0)
        return table, [(4096 + self.below(1 << 34), 1 + self.below(1 << 20)) for _ in range(n_out + n_in)]

    def add(self, n_out, n_in):
        table, pieces = self.draw(n_out, n_in)
        need = 1 if table and self.indirect else n_out + n_in
        err = 0 if need <= self.free else -ENOSPC
        self.script.expect(f"add {self.serial} out {n_out} in {n_in} table {table}: {err}",
                           f"virtq_add of {need} descriptors when {self.free} are free")
        if err:
            return
        for addr, n in pieces:
            self.script.expect(f"piece {addr:x} {n}", f"a piece of request {self.serial}")
        self.waits.append((self.serial, need, [(f"{addr:x}", str(n), WRITE if i >= n_out else 0)
                                               for i, (addr, n) in enumerate(pieces)]))
        self.free -= need
        self.idx = (self.idx + 1) & 0xffff

    def look(self):
        """The device takes in what is offered."""
        while self.script.coming().startswith("offer"):
            self.offer(self.script.next())
        self.run.equal(len(self.waits), 0, "requests that the device was not offered")

    def offer(self, line):
        head = numbers(line)[0]
        if not self.waits:
            self.run.fail("wrong", "the device is offered something that nobody asked for", line)
        serial, need, pieces = self.waits.pop(0)
        used = {i for _, ds, _ in self.flying.values() for i in ds}
        chain, shown = [], []
        while self.script.coming().split()[0] in ("desc", "entry", "astray", "no"):
            shown.append(self.script.next())
            word, *rest = shown[-1].split()
            if word in ("astray", "no"):
                self.run.fail("wrong", "the links of a chain lead astray", *shown)
            flags = int(rest[6])
            if word == "desc":
                chain.append(int(rest[0]))
            if not flags & INDIRECT:
                shown[-1] = rest[2], rest[4], flags & WRITE, flags & NEXT
            else:
                shown.pop()
        want = [(a, n, w, NEXT if i < len(pieces) - 1 else 0) for i, (a, n, w) in enumerate(pieces)]
        self.run.equal(shown, want, f"what the device finds for request {serial} (address, bytes, writable for it, more follow)")
        self.run.equal(len(chain), need, f"descriptors of the queue that request {serial} takes")
        both = used & set(chain)
        if both or len(set(chain)) < len(chain):
            self.run.fail("wrong", f"request {serial} uses descriptor {min(both or chain)}, which is in use")
        self.flying[head] = serial, chain, sum(int(n) for _, n, w in pieces if w)
        self.held.append(head)

    def answer(self, head, length):
        self.script.expect(f"answer {head} len {length}", "the device's answer")
        self.answered.append((head, length))

    def finish(self):
        """The device is done with one of those that it has."""
        if self.held:
            i = self.below(len(self.held))
            head, last = self.held[i], self.held.pop()
            self.held[i:i + 1] = [last] if i < len(self.held) else []
            self.answer(head, self.below(self.flying[head][2] + 1))

    def bend(self):
        if self.held:
            self.below(len(self.held))
            self.random.next()

    def take(self):
        if not self.answered:
            self.script.expect("get 0 len 0", "what virtq_get returns when nothing is finished")
        else:
            head, length = self.answered.pop(0)
            want, chain, _ = self.flying.pop(head)
            self.script.expect(f"get {want} len {length}", "the finished request, and the bytes that the device wrote")
            self.free += len(chain)
        self.counts(" broken 0")

    def counts(self, broken=""):
        line = self.script.next()
        self.run.check("broken 1" not in line, "wrong", "the queue was declared broken though the device is honest")
        self.run.equal(line, f"free {self.free} flying {len(self.flying)}{broken}",
                       "descriptors free, and requests in flight")

    def add_any(self):
        n_out, n_in = self.below(4), self.below(4)
        self.add(n_out + (not n_in), n_in)
        self.look()
        self.counts()

    def kick(self):
        event = self.idx + self.below(24) - 16 & 0xffff
        if self.below(8) == 0:
            event = self.random.next() & 0xffff
        flags = self.below(2)
        if self.event:
            rings = (self.idx - event - 1) & 0xffff < (self.idx - self.kicked) & 0xffff
        else:
            rings = self.idx != self.kicked and not flags
        self.script.expect(f"kick idx {self.idx} event {event} flags {flags}: {int(rings)}",
                           "virtq_kick, when the index went from %d to %d and the device asked %s"
                           % (self.kicked, self.idx, f"to be told at {event}" if self.event else f"with flags {flags}"))
        self.kicked = self.idx

    def play(self, steps, what):
        for _ in range(steps):
            step = 1 << self.below(5) & what
            if step == KICKS:
                self.kick()
            elif step == BENDS:
                self.bend()
            elif step:
                doing, most = {ADDS: (self.add_any, 4), ANSWERS: (self.finish, 3), GETS: (self.take, 4)}[step]
                for _ in range(1 + self.below(most)):
                    doing()
        self.script.over()


ADDS, ANSWERS, GETS, KICKS, BENDS = 1, 2, 4, 8, 16


def play(run, size, indirect, event, start, steps, what):
    obs = run.observe("virtq_play", arg=f"{size},{indirect},{event},{start},{steps},{what}", archive=False)
    Ring(run, Random(run.seed), Script(run, obs.lines), size, indirect, event, start).play(steps, what)


def test_ring_chains(run: Run):
    """Requests as chains of descriptors, as the device finds them, until there is no room."""
    play(run, 64, 0, 0, 0, 60, ADDS)


def test_ring_tables(run: Run):
    """One indirect descriptor for each request that brings a table."""
    play(run, 1 << (3 + run.random.below(6)), 1, 0, 0, 60, ADDS)


def test_ring_flags(run: Run):
    """Doorbells, when the device has a flag for `no need to ring`."""
    play(run, 256, 0, 0, run.random.below(65536), 150, ADDS | KICKS)


def test_ring_events(run: Run):
    """Doorbells, when the device says at which index it wants to be told."""
    play(run, 256, 1, 1, 65536 - run.random.below(60), 200, ADDS | KICKS)


def test_ring_answers(run: Run):
    """Requests made, finished in any order, and taken out."""
    play(run, 1 << (3 + run.random.below(4)), 0, 0, 0, 300, ADDS | ANSWERS | GETS)


def test_ring_wraps(run: Run):
    """All counters pass 65535."""
    play(run, 32, run.random.below(2), 1, 65536 - run.random.below(60), 300, ADDS | ANSWERS | GETS | KICKS)


def test_ring_bent(run: Run):
    """A device that overwrites links of descriptors: the driver has its own copy."""
    play(run, 64, 0, 0, run.random.below(65536), 300, ADDS | ANSWERS | GETS | BENDS)


LIES = ["an id beyond the queue", "a huge id", "an id in the middle of a chain", "more bytes than there is room for",
        "a huge length", "an index that runs ahead", "the same id twice", "an index without answers"]


def lie(ring, kind):
    """What the device says, drawn as by tell_lie(): (id, length)."""
    below, head = ring.below, ring.held[0]
    _, chain, room = ring.flying[head]
    if kind == 0:
        return ring.size * (1 + below(3)) + head, 0
    if kind == 1:
        return 0xffffffff - below(3), 0
    if kind == 2:
        return chain[1], 0
    if kind == 3:
        return head, room + 1 + below(1000)
    if kind == 4:
        return head, 0xffffffff - below(3)
    if kind == 7:
        below(30000)
        return "none", 0
    return head, 0 * (kind == 5 and below(100))


def judge_lie(run, ring, kind):
    script, what = ring.script, f"when a device tells {LIES[kind]}"

    def nothing():
        got = numbers(script.next())[:1]
        run.equal(got, [0], f"what virtq_get returns {what} (0: nothing)")
        return script.next()

    script.expect(f"lie {kind}", "the lie that is told")
    head, length = lie(ring, kind)
    if kind == 6:                                  # the first answer is honest
        ring.answer(head, length)
        ring.take()
    script.expect(f"answer {head} len {length}", "the device's answer")
    nothing()
    script.expect(f"answer {ring.held[0]} len 0", "the device's answer")
    run.check(nothing().endswith("broken 1"), "wrong", f"the queue is not broken {what}")
    script.expect("then", "what is told")
    table, _ = ring.draw(1, 1)
    script.expect(f"add {ring.serial} out 1 in 1 table {table}: {-EIO}", f"virtq_add {what}")
    cancelled = []
    while script.coming().startswith("cancel"):
        cancelled += numbers(script.next())
    run.equal(sorted(cancelled), sorted(serial for serial, *_ in ring.flying.values()),
              f"requests that virtq_cancel finds {what}")


def test_ring_lies(run: Run):
    """A device that lies is found out, once; nothing is believed any more, and nothing is lost."""
    random, script = Random(run.seed), Script(run, run.observe("virtq_lies", archive=False).lines)
    for kind in range(len(LIES)):
        script.expect("queue", "what is told")
        event, start = random.below(2), random.next() & 0xffff
        ring = Ring(run, random, script, 32, 0, event, start)
        for _ in range(2 + random.below(3)):
            ring.add(1, 2)
            ring.look()
        if random.below(2):
            ring.finish()
            ring.take()
        judge_lie(run, ring, kind)
    script.over()


def test_ring_order(run: Run):
    """First the descriptors, then the ring's entry, then the index: memory that is missing shows it."""
    for part, what in enumerate(("the indirect table", "the descriptors", "the entry in the ring of offers")):
        obs = run.observe("virtq_torn", arg=part, ends="panic", hold=True, archive=False)
        told, at = obs.numbers(r"index (\w+) at (\w+)", base=16)
        start = Random(run.seed).next() & 0xffff
        run.equal(f"{told:x}", str(start), "the index before the add")
        seen = obs.number(at, 2)
        run.check(seen == start, "wrong", f"the index had moved before {what} had been written: the device may be faster",
                  f"expected {start} still, when the add dies on the way", f"seen     {seen}")


# ---------------------------------------------------------------- partition tables

def put(image, sector, data):
    image[sector * SECTOR:sector * SECTOR + len(data)] = data


def mbr(entries, signature=0):
    """A sector with (type, start, count) of up to four partitions."""
    table = b"".join(struct.pack("<BBHBBHII", 0, 0, 0, kind, 0, 0, start, n) for kind, start, n in entries)
    return bytes(440) + struct.pack("<IH", signature, 0) + table.ljust(64, b"\0") + b"\x55\xaa"


def observe_disks(run, images, kinds=None):
    """{name: lines} of the disks with these images, and the names of each in their order."""
    folder, extra = run.folder(), []
    for i, image in enumerate(images):
        path = os.path.join(folder, f"image{i}")
        with open(path, "wb") as f:
            f.write(image)
        extra += disk_args(kinds[i] if kinds else "virtio", path, True, f"d{i}", boot=False)
    obs = run.observe("disks", extra=extra, icount=False, archive=False)
    return obs.lines


def partitions(lines, disk):
    """[(number, start, sectors)] that the kernel found on a disk, and the second line of each."""
    out, more = [], []
    for line in lines:
        m = re.fullmatch(r"\w+ sectors (\d+) start (\d+) of (\w+) number (\d+) .*", line)
        if m and m[3] == disk and int(m[4]):
            out.append((int(m[4]), int(m[2]), int(m[1])))
            more.append(lines[lines.index(line) + 1])
    return out, more


def accept(found, disk, number, start, n):
    """Takes a partition if it can be true."""
    if n > 0 and 0 < start and start + n <= disk and not any(start < e and s < start + n for _, s, e in found):
        found.append((number, start, start + n))


def listed(found):
    return [(number, s, e - s) for number, s, e in found if number < MINORS]


def name_of(i):
    return "vd" + chr(97 + i)


def judge_tables(run, cases):
    """cases: [(what it is, image, what must be found)], a disk each, one boot for all."""
    lines = observe_disks(run, [image for _, image, _ in cases])
    for i, (what, _, want) in enumerate(cases):
        run.equal(partitions(lines, name_of(i))[0], want, f"the partitions (number, start, sectors) of {what}")
    return lines


def test_disks_found(run: Run):
    """Disks of all sizes, on two kinds of buses, with their names and sizes."""
    random, images, kinds = Random(run.seed), [], []
    for _ in range(3 + random.below(4)):
        images.append(bytes(SECTOR * (1 + random.below(5000))))
        kinds.append("ata" if kinds.count("ata") < 2 and random.below(2) else "virtio")
    want = []
    for prefix, kind in (("vd", "virtio"), ("sd", "ata")):
        sizes = [len(image) // SECTOR for image, k in zip(images, kinds) if k == kind]
        want += [f"{prefix}{chr(97 + i)} {n}" for i, n in enumerate(sizes)]
    got = [" ".join(x.split()[i] for i in (0, 2)) for x in observe_disks(run, images, kinds) if " sectors " in x]
    run.equal(sorted(got), sorted(want), "the disks, and their sectors")


def random_chain(random, ext, room):
    """Logical partitions one behind another: [(start, sectors)] and the sectors of their links {sector: mbr}."""
    at, parts, links = ext, [], {}
    for _ in range(1 + random.below(9)):
        gap, n = 1 + random.below(20), 1 + random.below(60)
        if at + gap + n + 30 >= ext + room:
            break
        parts.append((at + gap, n))
        step = gap + n + random.below(10)
        links[at] = [(0x83, gap, n), (0x05, at + step - ext, step)]
        at += step
    if parts:
        last = max(links)
        links[last] = links[last][:1]
    return parts, links


def mbr_case(random):
    """A disk with an MBR: primary partitions, an extended one anywhere among them."""
    size = 2000 + random.below(3000)
    image, found = bytearray(size * SECTOR), []
    ext, room = size // 2, size // 2 - random.below(100)
    entries = [(0x83, 1 + 200 * i + random.below(100), 1 + random.below(100)) for i in range(3)]
    entries.insert(random.below(4), (random.choice([0x05, 0x0f, 0x85]), ext, room))
    for i, (kind, start, n) in enumerate(entries):
        if kind == 0x83:
            accept(found, size, i + 1, start, n)
    put(image, 0, mbr(entries, 1))
    parts, links = random_chain(random, ext, room)
    for at, entry in links.items():
        put(image, at, mbr(entry))
    for i, (start, n) in enumerate(parts):
        accept(found, size, 5 + i, start, n)
    return image, found, size, ext, room, links


def test_mbr_chains(run: Run):
    """Primary and logical partitions of eight random disks."""
    random, cases = Random(run.seed), []
    for i in range(8):
        image, found, *_ = mbr_case(random)
        cases.append((f"random disk {i}", image, listed(found)))
    judge_tables(run, cases)


def test_mbr_hostile(run: Run):
    """Chains that lead in circles, out of their partition, out of the disk, or to sectors that are no link."""
    random, cases = Random(run.seed), []
    for flaw in ("leads to itself", "leads back to its beginning", "leaves its partition", "leaves the disk", "ends in no link",
                 "holds a huge partition", "overlaps another", "runs in a circle of three"):
        image, found, size, ext, room, links = mbr_case(random)
        while len(links) < 3:
            image, found, size, ext, room, links = mbr_case(random)
        last, far = max(links), 1 + random.below(5)
        first = links[last][0]
        target = {"leads to itself": last - ext, "leads back to its beginning": 0, "leaves its partition": room + far,
                  "leaves the disk": (1 << 32) - 1 - random.below(5) - ext, "runs in a circle of three": sorted(links)[-3] - ext,
                  "ends in no link": last + 1 - ext}.get(flaw)
        number = 5 + len(links)
        if flaw == "ends in no link":
            put(image, last + 1, mbr([(0x83, 1, 1)])[:510] + b"\0\0")
        elif flaw == "leaves its partition" and ext + room + far < size:
            put(image, ext + room + far, mbr([(0x83, 1, 1)]))
        elif flaw in ("holds a huge partition", "overlaps another"):
            n = size if flaw[0] == "h" else 1
            start = first[1] + first[2] if flaw[0] == "h" else 1
            put(image, last + 1 + first[2] + 10, mbr([(0x83, start if flaw[0] == "h" else 0xffffffff, n)]))
            target = last + 1 + first[2] + 10 - ext
        links[last] = [first, (0x05, target, 10)]
        put(image, last, mbr(links[last]))
        want = listed(found)
        cases.append((f"a disk whose chain of logical partitions {flaw} behind number {number - 1}", image, want))
    judge_tables(run, cases)


class Gpt:
    """A table with random partitions, good unless told otherwise."""

    def __init__(self, random, size):
        self.size, self.random = size, random
        self.entry_size, self.count = random.choice([128, 128, 256, 512]), 4 + random.below(20)
        self.header_size = random.choice([92, 92, 96, 200, 512])
        self.parts = []               # (slot, first, last, type, guid, name)
        self.sectors = (self.entry_size * self.count + SECTOR - 1) // SECTOR
        self.first, self.last = 2 + self.sectors, size - 2 - self.sectors
        at = self.first
        for slot in range(self.count):
            first = at + random.below(20)
            last = first + random.below(40)
            if random.below(3) == 0 or last > self.last:
                continue
            name = "".join(random.choice(["a", "Z", "7", " ", "-", "\u00e4", "\u4e2d"]) for _ in range(1 + random.below(36)))
            self.parts.append([slot, first, last, noise(random, 16), noise(random, 16), name])
            at = last + 1

    def table(self):
        out = bytearray(self.entry_size * self.count)
        for slot, first, last, kind, guid, name in self.parts:
            entry = kind + guid + struct.pack("<QQQ", first, last, 0) + name.encode("utf-16-le")
            out[slot * self.entry_size:slot * self.entry_size + len(entry)] = entry
        return bytes(out)

    def header(self, here, entries_at, lie=None, value=0):
        """lie: (offset, bytes) of a field that is to hold `value`; what is signed is what it says then."""
        extra = noise(Random(here + self.size), self.header_size - 92)
        head = bytearray(b"EFI PART" + struct.pack("<IIIIQQQQ16sQIII", 0x10000, self.header_size, 0, 0, here,
                         self.size - 1 if here == 1 else 1, self.first, self.last, b"d" * 16, entries_at, self.count,
                         self.entry_size, zlib.crc32(self.table())) + extra)
        if lie:
            if lie[0] in (80, 84) and value < 4096:          # the table's checksum fits the lie, too
                n = self.count * value if lie[0] == 84 else 0
                struct.pack_into("<I", head, 88, zlib.crc32(self.table()[:n].ljust(n, b"\0")))
            head[lie[0]:lie[0] + lie[1]] = (value & (1 << 8 * lie[1]) - 1).to_bytes(lie[1], "little")
        signed = struct.unpack_from("<I", head, 12)[0]
        signed = min(signed, SECTOR)
        struct.pack_into("<I", head, 16, zlib.crc32(bytes(head.ljust(SECTOR, b"\0")[:signed])))
        return bytes(head)

    def found(self):
        out = []
        for slot, first, last, *_ in self.parts:
            if self.first <= first <= last <= self.last:
                accept(out, self.size, slot + 1, first, last - first + 1)
        return listed(out)


def gpt_image(random, size, primary, backup, lie=None, value=0):
    image = bytearray(size * SECTOR)
    put(image, 0, mbr([(0xee, 1, min(size - 1, 0xffffffff))]))
    put(image, 1, primary.header(1, 2, lie, value))
    put(image, 2, primary.table())
    put(image, size - 1, backup.header(size - 1, size - 1 - backup.sectors))
    put(image, size - 1 - backup.sectors, backup.table())
    return image


def guid_text(g):
    a, b, c = struct.unpack_from("<IHH", g)
    return f"{a:08x}-{b:04x}-{c:04x}-{g[8:10].hex()}-{g[10:].hex()}"


def test_gpt_tables(run: Run):
    """Eight random tables: places, GUIDs and labels."""
    random, cases, tables = Random(run.seed), [], []
    for i in range(8):
        size = 600 + random.below(1500)
        g = Gpt(random, size)
        tables.append(g)
        cases.append((f"random GPT {i}", gpt_image(random, size, g, g), g.found()))
    lines = judge_tables(run, cases)
    for i, g in enumerate(tables):
        for (number, *_), line in zip(*partitions(lines, name_of(i))):
            _, _, _, kind, guid, name = next(p for p in g.parts if p[0] + 1 == number)
            label = "".join(c if " " <= c < "\x7f" else "?" for c in name)
            run.equal(line, f"{name_of(i)}{number} mbr 00 00000000 type {guid_text(kind)} guid {guid_text(guid)} label [{label}]",
                      "a partition's type, GUID and label")


def test_gpt_entries(run: Run):
    """Entries that cannot be true are refused, one by one; the others count."""
    random, cases = Random(run.seed), []
    for i in range(8):
        size = 1000 + random.below(1000)
        g = Gpt(random, size)
        while len(g.parts) < 3:
            g = Gpt(random, size)
        p = g.parts[random.below(len(g.parts))]
        before = g.parts[0]
        p[1], p[2] = [(p[2] + 1, p[1]), (p[1], g.last + 1 + random.below(3)), (g.first - 1, p[2]), (before[1], before[2]),
                      (p[1], MASK), (0, p[2]), (MASK - 5, MASK), (p[2] + 1, p[2])][i]
        cases.append((f"a GPT with the entry {p[0] + 1} from {p[1]} to {p[2]} (usable are {g.first} to {g.last})",
                      gpt_image(random, size, g, g), g.found()))
    judge_tables(run, cases)


def test_gpt_backup(run: Run):
    """A damaged byte anywhere in header or table, or no header at all: the copy at the end counts, if it is good."""
    random, cases = Random(run.seed), []
    for i in range(8):
        size = 600 + random.below(1500)
        first, second = Gpt(random, size), Gpt(random, size)
        image = gpt_image(random, size, first, second)
        at = [SECTOR + random.below(16), SECTOR + 16 + random.below(76),
              2 * SECTOR + random.below(first.entry_size * first.count), SECTOR + 12, SECTOR + 16 + random.below(4), SECTOR + random.below(8), SECTOR + 88, SECTOR + 20][i]
        image[at] ^= 1 << random.below(8)
        want = second.found()
        if i >= 6:
            image[(size - 1) * SECTOR + random.below(92)] ^= 1 << random.below(8)
            want = []
        cases.append((f"a GPT with a wrong byte {at - SECTOR} in the first header or table" + ", and one in its copy" * (i >= 6),
                      image, want))
    judge_tables(run, cases)


def test_gpt_lies(run: Run):
    """Headers that are well signed, and lie: the backup counts."""
    random, cases = Random(run.seed), []
    lies = [("size", 12, 4, 91), ("size", 12, 4, 0), ("size", 12, 4, 513 + random.below(4)), ("own place", 24, 8, 2),
            ("first usable sector", 40, 8, None), ("last usable sector", 48, 8, "size"), ("last usable sector", 48, 8, MASK),
            ("table's place", 72, 8, "size"), ("table's place", 72, 8, random.below(2)), ("table's place", 72, 8, "end"),
            ("table's place", 72, 8, MASK), ("number of entries", 80, 4, 0),
            ("number of entries", 80, 4, 0xffffffff - random.below(9)),
            ("entry size", 84, 4, 64), ("entry size", 84, 4, 0), ("entry size", 84, 4, 0x80000000), ("entry size", 84, 4, 192)]
    for what, offset, n, value in lies:
        size = 600 + random.below(1500)
        first, second = Gpt(random, size), Gpt(random, size)
        while second.found() in ([], first.found()):
            second = Gpt(random, size)
        first.header_size = 92
        if what == "entry size":
            first.entry_size, first.count = 128, 16
            first.parts = [p for p in first.parts if p[0] < 16]
        value = {None: first.last + 1, "size": size + random.below(3), "end": size - 1}.get(value, value)
        if what == "table's place" and value == size - 1 and first.sectors == 1:
            value = size
        cases.append((f"a GPT whose header is signed, and says that its {what} is {value}",
                      gpt_image(random, size, first, second, (offset, n), value), second.found()))
    judge_tables(run, cases)


# ---------------------------------------------------------------- requests: what is asked, cut and joined

class FakeDisks:
    """The two disks that hold requests back, as observe_block.c draws them: {name: (start, sectors, readonly)}."""

    def __init__(self, run, lines, sizes):
        """sizes: draws one of them."""
        self.run, self.random, self.of = run, Random(run.seed), {}
        for i, (name, readonly) in enumerate((("sda", 0), ("sdb", 1))):
            n, readonly = sizes(self.random), int(readonly and sizes is large)
            start, size = 1 + self.random.below(n // 4), 1 + self.random.below(n // 4)
            self.of |= {name: (0, n, readonly), f"{name}1": (start, size, readonly),
                        f"{name}2": (n // 2 + start, size, readonly)}
        self.names = list(self.of)
        told = {x.split()[1]: tuple(numbers(x)) for x in lines if x.startswith("disk ")}
        run.equal(told, self.of, "the disks and partitions (start, sectors, read-only)")

    def finish(self, lines):
        """Each request that reached a driver was completed by chance."""
        for line in lines:
            if line.startswith("driver"):
                self.random.next()


def large(random):
    return (1 << 25) + random.below(1 << 30)


def small(random):
    return 4096 + random.below(4096)


def draw_len(below):
    """random_len() of observe_block.c"""
    kind = below(12)
    if kind == 0:
        return below(SECTOR)
    if kind == 1:
        return SECTOR + 1 + below(SECTOR)
    return (1 << 32) - SECTOR if kind == 2 else SECTOR * (1 + below(8))


def draw_sector(below, start, size, n):
    """random_sector() of observe_block.c"""
    kind = below(6)
    return (lambda: size - n, lambda: size - n + 1 + below(3), lambda: size + below(2) * start,
            lambda: -1 - below(2 * n), lambda: -start, lambda: below(size))[kind]() & MASK


def draw_check(disks, serial, gone):
    """(device, op, sector, bytes of the pieces, what the guest tells of it)"""
    below = disks.random.below
    op = below(2) if below(8) else 2
    name = disks.names[below(6)]
    lens = [draw_len(below) for _ in range(1 + below(3) if below(12) else 0)]
    start, size, _ = disks.of[name]
    sector = draw_sector(below, start, size, max(1, sum(lens) // SECTOR))
    shown = " ".join(str(x) for x in (lens + [0, 0, 0])[:3])
    return name, op, sector, lens, (f"bio {serial} on {name} op {op} sector {sector} pieces {len(lens)}: {shown} "
                                    f"gone {int(name.startswith(gone))}")


def judge_check(run, disks, bio, told):
    """One request: its result, and what the driver was asked."""
    name, op, sector, lens, line = bio
    start, size, readonly = disks.of[name]
    n, wrong = sum(lens) // SECTOR, set()
    if line.endswith("gone 1"):
        wrong.add(-ENXIO)
    if op < 2 and (not lens or any(x == 0 or x % SECTOR for x in lens) or sector >= size or n > size - sector):
        wrong.add(-EIO)
    if op == 1 and readonly:
        wrong.add(-EROFS)
    got = [numbers(x)[-1] for x in told if x.startswith("done")]
    run.equal(len(got), 1, f"completions of {line}")
    if wrong:
        run.check(got[0] in wrong, "wrong", f"the result of {line}: that device has {size} sectors",
                  f"expected {' or '.join(map(str, sorted(wrong)))}", f"seen     {got[0]}")
    run.equal(got[0] if not wrong else 0, 0, f"the result of {line}: that device has {size} sectors")
    drives = [tuple(int(y) for y in re.findall(r" (\d+)", x)) for x in told if x.startswith("driver")]
    if wrong or op == 2:
        run.equal(len(drives), int(not wrong), f"requests to the driver for {line}")
        return
    at = start + sector
    for d_op, d_sector, count, pieces, nbytes in drives:
        run.equal((d_op, d_sector, count), (op, at, nbytes // SECTOR),
                  f"what the driver is asked (op, sector, count) for {line}")
        at += count
    run.equal(at, start + sector + n, f"the end of what the driver is asked for {line}")


def test_bio_checks(run: Run):
    """Random requests around the ends of disks and partitions: what is refused, and what reaches the driver."""
    lines, gone = run.observe("bio_checks", archive=False).lines, "none"
    disks, groups = FakeDisks(run, lines, large), split(lines, "bio")
    run.equal(len(groups), 300, "requests that were made")
    for serial, (line, told) in enumerate(groups):
        if serial == 280:
            gone = ("sda", "sdb")[disks.random.below(2)]
        bio = draw_check(disks, serial, gone)
        run.equal(line, bio[-1], "the request that was to be made")
        judge_check(run, disks, bio, told)
        disks.finish(told)


class Bio:
    """A request under a plug, drawn as by ask_draw() of observe_block.c."""

    def __init__(self, disks, serial, last, piece_most, most):
        below = disks.random.below
        self.serial, self.pieces = serial, 1 + below(piece_most)
        last = last if last and last.op < 2 else None
        follows = last and below(5)
        self.op = last.op if last and below(6) else below(2)
        self.name = last.name if follows else disks.names[below(6)]
        if follows and len(self.name) == 3 and below(4) == 0:
            self.name = {"sda": "sdb", "sdb": "sda"}[self.name]
        self.n = 0
        for _ in range(self.pieces):
            self.n += 1 + below(most // piece_most)
            below(4)
        start, size, _ = disks.of[self.name]
        self.sector = last.sector + last.n + (below(8) == 0) if follows else below(size // 2)
        if self.sector + self.n > size:
            self.sector = 0
        if below(16) == 0:
            self.op, self.sector, self.n, self.pieces = 2, 0, 0, 0
        self.refused = self.n > size                # some partitions have only a few sectors
        self.disk, self.lo = self.name[:3], start + self.sector

    def told(self):
        return f"bio {self.serial} on {self.name} op {self.op} sector {self.sector} count {self.n} pieces {self.pieces}"


def draw_bad(disks, bios, fails):
    """{disk: the sector that fails}"""
    bad = {}
    for disk in ("sda", "sdb"):
        b = bios[disks.random.below(len(bios))]
        bad[disk] = b.lo if fails and b.disk == disk else MASK
    return bad


def merge_rounds(run, max_vec, max_sectors, piece_most, most, fails):
    obs = run.observe("merging", arg=f"{max_vec},{max_sectors},{piece_most},{most},{fails}", archive=False)
    disks, rounds = FakeDisks(run, obs.lines, small), split(obs.lines, "round")
    run.equal(len(rounds), 12, "rounds of requests")
    for i, (_, lines) in enumerate(rounds):
        bios = []
        for k in range(4 + disks.random.below(28)):
            bios.append(Bio(disks, 100 * i + k, bios[-1] if bios else None, piece_most, most))
        bad = draw_bad(disks, bios, fails)
        run.equal([x for x in lines if x.startswith(("bio", "bad"))],
                  [b.told() for b in bios] + [f"bad {disk} {sector}" for disk, sector in bad.items()],
                  "the requests that were to be made")
        run.check("unplug" in lines and "finish" in lines, "wrong", "a round does not end")
        begin, end = lines.index("unplug"), lines.index("finish")
        disks.finish(lines)
        run.equal([x for x in lines[:begin] if x.startswith("done")], [f"done {b.serial}: -5" for b in bios if b.refused],
                  "the requests for more than a partition has, refused at once")
        bios = [b for b in bios if not b.refused]
        yield bios, lines[begin:end], lines[end:], bad


def requests(lines):
    """[(disk, op, sector, count, pieces)] that reached a driver."""
    found = (re.fullmatch(r"driver (\w+) op (\d) sector (\d+) count (\d+) pieces (\d+) bytes (\d+)", x) for x in lines)
    return [(m[1], *(int(m[i]) for i in range(2, 6))) for m in found if m]


def judge_joined(run, bios, sent, max_vec, max_sectors):
    """Together the requests are exactly the bios, in their order, within the driver's limits."""
    left = list(bios)
    for disk, op, sector, count, pieces in sent:
        run.check(pieces <= max_vec and count <= max_sectors, "wrong", "a request exceeds what the driver takes",
                  f"expected at most {max_vec} pieces and {max_sectors} sectors", f"seen     {pieces} pieces and {count} sectors")
        at, first = sector, True
        while first or at < sector + count:
            b = left.pop(0) if left else None
            if not b or (b.disk, b.op, b.lo if b.op < 2 else 0) != (disk, op, at if op < 2 else 0):
                run.fail("wrong", "a request does not consist of the next bios in the list",
                         f"expected {(b.disk, b.op, b.lo) if b else 'nothing more'}", f"seen     {(disk, op, at)}",
                         f"in a request for sectors {sector} to {sector + count - 1}")
            at, first = at + b.n, False
        run.equal(at, sector + (count if op < 2 else 0), "the end of a request that is made of whole bios")
    run.equal(len(left), 0, "bios that reached no driver")


def test_joined_right(run: Run):
    """Requests under a plug, joined or not, are those that were made; each is completed once."""
    for limits in ((12, 200, 3, 12), (5, 30, 3, 9)):
        for bios, sent, after, _ in merge_rounds(run, *limits, 0):
            judge_joined(run, bios, requests(sent), *limits[:2])
            done = sorted(tuple(numbers(x)) for x in after if x.startswith("done"))
            run.equal(done, [(b.serial, 0) for b in bios], "the completions (request, error)")


def runs_of(bios, max_vec, max_sectors):
    """What travels together: from the first on, as long as each continues the one before and all fit."""
    out = []
    for b in bios:
        r = out[-1] if out else None
        if r and b.op == r["op"] < 2 and b.disk == r["disk"] and b.lo == r["lo"] + r["n"] and \
                r["vec"] + b.pieces <= max_vec and r["n"] + b.n <= max_sectors:
            r["n"] += b.n
            r["vec"] += b.pieces
        else:
            out.append({"op": b.op, "disk": b.disk, "lo": b.lo, "n": b.n, "vec": b.pieces})
    return out


def judge_few(run, *limits):
    for bios, sent, _, _ in merge_rounds(run, *limits, 0):
        got = [(disk, op, sector if op < 2 else 0, count) for disk, op, sector, count, _ in requests(sent)]
        want = [(r["disk"], r["op"], r["lo"] if r["op"] < 2 else 0, r["n"]) for r in runs_of(bios, *limits[:2])]
        run.equal(got, want, "requests (disk, op, sector, count) that the drivers got")


def test_joined_neighbours(run: Run):
    """Neighbours share a request."""
    judge_few(run, 1000, 100000, 3, 12)


def test_joined_limits(run: Run):
    """... as far as the driver takes it."""
    judge_few(run, 5, 30, 3, 9)


def test_joined_errors(run: Run):
    """A bad sector is the error of those who asked for it, not of their neighbours."""
    for bios, sent, after, bad in merge_rounds(run, 12, 200, 3, 12, 1):
        want = [(b.serial, -EIO if b.op < 2 and b.lo <= bad[b.disk] < b.lo + b.n else 0) for b in bios]
        done = sorted(tuple(numbers(x)) for x in after if x.startswith("done"))
        run.equal(done, want, f"the completions (request, error) when sectors {bad} are bad")


# ---------------------------------------------------------------- real disks

def io_disks(run, random, kinds):
    """Images with noise on them, some with partitions; their paths and QEMU's words."""
    images, extra, folder = {}, [], run.folder()
    for i, kind in enumerate(kinds):
        size = 1500 + random.below(1500)
        image = bytearray(noise(random, SECTOR * 64) * (size // 64 + 1))[:size * SECTOR]
        for s in range(size):
            image[s * SECTOR:s * SECTOR + 8] = (random.state ^ s * 0x9e3779b97f4a7c15 & MASK).to_bytes(8, "little")
        put(image, 0, mbr([(0x83, 1 + random.below(50), 200 + random.below(300)), (0x83, 700 + random.below(9), 700)]))
        name = ("vd" if kind == "virtio" else "sd") + chr(97 + kinds[:i].count(kind))
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(image)
        images[name] = path, image
        extra += disk_args(kind, path, True, f"d{i}", boot=False)
    return images, extra


def sectors(seed, n):
    return b"".join(struct.pack("<64Q", *((seed + k * 0x9e3779b97f4a7c15 + j) & MASK for j in range(64))) for k in range(n))


def draw_io(random, devices, writes):
    """One request: (device, op, sector, sectors, seed of what is written). devices: [(name, sectors)]"""
    name, size = devices[random.below(len(devices))]
    most = min(size, IO_SECTORS)
    n = 1 + random.below(most if random.below(3) else min(most, 8))
    sector, seed = random.below(size - n + 1), random.next()
    op, at, pieces = "write" if writes and random.below(2) else "read", 0, 0
    while at < n:
        size = 1 + random.below(4 if random.below(4) else n)
        at += n - at if size > n - at or pieces == IO_PIECES - 1 else size
        pieces += 1
    return name, op, sector, n, seed


def judge_request(run, line, asked, start, image):
    """One line of what was done; a write changes the image."""
    name, op, sector, n, seed = asked
    begin, _, result = line.partition(": ")
    run.equal(begin, f"{op} {name} {sector}+{n}", "the request that was to be made")
    run.check(not result.startswith("error"), "wrong", f"a request inside the disk failed: {line}")
    at = (start + sector) * SECTOR
    if op == "read":
        run.equal(result, f"sum {zlib.adler32(bytes(image[at:at + n * SECTOR]))}",
                  f"the checksum of {n} sectors from {sector} of {name}, against the image")
    else:
        run.equal(result, f"seed {seed}", f"what is written: {line}")
        image[at:at + n * SECTOR] = sectors(seed, n)


def judge_io(run, kinds, steps, writes):
    images, extra = io_disks(run, Random(run.seed ^ 0x5a5a), kinds)
    obs = run.observe("disk_io", arg=f"{steps},{writes}", extra=extra, icount=False, archive=False)
    script = Script(run, obs.lines)
    places = {}                                    # {name: (first sector, sectors)}
    for name, (_, image) in images.items():
        places[name] = 0, len(image) // SECTOR
        places |= {f"{name}{i + 1}": struct.unpack_from("<II", image, 446 + 16 * i + 8) for i in range(2)}
    devices, random = sorted((name, n) for name, (_, n) in places.items()), Random(run.seed)
    for _ in range(steps):
        asked = draw_io(random, devices, writes)
        judge_request(run, script.next(), asked, places[asked[0]][0], images[asked[0][:3]][1])
    run.equal(sorted(script.next() for _ in devices), sorted(f"flush {name}: 0" for name, _ in devices),
              "flushing each device")
    script.over()
    for name, (path, image) in images.items():
        with open(path, "rb") as f:
            run.equal(f.read(), bytes(image), f"the contents of the disk {name} afterwards")


def test_disk_reads(run: Run):
    """Random reads from disks and partitions, into pieces all over memory."""
    judge_io(run, ["virtio", "virtio", "ata"], 40, 0)


def test_disk_writes(run: Run):
    """Random reads and writes; the images afterwards."""
    judge_io(run, ["virtio", "virtio", "ata"], 40, 1)


def test_disk_flight(run: Run):
    """More requests at once than a queue holds, in any order, some plugged: written, and read again."""
    images, extra = io_disks(run, Random(run.seed ^ 0x5a5a), ["virtio"])
    obs = run.observe("disk_batch", extra=extra, icount=False, archive=False)
    seed = Random(run.seed).next()
    path, image = images["vda"]
    want = b"".join(sectors(seed + i & MASK, 8) for i in range(160))
    for what in ("write", "read"):
        got = [line for line in obs.lines if line.startswith(what)]
        run.equal(got, [f"{what} {i}: error 0 sum {zlib.adler32(want[i * 4096:i * 4096 + 4096])}" for i in range(160)],
                  f"each {what}'s error and the checksum of its memory")
    image[:len(want)] = want
    with open(path, "rb") as f:
        run.equal(f.read(), bytes(image), "the contents of the disk afterwards")
