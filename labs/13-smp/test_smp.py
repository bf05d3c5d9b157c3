"""Judges of lab 13: what several CPUs saw, each for itself, and what must follow from what one of them did.

What the guest draws from its seed is drawn here again, in the same order: records that speak of other inputs are not
of this run. And the machine itself is asked, while it stands still at the end, which of its CPUs work.
"""

import re

from grade.eclipse.judge import Run

NCPU = 8
BELLS, STEPS, ROUNDS, PAGES, FRAMES = 3, 100, 60, 4, 6         # as in observe_smp.c
MASK = (1 << 64) - 1
LATE = 1_000_000_000            # ns that a timer may ring after its time: the machine runs one CPU after the other


def some_cpus(run):
    return 2 + run.random.below(4)


def segment(cpu, name):
    """The base of a segment or table register, as QEMU shows it: `GS =0000 ffffffff80123000 ...`, `GDT=   ffff...`."""
    return int(re.search(rf"^{name}\s*=(?:\s*[0-9a-f]{{4}})?\s+([0-9a-f]{{16}})", cpu.text, re.M)[1], 16)


def work(run, obs, n):
    """The machine says that n of its CPUs are in the kernel, each with a struct cpu of its own. Returns them."""
    there = [c for c in obs.machine.cpus() if c.long]
    run.equal(len(there), n, "CPUs in 64-bit mode when the run has ended, as the machine itself says")
    first, size = obs.symbol("cpus"), obs.struct("cpu", "kern/smp/smp.c")[""][1]
    known = {first + i * size for i in range(n)}
    run.equal(sorted(segment(c, "GS") for c in there), sorted(known), "their GS bases: a struct cpu each")
    return there


def together(run, name, cpus, arg=None, **words):
    """An observation that every CPU takes part in."""
    obs = run.observe(name, arg=arg, cpus=cpus, hold=True, **words)
    run.equal(obs.numbers(r"came (\d+) ended (\d+) of (\d+)"), [cpus] * 3,
              "threads that came together, one per CPU, and that ended; CPUs")
    work(run, obs, cpus)
    return obs


# ---------------------------------------------------------------- who is there

def test_cpu_count(run: Run):
    """As many CPUs as there are, or as maxcpus= asks for; nonsense counts as absent."""
    r = run.random
    some = 1 + r.below(5)
    for word, wanted in ((str(some), some), (r.choice(["0", "x", "-3"]), NCPU), (r.choice(["99", "", None]), NCPU)):
        cpus = some + 1
        obs = run.observe("cpu_count", cpus=cpus, append="" if word is None else f"maxcpus={word}", hold=True)
        n = min(cpus, wanted)
        what = f"with {cpus} CPUs" + (f" and maxcpus={word}" if word is not None else "")
        run.equal(obs.lines, [f"ncpus {n}"] + [f"online {i} self 1 id {i}" for i in range(n)],
                  f"the CPUs that run, {what}")
        work(run, obs, n)
        obs.machine.close()


def test_cpu_registers(run: Run):
    """Every CPU is set up as the first one, but has tables and stacks of its own."""
    cpus = some_cpus(run)
    obs = together(run, "cpu_registers", cpus)
    seen = [dict(zip(w[::2], w[1::2])) for w in (x.split() for x in obs.lines if x.startswith("cpu "))]
    run.equal(sorted(s["cpu"] for s in seen), [str(i) for i in range(cpus)], "CPUs on which a thread ran")
    first = next(s for s in seen if s["cpu"] == "0")
    for s in seen:
        for register in ("cr0", "cr4", "efer", "idt", "task", "on"):
            name = "the interrupt flag" if register == "on" else register
            run.equal(s[register], first[register], f"{name} of CPU {s['cpu']}, which should be as on CPU 0")
        run.equal(s["apic"], s["says"], f"the APIC id that CPU {s['cpu']} is known by, and the one that its APIC says")
    for register, name in (("gdt", "GDTs"), ("stack", "stacks"), ("apic", "APIC ids")):
        run.equal(len({s[register] for s in seen}), cpus, f"different {name} of {cpus} CPUs")
    for c in obs.machine.cpus():
        s = next((s for s in seen if s["says"] == str(c.number)), None)
        run.check(s, "wrong", f"no CPU says that its APIC id is {c.number}")
        for register in ("gdt", "idt"):
            run.equal(int(s[register], 16), segment(c, register.upper()), f"the {register.upper()} of CPU {s['cpu']}")


