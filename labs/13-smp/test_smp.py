"""Judges of lab 13: what several CPUs saw, each for itself, and what must follow from what one of them did."""

import re

from grade.eclipse.judge import Run

NCPU = 8


def all_came(run, obs):
    """Every CPU's thread began, and ended."""
    for m in obs.all(r"came (\d+) ended (\d+) of (\d+)"):
        run.equal((int(m[1]), int(m[2])), (int(m[3]), int(m[3])), "threads that came together, one per CPU, and that ended")


def some_cpus(run):
    return 2 + run.random.below(4)


# ---------------------------------------------------------------- who is there

def test_cpu_count(run: Run):
    """As many CPUs as there are, or as maxcpus= asks for; nonsense counts as absent."""
    r = run.random
    some = 1 + r.below(5)
    for word, wanted in ((str(some), some), (r.choice(["0", "x", "-3"]), NCPU), (r.choice(["99", "", None]), NCPU)):
        cpus = some + 1
        obs = run.observe("cpu_count", cpus=cpus, append="" if word is None else f"maxcpus={word}")
        n = min(cpus, wanted)
        what = f"with {cpus} CPUs" + (f" and maxcpus={word}" if word is not None else "")
        run.equal(obs.lines, [f"ncpus {n}"] + [f"online {i} self 1 id {i}" for i in range(n)], f"the CPUs that run, {what}")


def test_cpu_registers(run: Run):
    """Every CPU is set up as the first one, but has tables and stacks of its own."""
    cpus = some_cpus(run)
    obs = run.observe("cpu_registers", cpus=cpus)
    all_came(run, obs)
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


def test_cpu_timers(run: Run):
    """A timer that a CPU sets rings on that CPU, in time."""
    cpus = some_cpus(run)
    obs = run.observe("cpu_timers", cpus=cpus)
    all_came(run, obs)
    rang = obs.all(r"timer of (\d+) rang on (-?\d+) late (-?\d+)")
    run.equal(sorted(int(m[1]) for m in rang), list(range(cpus)), "CPUs that set a timer")
    for m in rang:
        run.equal(m[2], m[1], f"the CPU on which the timer of CPU {m[1]} rang")
        run.check(0 <= int(m[3]) < 100_000_000, "wrong", f"the timer of CPU {m[1]} rang {m[3]} ns after its time")


def test_work_spreads(run: Run):
    """Threads that compute: every CPU takes some of them."""
    cpus = some_cpus(run)
    obs = run.observe("work_spreads", cpus=cpus)
    jobs, = obs.numbers(r"jobs (\d+)")
    ran = obs.all(r"job (\d+) ran on (\d+)")
    run.equal(sorted(int(m[1]) for m in ran), list(range(jobs)), "jobs that ran")
    run.equal(sorted({int(m[2]) for m in ran}), list(range(cpus)), f"CPUs that took some of {jobs} jobs")


# ---------------------------------------------------------------- locks

def counted(run, obs):
    all_came(run, obs)
    total = sum(int(m[1]) for m in obs.all(r"count (\d+)"))
    run.equal(obs.numbers(r"counted (\d+)"), [total], "what all CPUs have counted under a lock")


def test_locks_exclude(run: Run):
    """All CPUs count in one variable, under a spinlock."""
    counted(run, run.observe("locks_exclude", cpus=some_cpus(run)))


def test_locks_exclude_parallel(run: Run):
    """The same on CPUs that really run at once."""
    counted(run, run.truly_parallel.observe("locks_exclude"))


# ---------------------------------------------------------------- shootdown

def shot(run, obs, viewers, asked):
    """Each viewer saw the frames as the turner had put them, in every round; `asked` CPUs were asked by each flush."""
    all_came(run, obs)
    window, n = [0, 0, 0, 0], 0
    for line in obs.lines:
        m = re.fullmatch(r"turn (\d+) page (\d) frame (\d)", line)
        s = re.fullmatch(r"see (\d+) cpu (\d+): (\d+) (\d+) (\d+) (\d+)", line)
        a = re.fullmatch(r"asked (\d+): (\d+)", line)
        if m:
            n, window[int(m[2])] = int(m[1]), int(m[3])
        elif s:
            run.equal([int(x) for x in s.groups()[2:]], window, f"round {n}: frames in the window, as CPU {s[2]} sees them")
        elif a:
            run.equal(int(a[2]), asked, f"round {n}: CPUs that were interrupted to flush their TLB")
    run.equal(n, 60, "rounds that were played")
    run.equal(len(obs.all(r"see .*")), 60 * viewers, "looks that were taken")


