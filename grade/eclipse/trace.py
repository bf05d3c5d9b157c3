"""The kernel's rings of events (kern/boot/trace.c), read from the memory of a guest that stands still."""

from grade.eclipse.symbols import Symbols

NEVENT, EVENT, NCPU = 32, 32, 8
SHOWN = 12


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


def sentence(syms, names, what, a, b):
    if what == "switch":
        return f"switch from {names.get(a, f'thread {a}')} to {names.get(b, f'thread {b}')}"
    if what == "page fault":
        return f"page fault at {a:#x} in {syms.describe(b)}"
    if what == "trap":
        return f"{'interrupt' if a >= 32 else 'exception'} {a} in {syms.describe(b)}"
    return f"{what} {a:#x} {b:#x}"


def text(g, kernel, names):
    """`names`: {number of a thread: its name}. What happens again and again is said once, with its last time."""
    syms, rows = Symbols.of(kernel), []
    for tsc, cpu, what, a, b in events(g, kernel):
        said = f"cpu {cpu}  {sentence(syms, {0: 'idle', **names}, what, a, b)}"
        if rows and rows[-1][1] == said:
            rows[-1] = tsc, said, rows[-1][2] + 1
        else:
            rows.append((tsc, said, 1))
    return "\n".join(f"  {tsc - rows[-1][0]:>12} cycles  {said}" + (f", the last of {n} times" if n > 1 else "")
                     for tsc, said, n in rows[-SHOWN:])
