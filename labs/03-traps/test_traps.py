"""The judges of lab 3: what handlers, programs and copies saw (kern/trap/observe_trap.c), against what they had to see."""

import re

from grade.eclipse.judge import Run
from grade.eclipse.observe import Random

MASK, PAGE = (1 << 64) - 1, 4096
KERNBASE, DIRECTMAP, USER_END = 0xffffffff80000000, 0xffff888000000000, 0x00007ffffffff000
KDYN_END = 0xffffe90000000000
UCODE, UDATA = 0x400000, 0x500000
UTOP = USER_END - PAGE
EINTR, ENOMEM, EFAULT, EINVAL, ENAMETOOLONG, ENOSYS = 4, 12, 14, 22, 36, 38
PG_STACK, STACK = 6, 16384


def signed(x):
    return x - (1 << 64) if x >> 63 else x


def hashed(data):
    """FNV-1a, as the kernel's side has it."""
    h = 2166136261
    for b in data:
        h = (h ^ b) * 16777619 & 0xffffffff
    return h


def test_traps_up(run: Run):
    """Interrupts are on, and the clock goes; the processor, looked at from outside, has our table of handlers."""
    obs, least = run.observe("traps_up", hold=True), 1000 + Random(run.seed).below(1000000)
    m = re.fullmatch(r"interrupts (\w+), waited (\d+) of (\d+) ns", "\n".join(obs.lines))
    run.check(m and m[1] == "on", "wrong", "the state of the machine when the boot is done", "expected interrupts on",
              "seen     " + "\n".join(obs.lines))
    run.equal(int(m[3]), least, "the time that was to be waited")
    run.check(int(m[2]) >= least, "wrong", f"the clock does not go: {m[2]} of {least} ns are over",
              "after thousands of looks at it")
    run.equal(obs.machine.cpus()[0].idt, (obs.symbol("idt"), 256 * 16 - 1),
              "the interrupt table (address, last byte) that is loaded")


# ---------------------------------------------------------------- stacks

def test_exception_stacks(run: Run):
    """The task state segment, as the processor holds it: three stacks for the worst moments."""
    obs = run.observe("traps_up", hold=True)
    m = re.search(r"TR =\w+ ([0-9a-f]{16})", obs.machine.cpus()[0].text)
    run.check(m, "grader", "QEMU does not show the task register")
    tss = obs.read(int(m[1], 16), 104)
    tops = [int.from_bytes(tss[36 + 8 * i:44 + 8 * i], "little") for i in range(3)]
    layout, array = obs.struct("page", "kern/mem/page.c"), obs.number(obs.symbol("page_array"))
    for name, top in zip(("double fault", "NMI", "machine check"), tops):
        run.check(top and top % 16 == 0, "wrong", f"the stack for the {name} is named {top:#x}",
                  "16-aligned, and not 0")
        page = array + (top - 1 - DIRECTMAP) // PAGE * layout[""][1]
        owned = DIRECTMAP < top <= DIRECTMAP + (64 << 20)
        run.check(owned, "wrong",
                  f"the stack for the {name} ends at {top:#x}, which is not in the direct map")
        for back in range(4):                    # the first page of the block counts its references
            first = page - back * layout[""][1]
            ref, kind = obs.number(first + layout["ref"][0], 4), obs.number(first + layout["kind"][0], 1)
            if ref:
                break
        run.check(ref == 1 and kind == PG_STACK and (1 << obs.number(first + layout["order"][0], 1)) > back,
                  "wrong",
                  f"below {top:#x}, where the stack for the {name} ends, is no page that was allocated for stacks",
                  "a stack is named by its end: it grows down")
    for a, b in ((0, 1), (0, 2), (1, 2)):
        run.check(abs(tops[a] - tops[b]) >= PAGE, "wrong",
                  f"two exception stacks lie less than a page apart: {tops[a]:#x}, {tops[b]:#x}")