def test_cpu_timers(run: Run):
    """Timers that a CPU sets ring on that CPU, in time."""
    r, cpus = run.random, some_cpus(run)
    obs = together(run, "cpu_timers", cpus)
    delays = {(cpu, i): 500_000 + r.below(20_000_000) for cpu in range(cpus) for i in range(BELLS)}
    rang = obs.all(r"timer (\d+) of (\d+), armed on (-?\d+) for (\d+), rang on (-?\d+) after (-?\d+)")
    run.equal(sorted(((int(m[2]), int(m[1])), int(m[4])) for m in rang), sorted(delays.items()),
              "((CPU, timer), ns) of all that rang")
    for m in rang:
        late = int(m[6]) - int(m[4])
        run.equal(m[5], m[3], f"the CPU on which a timer of CPU {m[3]} rang")
        run.check(0 <= late < LATE, "wrong", f"a timer of CPU {m[3]} rang {late} ns after its time")
    run.equal(sorted({int(m[3]) for m in rang}), list(range(cpus)), "CPUs that set timers")


def job(x, rounds):
    """What a job computes."""
    for _ in range(rounds):
        x = (x * 6364136223846793005 + 1442695040888963407) & MASK
    return x


def test_work_spreads(run: Run):
    """Threads that compute: every CPU takes some of them."""
    r, cpus = run.random, some_cpus(run)
    obs = run.observe("work_spreads", cpus=cpus, hold=True)
    jobs = cpus * (4 + r.below(5))
    want = [(i, job(r.next(), 1000 + r.below(5000))) for i in range(jobs)]
    ran = obs.all(r"job (\d+) ran on (\d+): (\w+)")
    run.equal(sorted((int(m[1]), int(m[3], 16)) for m in ran), want, "(job, what it has computed)")
    run.equal(sorted({int(m[2]) for m in ran}), list(range(cpus)), f"CPUs that took some of {jobs} jobs")
    work(run, obs, cpus)


# ---------------------------------------------------------------- locks

def counted(run, cpus):
    r, obs = run.random, together(run, "locks_exclude", cpus)
    run.equal(obs.numbers(r"counted (\d+)"), [sum(300 + r.below(1500) for _ in range(cpus))],
              "what all CPUs have counted under a lock")


def test_locks_exclude(run: Run):
    """All CPUs count in one variable, under a spinlock."""
    counted(run, some_cpus(run))


def test_locks_exclude_parallel(run: Run):
    """The same on CPUs that really run at once."""
    counted(run.truly_parallel, 4)


# ---------------------------------------------------------------- shootdown

def shot(run, obs, viewers, asked, every=False):
    """Each viewer saw the frames as the turner had put them, in every round; `asked` CPUs were asked by each flush.
    `every`: as many pages as there are were turned in each round."""
    r = run.random
    frames = [f"{r.next():x}" for _ in range(FRAMES)]
    window, lines, looks = [frames[0]] * PAGES, iter(obs.lines), 0
    for n in range(1, ROUNDS + 1):
        for _ in range(PAGES if every else 1):
            page, frame = r.below(PAGES), r.below(FRAMES)
            run.equal(next(lines, "nothing"), f"turn {n} page {page} frame {frame}",
                      "what the seed says, and what was done")
            window[page] = frames[frame]
        seen, line = set(), next(lines, "nothing")
        while m := re.fullmatch(rf"see {n} cpu (\d+): (\w+) (\w+) (\w+) (\w+)", line):
            run.equal(list(m.groups()[1:]), window, f"round {n}: what lies in the window, as CPU {m[1]} sees it")
            seen.add(m[1])
            looks, line = looks + 1, next(lines, "nothing")
        run.equal(len(seen), viewers, f"round {n}: CPUs that looked")
        run.equal(line, f"asked {n}: {asked}", f"round {n}: CPUs that were interrupted to flush their TLB")
    run.equal(looks, ROUNDS * viewers, "looks that were taken")


def test_shootdown_page(run: Run):
    """One page of the kernel's gets another frame: all CPUs see it at once."""
    cpus = some_cpus(run)
    shot(run, together(run, "shootdown_page", cpus), cpus, cpus - 1)


def test_shootdown_all(run: Run):
    """Several pages, and one request for all of them."""
    cpus = some_cpus(run)
    shot(run, together(run, "shootdown_all", cpus), cpus, cpus - 1, every=True)


def members(run):
    """(CPUs, bits of those that load the address space): of those who do not turn the window never all, never none."""
    r = run.random
    cpus = 3 + r.below(4)
    return cpus, 1 + r.below((1 << cpus - 1) - 2) << 1 | r.below(2)


def test_shootdown_user(run: Run):
    """A page of an address space that some CPUs have loaded: they see the change, and only they are asked."""
    cpus, bits = members(run)
    obs = together(run, "shootdown_user", cpus, arg=str(bits))
    shot(run, obs, bin(bits).count("1"), bin(bits & ~1).count("1"))


def test_shootdown_user_all(run: Run):
    """The same with one request for the whole address space."""
    cpus, bits = members(run)
    obs = together(run, "shootdown_user_all", cpus, arg=str(bits))
    shot(run, obs, bin(bits).count("1"), bin(bits & ~1).count("1"), every=True)