def test_shootdown_page(run: Run):
    """One page of the kernel's gets another frame: all CPUs see it at once."""
    cpus = some_cpus(run)
    shot(run, run.observe("shootdown_page", cpus=cpus), cpus, cpus - 1)


def test_shootdown_all(run: Run):
    """Several pages, and one request for all of them."""
    cpus = some_cpus(run)
    shot(run, run.observe("shootdown_all", cpus=cpus), cpus, cpus - 1)


def members(run):
    """(CPUs, bits of those that load the address space): of those who do not turn the window never all, never none."""
    r = run.random
    cpus = 3 + r.below(4)
    return cpus, 1 + r.below((1 << cpus - 1) - 2) << 1 | r.below(2)


def test_shootdown_user(run: Run):
    """A page of an address space that some CPUs have loaded: they see the change, and only they are asked."""
    cpus, bits = members(run)
    obs = run.observe("shootdown_user", arg=str(bits), cpus=cpus)
    shot(run, obs, bin(bits).count("1"), bin(bits & ~1).count("1"))


def test_shootdown_user_all(run: Run):
    """The same with one request for the whole address space."""
    cpus, bits = members(run)
    obs = run.observe("shootdown_user_all", arg=str(bits), cpus=cpus)
    shot(run, obs, bin(bits).count("1"), bin(bits & ~1).count("1"))


def test_shootdown_waits(run: Run):
    """While a CPU has interrupts off it cannot have answered: whoever asked must still be waiting."""
    obs = run.observe("shootdown_waits", cpus=some_cpus(run))
    all_came(run, obs)
    before = {(m[1], m[2]): int(m[3]) for m in obs.all(r"before (\d+) section (\d+): (\d+)")}
    for m in obs.all(r"after (\d+) section (\d+): (\d+)"):
        was, now = before[m[1], m[2]], int(m[3])
        run.check(was % 2 == 0 or now != was, "wrong", f"flush {m[1]} returned before CPU {m[2]} had answered",
                  f"expected that its section {was}, with interrupts off, is over", "seen     that it goes on")
    run.check(any(n % 2 for n in before.values()), "grader", "no flush began while a CPU had interrupts off")


def test_crossfire(run: Run):
    """All CPUs ask each other at once, with interrupts off."""
    all_came(run, run.observe("crossfire", arg="200,0", cpus=some_cpus(run)))


def test_crossfire_locks(run: Run):
    """The same, some with a lock that the others want."""
    all_came(run, run.observe("crossfire", arg="120,1", cpus=some_cpus(run)))


def test_crossfire_parallel(run: Run):
    """The same on CPUs that really run at once."""
    all_came(run, run.truly_parallel.observe("crossfire", arg="12,1"))


# ---------------------------------------------------------------- sleeping, and the end

def test_wake_across(run: Run):
    """A turn that goes round all CPUs: whoever does not have it sleeps."""
    cpus = some_cpus(run)
    obs = run.observe("wake_across", cpus=cpus)
    all_came(run, obs)
    want = [f"turn of {me}, round {i}" for i in range(0, 100, 10) for me in range(cpus)]
    run.equal([x for x in obs.lines if x.startswith("turn")], want, "whose turn it was")
    run.equal(obs.numbers(r"passed on (\d+)"), [100 * cpus], "how often the turn was passed on")


def test_panic_stops(run: Run):
    """When one CPU panics all others stand still, also those with interrupts off."""
    cpus = some_cpus(run)
    obs = run.observe("panic_stops", arg=str(run.random.below(cpus)), cpus=cpus, ends="panic", hold=True)
    run.equal(obs.console.count("panic: "), 1, "panics that were reported")
    running = [c.number for c in obs.machine.cpus() if not c.dead]
    run.equal(running, [], "CPUs that still run after the panic")


# ---------------------------------------------------------------- programs

def seed(run):
    """For the dice of a program."""
    return str(run.random.below(1 << 30))


def test_shared_address_space(run: Run):
    """Processes that share an address space fork it, map, protect and unmap in it, all at once."""
    run.truly_parallel.same_as_linux("sharedvm")


def test_fork_tree_everywhere(run: Run):
    """A random tree of processes, on all CPUs."""
    run.same_as_linux("forkmix", args=[seed(run)], cpus=some_cpus(run))


def test_memory_everywhere(run: Run):
    """Mappings that change while children use them, on all CPUs."""
    run.same_as_linux("mapmix", args=[seed(run)], cpus=some_cpus(run))


def test_waiting_everywhere(run: Run):
    """Children that end on one CPU while their parents wait on another, really at once."""
    run.truly_parallel.same_as_linux("waitmix", args=[seed(run)])
