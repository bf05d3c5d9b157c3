"""gdb commands that know Eclipse: processes, page tables, locks, symbols of user programs.

Idea.       The kernel's structures are read with their own types from its debugging symbols, so nothing here knows an
            offset. Memory that is not mapped where we stopped is reached through the kernel's direct map.
Interface.  eclipse-connect, eclipse-ps, pt ADDRESS, locks, user PROGRAM; `make gdb` says where the build is.
"""

import os

import gdb

DIRECT_MAP = 0xFFFF888000000000
BUILD = os.environ.get("ECLIPSE_BUILD", "build")
KERNEL = os.environ.get("ECLIPSE_KERNEL", os.path.join(BUILD, "kernel.elf"))
PORT = os.environ.get("ECLIPSE_PORT", str(os.getuid() % 5000 + 25000))
THREAD_STATES = {0: "ready", 1: "running", 2: "sleeping", 3: "dead"}


def value(expression):
    """The value of an expression, or None where the kernel has no such thing (an earlier lab, too early in boot)."""
    try:
        return gdb.parse_and_eval(expression)
    except gdb.error:
        return None


def container(link, type_name, member):
    """The struct that holds this list link."""
    t = gdb.lookup_type(type_name)
    offset = [f.bitpos // 8 for f in t.fields() if f.name == member][0]
    return (link.cast(gdb.lookup_type("char").pointer()) - offset).cast(t.pointer())


def each(head, type_name, member):
    """The structs on an intrusive list. Stops at a broken link rather than run for ever."""
    link, n = head["next"], 0
    while link and link != head.address and n < 100000:
        yield container(link, type_name, member)
        link, n = link["next"], n + 1


def text(array):
    try:
        return array.string()
    except (gdb.error, UnicodeDecodeError):
        return "?"


def processes():
    """Every process, from init down."""
    init = value("init_proc")
    todo = [init] if init is not None and int(init) else []
    while todo:
        p = todo.pop(0)
        yield p
        todo += list(each(p["children"], "struct proc", "sibling"))


def command(name, kind=gdb.COMMAND_STATUS):
    """Makes a function a gdb command; its docstring is the help."""
    def wrap(fn):
        class Command(gdb.Command):
            __doc__ = fn.__doc__

            def __init__(self):
                super().__init__(name, kind)

            def invoke(self, arg, from_tty):
                fn(arg.strip())
        Command()
        return fn
    return wrap


@command("eclipse-connect")
def connect(arg):
    """Load the kernel's symbols and connect to the waiting QEMU."""
    gdb.execute(f"file {KERNEL}")
    try:
        gdb.execute(f"target remote 127.0.0.1:{PORT}")
    except gdb.error as e:
        print(f"{e}\nStart `make qemu-nox-gdb` in another window first.")


@command("eclipse-ps")
def ps(arg):
    """List the processes and their threads: pid, parent, state, CPU, what they sleep on, name."""
    rows = 0
    for p in processes():
        parent = int(p["parent"]["pid"]) if int(p["parent"]) else 0
        state = "zombie" if int(p["state"]) else "stopped" if int(p["stopped"]) else "alive"
        print(f"pid {int(p['pid']):5} parent {parent:5} {state:8} {text(p['name'])}")
        for t in each(p["threads"], "struct thread", "proc_link"):
            wait = int(t["wait_for"])
            line = f"    thread {int(t['tid']):5} {THREAD_STATES.get(int(t['state']), '?'):8} cpu {int(t['cpu'])}"
            if wait:
                line += " waits for " + str(t["wait_for"])
            print(line)
        rows += 1
    if not rows:
        print("no process yet")


def read_physical(address):
    return int.from_bytes(gdb.selected_inferior().read_memory(DIRECT_MAP + address, 8).tobytes(), "little")


def flags(entry):
    names = [(0, "present"), (1, "write"), (2, "user"), (4, "uncached"), (5, "accessed"), (6, "dirty"), (7, "large"), (8, "global"),
             (9, "copy-on-write"), (63, "no-execute")]
    return " ".join(n for bit, n in names if entry >> bit & 1)


@command("pt")
def pt(arg):
    """pt ADDRESS: walk the current page table to ADDRESS, an entry per level."""
    if not arg:
        raise gdb.GdbError("pt ADDRESS")
    va = int(gdb.parse_and_eval(arg).cast(gdb.lookup_type("unsigned long")))
    cr3 = value("$cr3")
    table = int(cr3) & 0x000FFFFFFFFFF000
    print(f"{va:#018x} through the tree at {table:#x}")
    for level, shift in (("PML4", 39), ("PDPT", 30), ("PD", 21), ("PT", 12)):
        index = va >> shift & 511
        entry = read_physical(table + index * 8)
        print(f"  {level:4} [{index:3}] = {entry:#018x}  {flags(entry) or 'not present'}")
        if not entry & 1:
            return
        table = entry & 0x000FFFFFFFFFF000
        if shift in (30, 21) and entry & 0x80:
            break
    size = 1 << shift
    print(f"  -> physical {(table & ~(size - 1)) + (va & (size - 1)):#x}")


@command("locks")
def locks(arg):
    """Who holds what: spinlocks per CPU, sleeping locks per thread."""
    n = value("ncpus")
    for i in range(int(n) if n is not None else 0):
        cpu = value(f"cpus[{i}]")
        held = [cpu["held"][j].dereference() for j in range(int(cpu["nheld"]))]
        what = ", ".join(f"{text(l['name'])} (rank {int(l['rank'])})" for l in held)
        print(f"cpu {i}: {what or 'no spinlock'}")
    for p in processes():
        for t in each(p["threads"], "struct thread", "proc_link"):
            held = [t["mutexes"][j].dereference() for j in range(int(t["nmutex"]))]
            if held:
                what = ", ".join(f"{text(m['name'])} (rank {int(m['rank'])})" for m in held)
                print(f"thread {int(t['tid'])} ({text(p['name'])}): {what}")


class InProgram(gdb.Function):
    """$in_program(NAME): is the CPU in the kernel, or in a process of this name? Programs share their addresses."""

    def __init__(self):
        super().__init__("in_program")

    def invoke(self, name):
        if int(gdb.parse_and_eval("(unsigned long)$pc")) >> 63:
            return True
        return any(text(p["name"]) == name.string() and int(t["state"]) == 1
                   for p in processes() for t in each(p["threads"], "struct thread", "proc_link"))


InProgram()
program = None


def only_there(breakpoint):
    if program and not breakpoint.condition:
        breakpoint.condition = f'$in_program("{program}")'


gdb.events.breakpoint_created.connect(only_there)


@command("user", gdb.COMMAND_FILES)
def user(arg):
    """user PROGRAM: add the symbols of a user program, so that `b main` means its main, and stops in no other."""
    global program
    for folder in ("user/bin", "user/tests"):
        path = os.path.join(BUILD, folder, arg)
        if arg and os.path.exists(path):
            gdb.execute(f"add-symbol-file {path}")
            program = arg
            return
    raise gdb.GdbError(f"user PROGRAM: no {arg or 'name'} in {BUILD}/user/bin or {BUILD}/user/tests")
