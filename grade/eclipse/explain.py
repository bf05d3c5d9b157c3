"""What happened? A run that did not end as it should, looked at from outside: its class, where everybody was, and why.

Idea.       The machine is paused, so all can be read: the CPUs' registers, the chains of stack frames, page tables, the
            descriptor of every thread, the owners of locks. Nothing here trusts what the kernel says about itself, but
            the text of its panic is shown.
"""

import itertools
import os
import re

from grade.eclipse import build, trace
from grade.eclipse.failure import Failure
from grade.eclipse.qemu import GuestError
from grade.eclipse.symbols import Layouts, Symbols

KERNEL_HALF = 0xffff800000000000
FRAMES = 20
FRAME_MAX = 1 << 16
FLOOD = 32 << 10                      # who has printed so much when its time is over would have gone on
SPINNERS = ("spin_wait", "spin_lock", "cons_lock", "record")
VECTORS = {0: "divide error", 1: "debug", 3: "breakpoint", 4: "overflow", 5: "bound", 6: "invalid opcode",
           7: "device not available", 8: "double fault", 10: "invalid TSS", 11: "segment not present",
           12: "stack fault",
           13: "general protection", 14: "page fault", 16: "x87 error", 17: "alignment check", 18: "machine check",
           19: "SIMD error"}


# ---------------------------------------------------------------- stacks

def frames(g, cpu_or_regs, rip, rbp, cr3, user=False):
    """Addresses of code, innermost first: rip, then the return addresses along the chain of frame pointers."""
    out = [rip]
    for _ in range(FRAMES):
        if rbp % 8 or (not user and rbp < KERNEL_HALF) or (user and not 0 < rbp < KERNEL_HALF):
            break
        try:
            following, ret = g.number(rbp, 8, cr3), g.number(rbp + 8, 8, cr3)
        except LookupError:
            break
        if ret == 0:
            break
        out.append(ret - 1)
        if following <= rbp or following - rbp > FRAME_MAX:
            break
        rbp = following
    return out


def program_symbols(g):
    """The user program with its symbols, when the judge knows which one it started."""
    if g.program:
        folder = "user/tests" if g.program.startswith("/tests/") else "user/bin"
        path = build.path(folder, os.path.basename(g.program))
        if os.path.exists(path):
            return Symbols.of(path)
    return None


def name_frames(syms, addrs, user=False):
    """A row for each frame; a recursion's frames are one."""
    rows = []
    if syms:
        syms.look_up(addrs)
    for a, again in ((a, len(list(same))) for a, same in itertools.groupby(addrs)):
        if syms is None or (syms.function(a) is None and rows):
            rows.append(f"  {a:016x}")
        else:
            rows.append(f"  {a:016x}  {syms.describe(a)}" + ("  (user)" if user else ""))
        if again > 1:
            rows.append(f"  {'':16}  ... {again - 1} times more" + (", and on" if a == addrs[-1] else ""))
    return rows


def cpu_chain(g, cpu):
    """[addresses] of one CPU; its function names are syms.function()."""
    return frames(g, cpu, cpu.rip, cpu.reg.get("RBP", 0), cpu.reg.get("CR3", 0), cpu.user)


def backtraces(g, kernel):
    """One paragraph for each CPU."""
    syms, out, cpus = Symbols.of(kernel), [], g.cpus()
    syms.look_up([a for cpu in cpus if cpu.long and not cpu.user for a in cpu_chain(g, cpu)])
    for cpu in cpus:
        if not cpu.long:
            if cpu.number == 0:
                out.append(f"cpu 0: before long mode, at {cpu.rip:#x}")
            continue
        how = "halted" + ("" if cpu.interrupts else ", interrupts off") if cpu.halted else \
            ("in user mode" if cpu.user else "running" + ("" if cpu.interrupts else ", interrupts off"))
        out.append(f"cpu {cpu.number}: {how}")
        out += name_frames(program_symbols(g) if cpu.user else syms, cpu_chain(g, cpu), cpu.user)
    return "\n".join(out)