def test_stack_overflow(run: Run):
    """A recursion runs into the guard page. The double fault has a stack of its own and tells."""
    obs = run.observe("stack_overflow", ends="panic", hold=True)
    (bottom,) = obs.numbers(r"stack (\w+)", base=16)
    first = Random(run.seed).below(1 << 30)
    stack = obs.read(bottom, STACK) if obs.walk(bottom)[1] else b""
    depth = next((n for n in range(STACK) if (first + n).to_bytes(4, "little") not in stack), STACK)
    run.check(depth >= 50, "wrong", f"the recursion has left its mark on the stack for {depth} of its calls",
              "it does not get to the stack's end")
    said = obs.console[obs.console.rfind("panic:"):]
    run.check("stack overflow" in said.split("\n")[0], "wrong", "the panic names a stack overflow",
              said.split("\n")[0])
    addrs = [int(a, 16) for a in re.findall(r"0x(ffff\w{12})", said.split("\n")[0])]
    run.check(any(bottom - PAGE <= a < bottom + 256 for a in addrs), "wrong",
              f"the stack pointer at the end is not told: expected about {bottom:#x}", said.split("\n")[0])
    run.check(len(re.findall(r"\bdig\b", obs.console)) >= 3, "wrong",
              "the function that called itself is not in the report")


# ---------------------------------------------------------------- interrupts

def test_irq_handlers(run: Run):
    obs, random = run.observe("irq_handlers"), Random(run.seed)
    told = iter(obs.lines)
    for i in range(6):
        vector = random.below(400) - 50 if i % 2 else random.below(32)
        if not 32 <= vector <= 255:
            run.equal(next(told, None), f"vector {vector}: {-EINVAL}",
                      "a handler for a vector that no device has")
    there, counts = [set(), set(), set()], [0, 0, 0]
    for step in range(120):
        v, h = random.below(3), random.below(6)
        if random.below(3) == 0:
            counts[v] += 1
            run.equal(next(told, None), f"fire {v}", f"step {step}")
            got = sorted(next(told, None) or "" for _ in there[v])
            run.equal(got, sorted(f"handler {x} interrupts off in_irq 1" for x in there[v]),
                      f"step {step}: what ran at interrupt {counts[v]} of vector {v}, which has the handlers {sorted(there[v])}")
            run.equal(next(told, None), f"count {counts[v]} in_irq 0",
                      f"step {step}: interrupts counted at vector {v}, and depth afterwards")
        elif h in there[v]:
            there[v].remove(h)
            run.equal(next(told, None), f"unregister {v} {h}", f"step {step}")
        else:
            there[v].add(h)
            run.equal(next(told, None), f"register {v} {h}: 0", f"step {step}")


def test_irq_full(run: Run):
    obs = run.observe("irq_full")
    n, err = (int(x) for x in re.fullmatch(r"registered (\d+) then (-?\d+)", obs.lines[0]).groups())
    run.equal(err, -ENOMEM, f"what irq_register returns after {n} handlers")
    run.check(50 <= n <= 64, "wrong",
              f"{n} handlers could be registered beside the kernel's own; there is room for 64 in all")
    run.equal(obs.lines[1:3], [f"other vector: {-ENOMEM}", "again: 0"],
              "one handler is gone: who can have its place")
    gone = Random(run.seed).below(n + 1) % n
    run.equal(obs.lines[3:], [f"did not run: {gone}", f"ran {n - 1} late 1"],
              f"handlers run by one interrupt, when number {gone} is gone")


# ---------------------------------------------------------------- timers

def test_timers(run: Run):
    """Armed, armed again, cancelled: each fires once, in order, never too early."""
    obs, random = run.observe("timers"), Random(run.seed)
    told = iter(obs.lines)
    for round_ in range(3):
        armed = {}
        for _ in range(16):
            t, after = random.below(8), random.below(8000000)
            if random.below(4):
                armed[t] = after
                run.equal(next(told, None), f"arm {t} after {after}", "steps")
            else:
                run.equal(next(told, None),
                          f"cancel {t}: {'yes' if armed.pop(t, None) is not None else 'no'}",
                          "timer_cancel says whether the timer was armed")
        run.equal(next(told, None), "begin in time", "the moment when interrupts are let in")
        for t in sorted(armed, key=armed.get):
            m = re.fullmatch(r"fired (\d+) late (-?\d+)", next(told, "") or "")
            run.check(m, "wrong", f"round {round_}: timer {t}, {armed[t]} ns after the start, did not fire",
                      f"armed: {sorted((a, x) for x, a in armed.items())} (time, timer)")
            run.equal(int(m[1]), t,
                      f"round {round_}: the next timer to fire; armed are (time, timer) {sorted((a, x) for x, a in armed.items())}")
            run.check(int(m[2]) >= 0, "wrong", f"timer {t} fired {-int(m[2])} ns too early")
            run.check(int(m[2]) < 3000000, "wrong", f"timer {t} fired {m[2]} ns too late")
    run.equal(list(told), [f"cancel {t}: no" for t in range(8)],
              "whether the timers are armed when all have fired")