def test_shootdown_waits(run: Run):
    """While a CPU has interrupts off it cannot have answered: whoever asked must still be waiting."""
    r, cpus = run.random, some_cpus(run)
    obs = together(run, "shootdown_waits", cpus)
    begin = [(r.below(3000), 2 * r.below(1_000_000_000))[1] for _ in range(cpus)]
    sections = {(m[1], int(m[2]), int(m[3])): int(m[4]) for m in obs.all(r"(before|after) (\d+) section (\d+): (\d+)")}
    looks = [(when, n, cpu) for when in ("after", "before") for n in range(1, 41) for cpu in range(1, cpus)]
    run.equal(sorted(sections), looks, "looks, before and after each flush, at each CPU's section")
    odd = 0
    for cpu in range(1, cpus):
        last = begin[cpu]
        for n in range(1, 41):
            was, now = sections["before", n, cpu], sections["after", n, cpu]
            run.check(last <= was <= now <= begin[cpu] + (1 << 24), "wrong",
                      f"CPU {cpu} counts its sections from {begin[cpu]} on", f"seen {was}, {now} after {last}")
            run.check(was % 2 == 0 or now != was, "wrong", f"flush {n} returned before CPU {cpu} had answered",
                      f"expected that its section {was}, with interrupts off, is over", "seen     that it goes on")
            odd, last = odd + was % 2, now
    run.check(odd, "grader", "no flush began while a CPU had interrupts off")


def crossfire(run, cpus, times, locks):
    """Every CPU has asked as often as it should: its dice say so."""
    r, obs = run.random, together(run, "crossfire", cpus, arg=f"{times},{locks}")
    want = []
    for cpu in range(cpus):
        dice = 88172645463325252 + r.below(1 << 30)
        for _ in range(times):
            dice ^= dice << 13 & MASK
            dice ^= dice >> 7
            dice ^= dice << 17 & MASK
        want.append((cpu, f"{dice:x}"))
    seen = obs.all(r"dice of (\d+), on (\d+): (\w+)")
    run.equal(sorted((int(m[1]), m[3]) for m in seen), want, f"(thread, its dice after {times} flushes)")
    run.equal(sorted(int(m[2]) for m in seen), list(range(cpus)), "CPUs that asked")


def test_crossfire(run: Run):
    """All CPUs ask each other at once, with interrupts off."""
    crossfire(run, some_cpus(run), 200, 0)


def test_crossfire_locks(run: Run):
    """The same, some with a lock that the others want."""
    crossfire(run, some_cpus(run), 120, 1)


def test_crossfire_parallel(run: Run):
    """The same on CPUs that really run at once."""
    crossfire(run.truly_parallel, 4, 12, 1)


# ---------------------------------------------------------------- sleeping, and the end

def test_wake_across(run: Run):
    """A turn that goes from CPU to CPU: whoever does not have it sleeps."""
    r, cpus = run.random, some_cpus(run)
    obs = together(run, "wake_across", cpus)
    route = [0]
    for _ in range(1, STEPS * cpus):
        route.append((route[-1] + 1 + r.below(cpus - 1)) % cpus)
    want = [f"step {k}: turn of {route[k]}" for k in range(0, len(route), 10)]
    run.equal([x for x in obs.lines if x.startswith("step")], want, "whose turn it was")
    run.equal(obs.numbers(r"passed on (\d+)"), [len(route)], "how often the turn was passed on")


def test_panic_stops(run: Run):
    """When one CPU panics all others stand still, also those with interrupts off."""
    cpus, number = some_cpus(run), run.random.next()
    obs = run.observe("panic_stops", arg=str(run.random.below(cpus)), cpus=cpus, ends="panic", hold=True)
    run.equal(re.findall(r"panic: \S+:\d+: (.*)", obs.console), [f"the grader asked for it: {number}"],
              "panics that were reported")
    running = [c.number for c in work(run, obs, cpus) if not c.dead]
    run.equal(running, [], "CPUs that still run after the panic")


# ---------------------------------------------------------------- programs

def seed(run):
    """For the dice of a program."""
    return str(run.random.below(1 << 30))


def test_shared_address_space(run: Run):
    """Processes that share an address space fork it, map, protect and unmap in it, all at once."""
    run.truly_parallel.same_as_linux("sharedvm", args=[seed(run)])


def test_fork_tree_everywhere(run: Run):
    """A random tree of processes, on all CPUs."""
    run.same_as_linux("forkmix", args=[seed(run)], cpus=some_cpus(run))


def test_memory_everywhere(run: Run):
    """Mappings that change while children use them, on all CPUs."""
    run.same_as_linux("mapmix", args=[seed(run)], cpus=some_cpus(run))


def test_waiting_everywhere(run: Run):
    """Children that end on one CPU while their parents wait on another, really at once."""
    run.truly_parallel.same_as_linux("waitmix", args=[seed(run)])