def functions(g, kernel, inlined=True):
    """The names of functions on the CPUs' stacks, and of what is inlined in them: {cpu: [names]}."""
    syms = Symbols.of(kernel)
    chains = {cpu.number: [a for a in cpu_chain(g, cpu) if syms.function(a)] for cpu in g.cpus()
              if cpu.long and not cpu.user}
    if inlined:
        syms.look_up([a for chain in chains.values() for a in chain])

    def at(a):
        return [*(f for f, _ in (syms.place(a) if inlined else ())), syms.function(a)[0]]
    return {n: [name for a in chain for name in at(a)] for n, chain in chains.items()}


# ---------------------------------------------------------------- threads and locks

class Threads:
    """The kernel's threads, found through its list of all of them; empty before lab 4."""

    def __init__(self, g, kernel):
        self.g, self.syms, self.layouts = g, Symbols.of(kernel), Layouts.of(kernel)
        self.cr3 = next((c.reg["CR3"] for c in g.cpus() if c.long), 0)
        self.all = []
        head = self.syms.address.get("all_threads")
        if head is not None:
            self.layout = self.layouts.struct("thread", "kern/proc/thread.c")
            if self.layout:
                self.collect(head)

    def collect(self, head):
        link = self.layout["all_link"][0]
        try:
            at = self.g.number(head, 8, self.cr3)
            while at != head and len(self.all) < 300:
                self.all.append(at - link)
                at = self.g.number(at, 8, self.cr3)
        except LookupError:
            pass

    def field(self, t, name):
        offset, size = self.layout[name]
        return self.g.number(t + offset, size or 8, self.cr3)

    def name(self, t):
        try:
            return f"{self.g.string(self.field(t, 'name'), 32, self.cr3)}/{self.field(t, 'tid')}"
        except (LookupError, KeyError):
            return f"thread {t:#x}"

    def chain(self, t):
        """Where a thread that is not running left off: switch_stacks pushed six registers and its return address."""
        rsp = self.field(t, "rsp")
        try:
            return frames(self.g, None, self.g.number(rsp + 48, 8, self.cr3) - 1,
                          self.g.number(rsp + 40, 8, self.cr3), self.cr3)
        except LookupError:
            return []

    def report(self):
        """Threads that are at the same place are shown together."""
        states, groups = ("ready", "running", "sleeping", "dead"), {}
        for t in self.all[:40]:
            try:
                state = self.field(t, "state")
                chain = self.chain(t)[:8] if state in (0, 2) else []
                groups.setdefault((states[state] if state < 4 else str(state), tuple(chain)), []).append(self.name(t))
            except LookupError:
                groups.setdefault(("unreadable", ()), []).append(f"{t:#x}")
        out = []
        for (state, chain), names in groups.items():
            out.append(f"thread{'s' * (len(names) > 1)} {', '.join(names)}: {state}")
            out += name_frames(self.syms, chain)
        return "\n".join(out)

    def mutex_waits(self):
        """[(thread, mutex name, owner)] of threads that wait for a mutex. (Who is the owner already was given it and
        waits for nothing but to be woken: that is no deadlock.)"""
        layout = self.layouts.struct("mutex", "kern/proc/mutex.c")
        waits = []
        for t in self.all if layout else ():
            try:
                names = [f[0] for a in self.chain(t) if (f := self.syms.function(a))]
                m = self.field(t, "wait_for")
                if self.field(t, "state") != 2 or not any(n.startswith("mutex_") for n in names) or not m:
                    continue
                owner = self.g.number(m + layout["owner"][0], 8, self.cr3) & ~7
                if owner in self.all:
                    name = self.g.number(m + layout["name"][0], 8, self.cr3)
                    waits.append((t, self.g.string(name, 40, self.cr3), owner))
            except LookupError:
                continue
        return waits

    def given(self):
        """[lines] about threads that sleep though the mutex they waited for is theirs."""
        return [f"{self.name(t)} was given mutex \"{name}\", and sleeps: nobody woke it"
                for t, name, owner in self.mutex_waits() if t == owner]

    def mutex_cycle(self):
        """A line for each thread of a ring of waiting threads, or None."""
        waits = {t: (name, owner) for t, name, owner in self.mutex_waits() if t != owner}
        for start in waits:
            ring, t = [], start
            while t in waits and t not in ring:
                ring.append(t)
                t = waits[t][1]
            if t == start:
                return [f"{self.name(a)} waits for mutex \"{waits[a][0]}\", which {self.name(waits[a][1])} holds"
                        for a in ring]
        return None