def test_timer_again(run: Run):
    obs, random = run.observe("timer_again"), Random(run.seed)
    n = 2 + random.below(30)
    run.equal(obs.lines, [f"armed itself {n} times, 0 left", "cancelled: yes", "cancel 2: no"],
              "a timer that arms itself; then one that cancels another, which is due a moment later")


# ---------------------------------------------------------------- exceptions

REGS = "rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15".split()


def test_registers_kept(run: Run):
    """The frame shows the registers as they were; what the handler changes in it is changed afterwards, and nothing else."""
    obs, random, want = run.observe("registers_kept"), Random(run.seed), []
    for i in range(6):
        regs = [random.next() for _ in REGS]
        change, on = random.next() & 0xffffffff, "on" if i % 2 else "off"
        want += [f"frame {k} {r:x}" for k, r in enumerate(regs)]
        want += [f"interrupts {on}", f"after: interrupts {on}"]
        want += [f"after {k} {(~r & MASK if change >> k & 1 else r):x}" for k, r in enumerate(regs)]
    run.equal(obs.lines, want,
              f"registers ({', '.join(f'{k} {r}' for k, r in enumerate(REGS))}) in the frame and after the handler")


def test_exception_rules(run: Run):
    obs, random, want = run.observe("exception_rules"), Random(run.seed), []
    for i in range(6):
        hole, on = UDATA + 2 * PAGE + random.below(4000), "on" if i % 2 else "off"
        want += ["asked: from user mode, interrupts on", f"vector 14 cr2 {hole:x}",
                 f"asked: from kernel mode, interrupts {on}", f"copyin {-EFAULT}", "nofault 4",
                 f"interrupts {on}"]
    run.equal(obs.lines, want,
              "page faults of a program and of copies: who is asked, with interrupts how, and the address told")


def fault_kinds(random):
    """(vector, error, rip behind UCODE, cr2) of the code that emit_fault() makes, in order of its kinds."""
    for i in range(22):
        kind, begin = i % 11, random.below(20)
        at, off = begin + 10, random.below(4000)
        addr = {3: UDATA + 2 * PAGE, 4: UDATA + 3 * PAGE, 5: KERNBASE + 0x100000, 6: UDATA,
                8: UCODE}.get(kind, 0) + off
        yield {0: (6, 0, at, 0), 1: (0, 0, at + 2, 0), 2: (3, 0, at + 1, 0), 3: (14, 4, at, addr),
               4: (14, 7, at, addr), 5: (14, 5, at, addr),
               6: (14, 0x15, addr - UCODE, addr), 7: (13, 0, at, 0), 8: (14, 7, at, addr), 9: (13, 0, at, 0),
               10: (13, 0, at, 0)}[kind]


KINDS = ["an invalid instruction", "a division by zero", "a breakpoint", "a read where nothing is",
         "a write to a read-only page",
         "a read of kernel memory", "a jump into data", "a non-canonical address", "a write to code", "HLT",
         "OUT"]


def test_user_faults(run: Run):
    obs = run.observe("user_faults")
    for i, (want, line) in enumerate(zip(fault_kinds(Random(run.seed)), obs.lines)):
        v, e, rip, cr2 = want
        run.equal(line, f"vector {v} error {e:x} rip +{rip:x} cr2 {cr2:x} cs 23",
                  f"what is told of {KINDS[i % 11]} in a user program")
    run.equal(len(obs.lines), 22, "faults told")


def report_place(run, where):
    random = Random(run.seed)
    addr = UDATA + 2 * PAGE + random.below(512) * 8
    if where == "far":
        addr = ((addr & 0x7f8) + 8) << 35 | random.below(1 << 20) * 8
    elif where == "null":
        addr = 8 * random.below(500)
    elif where == "device":
        addr = KDYN_END - (1 + random.below(1000)) * PAGE
    return addr


