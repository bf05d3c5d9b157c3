"""The kernel's rings of events (kern/boot/trace.c), read from the memory of a guest that stands still."""

from grade.eclipse.symbols import Symbols

NEVENT, EVENT, NCPU = 32, 32, 8
SHOWN = 14


def events(g, kernel):
    """[(time stamp, cpu, word, a, b)], oldest first."""
    syms = Symbols.of(kernel)
    base = syms.address.get("trace_rings")
    cr3 = next((c.reg["CR3"] for c in g.cpus() if c.long), None)
    out = []
    if base is None or cr3 is None:
        return out
    size = 8 + NEVENT * EVENT
    for cpu in range(NCPU):
        try:
            n = g.number(base + cpu * size, 8, cr3)
            for i in range(max(0, n - NEVENT), n):
                at = base + cpu * size + 8 + i % NEVENT * EVENT
                tsc, what, a, b = (g.number(at + 8 * k, 8, cr3) for k in range(4))
                out.append((tsc, cpu, g.string(what, 24, cr3), a, b))
        except LookupError:
            continue
    return sorted(out)


def sentence(syms, what, a, b):
    if what == "switch":
        return f"switch from thread {a} to {b}"
    if what == "page fault":
        return f"page fault at {a:#x} in {syms.describe(b)}"
    if what == "trap":
        return f"{'interrupt' if a >= 32 else 'exception'} {a} in {syms.describe(b)}"
    return f"{what} {a:#x} {b:#x}"


def text(g, kernel):
    found = events(g, kernel)[-SHOWN:]
    if not found:
        return ""
    syms, last = Symbols.of(kernel), found[-1][0]
    return "\n".join(f"  {tsc - last:>12} cycles  cpu {cpu}  {sentence(syms, what, a, b)}" for tsc, cpu, what, a, b in found)