def spinning_on(g, kernel, cpu):
    """(name, owner's number or None) of the spinlock that a CPU waits for: one of its registers points to it."""
    syms = Symbols.of(kernel)
    base, end = syms.address.get("cpus"), syms.address.get("kernel_end", 0)
    layout = Layouts.of(kernel).struct("cpu", "kern/boot/cpu.c")
    size = layout[""][1] if layout else 0
    cr3 = cpu.reg["CR3"]
    for name in ("RDI", "RBX", "R12", "R13", "R14", "R15", "RSI", "RAX", "RCX", "RDX", "R8", "R9"):
        lock = cpu.reg.get(name, 0)
        if lock < KERNEL_HALF:
            continue
        try:
            locked, text, owner = g.number(lock, 4, cr3), g.number(lock + 8, 8, cr3), g.number(lock + 16, 8, cr3)
            if locked != 1 or not 0xffffffff80000000 <= text < end:
                continue
            said = g.string(text, 40, cr3)
        except LookupError:
            continue
        if said.isprintable() and len(said) > 1:
            number = (owner - base) // size if size and base <= owner < base + 64 * size else None
            return said, number
    return None


def spin_waits(g, kernel):
    """[lines] about CPUs that wait for spinlocks."""
    out, names = [], functions(g, kernel)
    for cpu in g.cpus():
        mine = names.get(cpu.number, [])[:3]
        if any(n in SPINNERS for n in mine) and not cpu.halted:
            lock = spinning_on(g, kernel, cpu)
            if lock:
                holder = "nobody known" if lock[1] is None else f"cpu {lock[1]}"
                holder += " itself" if lock[1] == cpu.number else ""
                out.append(f"cpu {cpu.number} waits for spinlock \"{lock[0]}\", held by {holder}")
            elif "spin_wait" in mine or "cons_lock" in mine:
                out.append(f"cpu {cpu.number} waits for a lock in {mine[0]}")
    return out


# ---------------------------------------------------------------- page walks, triple faults

def walk_text(g, va, cr3):
    """The page walk of an address, a line a level."""
    out = [f"page walk of {va:#x} with CR3 {cr3:#x}:"]
    try:
        steps, pa = g.walk(va, cr3)
    except LookupError as e:
        return "\n".join(out + [f"  the tables lead out of memory: {e}"])
    for level, at, entry in steps:
        bits = [w for bit, w in ((1, "present"), (2, "writable"), (4, "user"),
                                 (0x80, "large" if level != "PT" else "PAT"),
                                 (1 << 63, "no-execute")) if entry & bit]
        out.append(f"  {level:4} entry at {at:#x}: {entry:#018x}  {', '.join(bits) or 'not present'}")
    out.append("  nothing is mapped there" if pa is None else f"  physical address {pa:#x}")
    return "\n".join(out)