def test_fault_report(run: Run):
    """The report of a kernel fault: address, function, and the page walk, entry by entry as it stands in memory."""
    for where in ("near", "far", "null", "device"):
        obs = run.observe("fault_report", arg=where, ends="panic", hold=True)
        addr = report_place(run, where)
        run.equal(obs.lines, [f"address {addr:x}"], f"what is told before a read of {addr:#x}")
        said = obs.console[obs.console.find("page fault"):]
        run.check(said and f"{addr:x}" in said, "wrong", f"the report names the address {addr:#x}",
                  said[:600])
        run.check("observe_fault_report" in said, "wrong", "the report names the function", said[:600])
        walk = said[:said.find("panic:")] if "panic:" in said else said
        seen = [(int(i), int(e, 16) & ~0x60) for i, e in re.findall(r"\[(\d+)\] = (?:0x)?([0-9a-f]+)", walk)]
        want = [(at % PAGE // 8, entry & ~0x60) for _, at, entry in obs.walk(addr)[0]]
        shown = [[f"[{i}] = {e:#x}" for i, e in steps] for steps in (seen, want)]
        run.equal(*shown, f"the walk of {addr:#x} in the report, and the entries as they stand in memory")
        obs.machine.close()


# ---------------------------------------------------------------- user memory

class Memory:
    """The user pages of the observations: {first address: bytes}, writable or not."""

    def __init__(self):
        self.pages = {at: bytearray((17 * i + 5 * k) & 255 for k in range(PAGE))
                      for i, at in enumerate((UDATA, UDATA + PAGE, UDATA + 3 * PAGE, UTOP))}
        self.read_only = {UDATA + 3 * PAGE}

    def reach(self, at, n, write):
        """How many of the n bytes from `at` on can be touched before one faults; none at all outside user memory."""
        if at + n > USER_END:
            return 0
        done = 0
        while done < n:
            page = (at + done) // PAGE * PAGE
            readable = page in self.pages or page == UCODE
            if not readable or write and (page in self.read_only or page == UCODE):
                break
            done += PAGE - (at + done) % PAGE
        return min(done, n)

    def load(self, at, n):
        return b"".join(bytes(self.pages[(at + i) // PAGE * PAGE][(at + i) % PAGE:(at + i) % PAGE + 1])
                        for i in range(n))

    def store(self, at, data):
        for i, b in enumerate(data):
            self.pages[(at + i) // PAGE * PAGE][(at + i) % PAGE] = b


def random_place(random):
    bad = [0, USER_END - 5, USER_END, MASK - 7, 1 << 63, KERNBASE + 0x100000, DIRECTMAP]
    if random.below(8) == 0:
        return bad[random.below(7)]
    if random.below(2):
        edge = UDATA + (1 + random.below(5)) * PAGE
        return edge - random.below(40)
    return UDATA + random.below(5 * PAGE)


COPIES = ["copyin", "copyout", "copyin_partial", "copyout_partial", "copyin_nofault", "copyout_nofault"]


def test_user_copies(run: Run):
    """Copies at the edges of memory: what was copied is exact to the byte, and nothing else was touched."""
    obs, random, memory = run.observe("user_copies", hold=True, instructions=300_000_000), Random(run.seed), Memory()
    for i in range(250):
        at, size = random_place(random), random.below(10)
        n = MASK - random.below(100) if size == 0 else random.below(60) if size < 7 else random.below(8192)
        most, op = min(n, 8192), random.below(2 if n > 8192 else 6)
        buf, write = bytes((i + 3 * k) & 255 for k in range(most)), op % 2
        done = memory.reach(at, n, write)
        left = n - done if op > 1 else 0 if done == n else most
        what = f"{COPIES[op]} of {n:#x} bytes at {at:#x}, of which {done} can be touched"
        m = re.fullmatch(r"copy (\d) at (\w+) size (\w+): left (\d+) hash (\w+)", obs.lines[i])
        run.equal((int(m[1]), int(m[2], 16), int(m[3], 16)), (op, at, n), "the copy made")
        run.equal(int(m[4]), left, "bytes left uncopied by " + what)
        if not write:
            run.equal(int(m[5], 16), hashed(memory.load(at, most - left)),
                      "the hash of what was copied by " + what)
        else:
            memory.store(at, buf[:done])
    for i, at in enumerate((UDATA, UDATA + PAGE, UDATA + 3 * PAGE, UTOP)):
        pa = int(obs.lines[250 + i].split()[-1], 16)
        run.equal(obs.phys(pa, PAGE), bytes(memory.pages[at]),
                  f"the user page at {at:#x} when all is done, read from memory")


def test_copy_mended(run: Run):
    """A page-fault handler that maps the missing page: the copy goes on. _nofault does not ask it."""
    obs, random = run.observe("copy_mended"), Random(run.seed)
    before = 1 + random.below(3000)
    n = before + 1 + random.below(3000)
    buf = bytes(1 + k % 255 for k in range(n))
    run.equal(obs.lines, [f"nofault: left {n - before}, asked 0", "copyout: 0, asked 1",
                          f"before {before} size {n}: hash {hashed(buf[:before]):x} {hashed(buf[before:]):x}",
                          "store: 0, asked 2, there 4711", f"read-only: {-EFAULT}"],
              f"a copy of {n} bytes, {before} of them before a page that comes when it is needed")


def test_user_strings(run: Run):
    obs, random = run.observe("user_strings"), Random(run.seed)
    for i in range(200):
        high, far = random.below(2), random.below(3)
        far = 1 + random.below(40 if far else 4000)
        nul, n = random.below(far + 10), 1 + random.below(far + 10)
        letter, at = 97 + random.below(26), (USER_END if high else UDATA + 2 * PAGE) - far
        got = nul if nul < min(n, far) else -ENAMETOOLONG if n <= far else -EFAULT
        text = bytes([letter]) * nul + b"\0"
        run.equal(obs.lines[i],
                  f"string at {at:x} nul {nul} size {n}: {got} within hash {hashed(text) if got >= 0 else 0:x}",
                  f"copyinstr of at most {n} bytes; memory ends after {far}, the NUL is " + (f"at {nul}" if nul < far else "not there"))
    bad = [0, UDATA + 2 * PAGE, USER_END, USER_END + 1, MASK, 1 << 63, KERNBASE + 0x100000, DIRECTMAP]
    run.equal(obs.lines[200:], [f"bad {a:x}: {-EFAULT}" if a else f"bad 0: {-EFAULT}" for a in bad],
              "strings where none can be")


# ---------------------------------------------------------------- system calls

def test_syscall_numbers(run: Run):
    """Numbers, arguments, results: the last registration counts, and what nobody registered is -ENOSYS."""
    obs, random = run.observe("syscall_numbers"), Random(run.seed)
    nr = [400 + i * 18 + random.below(18) for i in range(6)]
    results = [random.next() >> 8 for _ in range(12)]
    handlers, want, bad = {}, [], [512, 513, 1 << 31, 1 << 32, MASK, 1 << 63]
    for _ in range(90):
        k, which = random.below(6), random.below(12)
        if random.below(3) == 0:
            handlers[nr[k]] = which
            want.append(f"register {nr[k]} with {which}")
            continue
        number = nr[k]
        if random.below(6) == 0:
            number = bad[random.below(6)]
        rdi, rsi, rdx, r10, r8, r9, rbx, r12 = (random.next() for _ in range(8))
        which, rax = handlers.get(number), -ENOSYS & MASK
        want.append(f"call {number:x}")
        if which is not None:
            rax = results[which]
            want.append(f"handler {which}: {rdi:x} {rsi:x} {rdx:x} {r10:x} {r8:x} {r9:x} interrupts on")
            if which >= 6:
                want.append(f"frame: number {number} rdi {rdi:x} rsi {rsi:x} rdx {rdx:x} r10 {r10:x} r8 {r8:x} r9 {r9:x}")
                rbx, r8 = rdi ^ r9, ~r8 & MASK
        want.append(f"back: rax {rax:x} rbx {rbx:x} r8 {r8:x} r12 {r12:x} rdi {rdi:x}")
    want += [f"present {n}: {'yes' if n in handlers else 'no'}" for n in nr]
    run.equal(obs.lines, want,
              "system calls of a program (handlers from 6 on want the frame, and change rbx and r8 in it)")


# ---------------------------------------------------------------- the way back

USER_FLAGS = 0x250dd5                  # CF PF AF ZF SF TF DF OF RF AC ID (SDM vol. 1, 3.4.3)
FRAME = r"(\w+) rip (\w+) cs (\w+) rflags (\w+) rsp (\w+) ss (\w+) rax (\w+) rbx (\w+)"


WORDS = ("vector r15 r14 r13 r12 rbp rbx r11 rcx rax r10 r9 r8 rdx rsi rdi error rip cs rflags rsp ss").split()


def draw_frame(random, i):
    """What mend_one() draws, as it is shown."""
    frame = {word: random.next() for word in WORDS}
    if i % 3 == 0:
        frame["rip"] = USER_END - 2 + random.below(4)
    if i % 3 == 1:
        frame["rip"] = random.below(USER_END)
    return [frame[word] for word in "rip cs rflags rsp ss rax rbx".split()]


def test_frame_mended(run: Run):
    """Hostile frames: no kernel privilege, no forbidden flag, no address that IRET would choke on; the rest stays."""
    obs, random = run.observe("frame_mended"), Random(run.seed)
    frames = [[int(g, 16) for g in m.groups()[1:]] for m in obs.all(FRAME)]
    run.equal(len(frames), 60, "frames told")
    run.equal([m[0] for m in obs.all(r"interrupts \w+")], ["interrupts off"] * 30,
              "interrupts when trap_user_return returns")
    for i, (before, after) in enumerate(zip(frames[::2], frames[1::2])):
        run.equal(before, draw_frame(random, i), "the frame (rip, cs, rflags, rsp, ss, rax, rbx) that was to be mended")
        rip, _, flags, rsp, _, rax, rbx = before
        shown = f"a frame with rip {rip:#x}, rflags {flags:#x}"
        run.equal([f"{x:#x}" for x in after[1:5:3]], ["0x23", "0x1b"],
                  f"code and stack selector after {shown}")
        run.equal(after[3:4] + after[5:], [rsp, rax, rbx],
                  f"rsp, rax, rbx after {shown}: a program's business")
        if rip < USER_END:
            run.equal(after[0], rip, f"rip after {shown}: a good address")
        else:
            run.check(after[0] >> 47 == 0 and after[0] >= USER_END, "wrong",
                      f"rip after {shown} is {after[0]:#x}",
                      f"an address that faults in user mode: {USER_END:#x}")
        run.check(after[2] & 0x202 == 0x202, "wrong", f"rflags after {shown} are {after[2]:#x}",
                  "interrupts must be on, bit 1 is always set")
        run.equal(after[2] & ~0x202, flags & USER_FLAGS & ~0x202,
                  f"the other flags after {shown}: those that a program may set, as they were")
    for i, m in enumerate(obs.all(r"ran: vector (\d+) rip (\w+)")):
        if i % 2:
            run.equal((int(m[1]), int(m[2], 16)), (6, UCODE),
                      "(vector, rip) of a program that was started from a bad frame")
        else:
            run.check(int(m[1]) == 14, "wrong",
                      f"a program started at a bad address stopped with vector {m[1]}",
                      "a page fault in user mode")
    run.equal(len(obs.all(r"ran: .*")), 6, "programs started from bad frames")


RESTARTS = (-512, -513, -514, -516)


def test_return_work(run: Run):
    """Work that is pending when a call returns: the hooks run, with interrupts on, until there is none."""
    obs, random, want = run.observe("return_work"), Random(run.seed), []
    results = [0, 5, -4, -512, -513, -514, -515, -516, -517, -14]
    for _ in range(12):
        result = results[random.below(10)]
        more = random.below(4)
        want += [f"call returns {result}, more work {more}"] + [f"hook: rax {result} interrupts on work 0"] * (more + 1)
        want += [f"back: rax {-EINTR if result in RESTARTS else result}, hooks {more + 1}"]
    run.equal(obs.lines, want,
              "calls that leave work behind; -512, -513, -514 and -516 must not reach the program")


# ---------------------------------------------------------------- the FPU

def test_fpu_state(run: Run):
    """Three programs, each with its own registers, whoever ran in between."""
    obs, random, want = run.observe("fpu_state"), Random(run.seed), []
    state = {k: ([0] * 16, 0x1f80) for k in range(3)}
    for i in range(-1, 40):
        k = 0 if i < 0 else 1 - i % 2 if i < 3 else random.below(3)
        if i < 0 or i >= 3 and random.below(2):
            mxcsr = 0x1f80 | random.below(4) << 13
            state[k] = [random.next() for _ in range(16)], mxcsr
            want.append(f"load {k}")
        else:
            v, mxcsr = state[k]
            want += [f"thread {k} xmm{i} {v[2 * i]:x} {v[2 * i + 1]:x}"
                     for i in range(8)] + [f"thread {k} mxcsr {mxcsr:x}"]
    run.equal(obs.lines, want, "the FPU registers of three programs, loaded and looked at in turn")


def test_fpu_lazy(run: Run):
    """The FPU is turned on for those who use it only; for the kernel it never is."""
    obs, random, used, want = run.observe("fpu_lazy", ends="panic"), Random(run.seed), [0, 0], []
    owner = None
    for i in range(8):
        touch = random.below(2)
        if touch:
            used[i % 2], owner = 1, i % 2
        want.append(f"thread {i % 2} touches {touch}: on {touch} used {used[i % 2]} loaded {int(owner == i % 2)}")
    run.equal(obs.lines, want + ["kernel"], "who has the FPU after which program ran")
    said = obs.console[obs.console.rfind("panic:"):].split("\n")[0]
    run.check("FPU" in said, "wrong", "the panic says that the kernel used the FPU", said)