def exceptions(log):
    """[(vector, error, cpl, ip, sp, cr2)] from QEMU's log, up to the triple fault."""
    text = log.decode("latin-1")
    at = text.rfind("Triple fault")
    text = text[:at] if at >= 0 else text
    found = re.findall(r"^\s*\d+: v=([0-9a-f]{2}) e=([0-9a-f]{4}) i=(\d) cpl=(\d) "
                       r"IP=[0-9a-f]+:([0-9a-f]+) pc=\S+ SP=[0-9a-f]+:([0-9a-f]+)"
                       r"(?: CR2=([0-9a-f]+))?", text, re.M)
    return [(int(v, 16), int(e, 16), int(cpl), int(ip, 16), int(sp, 16), int(cr2 or "0", 16))
            for v, e, i, cpl, ip, sp, cr2 in found if i == "0"], at >= 0


def page_error(error):
    return ", ".join(["protection" if error & 1 else "not mapped",
                      "write" if error & 2 else "read" if not error & 16 else "fetch",
                      "user" if error & 4 else "kernel"] + (["reserved bit set in an entry"] if error & 8 else []))


def mapped(g, va, cr3):
    try:
        return g.walk(va, cr3)[1] is not None
    except LookupError:
        return False


def likely_cause(g, syms, cpu, chain):
    """What usually leads to this picture."""
    cr3, rsp, cr2 = cpu.reg["CR3"], cpu.reg["RSP"], cpu.reg.get("CR2", 0)
    first = chain[0] if chain else None
    if not mapped(g, syms.address.get("text_start", 0), cr3):
        return ("the page tables in CR3 do not map the kernel itself: they were loaded before they were complete, or "
                "freed while in use")
    base, limit = cpu.idt
    if base == 0 and limit:
        return ("the interrupt descriptor table is still the BIOS's: before lab 3 loads one, every exception ends "
                "like this")
    if limit == 0:
        return ("the interrupt descriptor table is empty (limit 0): an exception came before lab 3's table was loaded, "
                "or it was lost")
    if not mapped(g, base, cr3):
        return f"the interrupt descriptor table at {base:#x} is not mapped: no exception can be handled any more"
    stack = double_fault_stack(g, cpu) if any(e[0] == 8 for e in chain) else None
    if stack is not None and not mapped(g, stack - 8, cr3):
        return (f"the double fault was to be told on the stack that ends at {stack:#x}, and nothing is mapped there: "
                "look at the TSS")
    if not mapped(g, rsp - 8, cr3) or (first and first[0] == 14 and abs(first[5] - rsp) < 8192
                                       and not mapped(g, first[5], cr3)):
        return ("the stack has run into an unmapped page: a recursion without end, too large a local variable, or a "
                "wrong stack pointer")
    if syms.function(cpu.rip) is None and not cpu.user:
        return (f"the CPU is not in kernel code ({cpu.rip:#x}): a wild function pointer, or a return address that was "
                "overwritten")
    gate = gate_of(g, base, first[0] if first else 14, cr3)
    if gate is not None and syms.function(gate) is None:
        return f"the gate of vector {first[0] if first else 14} leads to {gate:#x}, which is no kernel code"
    if first and first[0] == 14 and first[5] < 4096:
        return "a NULL pointer was followed, and the page fault could not be handled"
    if first and first[0] == 14 and first[1] & 8:
        return "a page table entry has a reserved bit set: an address with flags in the wrong place"
    return (f"the handler of the first exception faulted itself (CR2 {cr2:#x}): look at the gate, its stack and the "
            "page it touches")


def gate_of(g, base, vector, cr3):
    try:
        d = g.read(base + vector * 16, 16, cr3)
    except LookupError:
        return None
    return int.from_bytes(d[0:2] + d[6:12], "little")


def double_fault_stack(g, cpu):
    """The end of the stack that the TSS has for double faults, or None when their gate names none, or it cannot be
    read."""
    m = re.search(r"TR =[0-9a-f]+ ([0-9a-f]+)", cpu.text)
    try:
        number = g.read(cpu.idt[0] + 8 * 16 + 4, 1, cpu.reg["CR3"])[0] & 7
        return g.number(int(m[1], 16) + 0x1c + 8 * number, 8, cpu.reg["CR3"]) if m and number else None
    except LookupError:
        return None


def triple_fault(g, kernel, log):
    """The Failure of a triple fault; `log`: QEMU's exceptions of the same run, repeated."""
    syms = Symbols.of(kernel)
    chain, seen = exceptions(log)
    chain = chain[-3:]
    cpu = next((c for c in g.cpus() if c.long and not c.halted), g.cpus()[0])
    where = syms.describe(cpu.rip) if cpu.long else f"{cpu.rip:#x}, before long mode"
    f = Failure("triple-fault", f"the CPU gave up in {where}: three exceptions, one inside the other")
    if seen and chain:
        rows = []
        for v, e, cpl, ip, sp, cr2 in chain:
            rows.append(f"  {VECTORS.get(v, 'vector')} ({v}), error {e:#x}"
                        + (f" [{page_error(e)}] at {cr2:#x}" if v == 14 else "")
                        + f"  in {syms.describe(ip)}, rsp {sp:#x}")
        f.add("the chain of exceptions", "\n".join(rows + ["  and then there was no handler left: triple fault"]))
    else:
        f.add("the chain of exceptions", "could not be had: the run was repeated, but QEMU wrote no log of them")
    f.add("likely cause", likely_cause(g, syms, cpu, chain))
    if cpu.reg.get("CR2"):
        f.add("CR2", f"{cpu.reg['CR2']:#x}\n" + walk_text(g, cpu.reg["CR2"], cpu.reg["CR3"]))
    f.add("where the CPUs were", backtraces(g, kernel))
    return f


def repeat_with_log(g):
    """The same run once more, with QEMU noting exceptions."""
    try:
        again = g.again(log=True)
        again.watch()
        return again.logged
    except (GuestError, OSError):
        return b""


# ---------------------------------------------------------------- the verdict

def panic_text(console):
    """The first line of the panic on the console, and what follows."""
    at = console.rfind("panic: ")
    return console[at:].split("\n")[0] if at >= 0 else ""


def panicked(g, kernel):
    """Did the kernel stop itself? Its stack says so, not its console."""
    return any("panic_at" in names for names in functions(g, kernel, inlined=False).values())


def not_written(g, kernel):
    """The function whose body is missing, when somebody called it."""
    for names in functions(g, kernel).values():
        if "lab_todo" in names:
            rest = names[len(names) - 1 - names[::-1].index("lab_todo") + 1:]
            return rest[0] if rest else "a function"
    return None


def trace_text(g, kernel):
    """The last events of the kernel's trace ring, if it has one."""
    threads = Threads(g, kernel)
    names = {name.rpartition("/")[2]: name for name in map(threads.name, threads.all) if "/" in name}
    return trace.text(g, kernel, {int(tid): name for tid, name in names.items()})


def stood_still(g, kernel, lab):
    """A CPU halted with interrupts off."""
    missing = not_written(g, kernel)
    if missing:
        m = re.search(r"lab (\d+): (\w+) is not written yet, see (\S+)", g.console)
        what = m[0] if m else f"lab {lab}: {missing} is not written yet"
        return Failure("not-written", what, [("who called it", backtraces(g, kernel))])
    if panicked(g, kernel):
        said = panic_text(g.console) or "panic (and the console did not show why)"
        kind = "deadlock" if re.search(r"stuck lock|self-deadlock", said) else "panic"
        return Failure(kind, said.removeprefix("panic: "), [("where the CPUs were", backtraces(g, kernel))])
    return Failure("idle-hang", "the machine stands still: a CPU has halted with interrupts off, which nothing ends",
                   [("where the CPUs were", backtraces(g, kernel))])


def hang(g, kernel, end):
    before, spins = len(g.said) + len(g.told), spin_waits(g, kernel)
    where = samples(g, kernel, spins) if end == "busy" else backtraces(g, kernel)
    after = len(g.said) + len(g.told)
    if before < after > FLOOD:               # it was still talking
        return flood(g, where)
    threads = Threads(g, kernel)
    f = deadlock(threads.mutex_cycle() or spins) or (busy_hang(g, kernel) if end == "busy" else idle_hang(g, threads))
    f.add("where the CPUs were", where)
    f.add("threads", threads.report())
    return f


def flood(g, where):
    f = Failure("flood", f"{len(g.said)} bytes on the console and {len(g.told)} of observations: that is too much")
    f.add("where the CPUs were", where)
    if len(g.told) > FLOOD:
        f.add("the last of the observations", "\n".join(g.observed[-400:].split("\n")[-6:]))
    return f


def deadlock(rows):
    return Failure("deadlock", rows[0], [("who waits for whom", "\n".join(rows))]) if rows else None


def busy_hang(g, kernel):
    if any(c.user for c in g.cpus()):
        who = "the user program runs and runs"
    else:
        names = functions(g, kernel).values()
        where = next((n[0] for n in names if n and n[0] not in ("cpu_idle", "idle")), None)
        who = f"the kernel runs and runs in {where or 'places without a name'}"
    return Failure("busy-hang", who + ": this much work is never needed")


def idle_hang(g, threads):
    given, begun = threads.given(), g.records().begun
    if given:
        return Failure("idle-hang", given[0])
    what = f"after observation {begun} began" if begun else \
        "before anything was asked of it" if "observe=" in g.command else "before the program ended"
    return Failure("idle-hang",
                   f"every CPU waits, {what}, and nothing will wake them: a wakeup was lost, or never sent")


def samples(g, kernel, spins):
    """Where a busy machine is, looked at a few times: the loop is what all the stacks have in common. Of `spins`, the
    CPUs that wait for spinlocks, those stay that still do so every time: the others only had to wait a little."""
    syms, counts = Symbols.of(kernel), {}
    text = backtraces(g, kernel)
    for _ in range(12):
        g.resume_for(0.02)
        if spins:
            now = spin_waits(g, kernel)
            spins[:] = [row for row in spins if row in now]
        for cpu in g.cpus():
            if not cpu.halted and cpu.long:
                f = syms.function(cpu.rip) if not cpu.user else ("user code", 0)
                name = f"cpu {cpu.number} in {f[0] if f else hex(cpu.rip)}"
                counts[name] = counts.get(name, 0) + 1
    rows = [f"  {n:2} of 12 samples: {name}" for name, n in sorted(counts.items(), key=lambda x: -x[1])]
    return text + "\n" + "\n".join(rows[:8])


def failure(g, kernel, lab, wanted="end"):
    """The Failure that explains how the run ended."""
    end = g.end
    if end == "dead":
        f = stood_still(g, kernel, lab)
    elif end == "reset":
        log = repeat_with_log(g)
        if exceptions(log)[1] or b"Triple fault" in log:
            f = triple_fault(g, kernel, log)
        else:
            f = Failure("wrong", "the kernel reset the machine", [("where the CPUs were", backtraces(g, kernel))])
    elif end == "flood":
        f = flood(g, backtraces(g, kernel))
    elif end in ("idle", "busy"):
        f = hang(g, kernel, end)
    elif end == "off":
        early = "the machine was switched off before the observation ended"
        f = Failure("wrong", early if wanted == "end" else "the machine went off")
    elif end == "end":
        f = Failure("wrong", f"the run came to its end, and should have ended with {wanted}")
    elif end == "wall":
        f = Failure("grader", "the run took longer than we can wait: is this machine overloaded?")
    else:
        g.stderr.seek(0)
        said = g.stderr.read().decode("utf-8", "replace")[-2000:]
        f = Failure("grader", "QEMU ended by itself", [("QEMU said", said), ("started as", g.command[:2000])])
    if end not in ("gone", "wall", "off", "end"):
        f.add("last trace events", trace_text(g, kernel))
    return f
