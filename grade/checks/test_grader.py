"""The grader itself: every way to fail gets its class and an explanation, and what it writes can be read.

The kernels are built from a copy of the tree in which observations misbehave on purpose; their judges come as HIDDEN
tests.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from grade import mutants
from grade.eclipse import build, labs
from grade.eclipse.guest import timing
from grade.eclipse.observe import Random, Records
from grade.eclipse.qemu import GuestError, Machine

# What is added to the kernel's observations, by the file it is added to.
BOOT = r"""
OBSERVE(1, sick_none) { observe("random %lu", observe_below(1000000)); observe("a\nb\\ %d", 7); }
OBSERVE(1, sick_triple) { observe("going"); *(volatile int *)0x7f1234567000ul = 1; }
OBSERVE(1, sick_panic) { panic("nobody expects %d", 42); }
OBSERVE(1, sick_busy) { for (;;) asm volatile("pause"); }
OBSERVE(1, sick_stop) { for (;;) asm volatile("cli; hlt"); }
OBSERVE(1, sick_flood) { for (;;) kprintf("and so on, and so on, and so on, and so on\n"); }
OBSERVE(1, sick_tale) { for (;;) observe("and so on, and so on"); }
OBSERVE(1, sick_late)
{
	for (int i = 0; i < 2000; i++)
		observe("and so on, and so on");
	for (;;)
		asm volatile("pause");
}
OBSERVE(1, sick_todo) { lab_todo(1, "sick_body", "labs/01-boot"); }
OBSERVE(1, sick_garbled) { outb(0xe9, 'x'); outb(0xe9, '\n'); }
OBSERVE(1, sick_exit) { debug_exit(DEBUG_EXIT_OK); observe("still here"); }
OBSERVE(1, sick_reset) { outb(0x64, 0xfe); for (;;) cpu_relax(); }
static struct spinlock sick_lock = SPINLOCK("fault lock", RANK(1, 1));
OBSERVE(1, sick_self) { spin_lock(&sick_lock); spin_lock(&sick_lock); }
OBSERVE(1, sick_spin) { sick_lock.locked = 1; spin_lock(&sick_lock); }
"""
PROC = r"""
static struct mutex sick_a = MUTEX(sick_a, "fault a", RANK(4, 30)), sick_b = MUTEX(sick_b, "fault b", RANK(4, 31));
static struct waitq sick_wq = WAITQ(sick_wq);
static bool sick_flag;
static void
sick_other(void *arg)
{
	(void)arg;
	mutex_lock(&sick_a);
	sick_b.rank = RANK(4, 29);              /* or the kernel itself would see it coming */
	mutex_lock(&sick_b);
}
OBSERVE(4, sick_ring)
{
	mutex_lock(&sick_b);
	thread_start(thread_create("other", sick_other, NULL));
	(void)wait_event_timeout(&sick_wq, sick_flag, NULL, clock_ns() + 5 * MS);
	mutex_lock(&sick_a);
}
static void
sick_taker(void *arg)
{
	(void)arg;
	mutex_lock(&sick_a);
}
OBSERVE(4, sick_given)
{
	struct thread *t = thread_create("taker", sick_taker, NULL);

	mutex_lock(&sick_a);
	thread_start(t);
	(void)wait_event_timeout(&sick_wq, sick_flag, NULL, clock_ns() + 5 * MS);
	sick_a.owner = t;                       /* and thread_wake(t) is forgotten */
	wait_event(&sick_wq, sick_flag, NULL);
}
OBSERVE(4, sick_idt)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0; ud2" :: "m"(none));
}
OBSERVE(4, sick_null) { *(volatile int *)observe_number(0) = 1; }
OBSERVE(4, sick_sleep) { wait_event(&sick_wq, sick_flag, NULL); }
"""

JUDGES = """
def test_sick_none(run):
    "This one is in order."
    obs = run.observe("sick_none")
    run.equal(obs.lines, [f"random {run.random.below(1000000)}", "a\\nb\\\\ 7"], "what was told")
def test_sick_wrong(run):
    run.equal(run.observe("sick_none").lines, ["random 1000001", "b"], "what was told")
def test_sick_unknown(run):
    run.observe("sick_that_is_not_there")
def test_sick_judge(run):
    run.nothing_like_this()
def test_sick_needy(run):
    assert False, "this must not be run"
def test_sick_needier(run):
    assert False, "nor this"
"""
TOML = """
[[test]]
name = "sick_needy"
points = 3
needs = ["sick_panic"]
lab = 1
[[test]]
name = "sick_needier"
points = 4
needs = ["sick_needy"]
lab = 1
[[test]]
name = "sick_panic"
points = 5
lab = 1
section = "7. Stories"
hint = "this is not shown"
hints_by_class = { panic = "read what it says" }
"""


def judges(names, ends=""):
    return "".join(f'def test_{n}(run):\n    run.observe("{n}"{ends})\n' for n in names)


QUICK = ", instructions=60_000_000, cpu_limit=3"
BOOTED = ["triple", "panic", "busy", "stop", "flood", "tale", "late", "todo", "garbled", "exit", "reset", "self",
          "spin"]
PROCS = ["ring", "given", "idt", "null", "sleep"]


class Sick:
    """Kernels with the faults above, and what the grader says about them."""

    def __init__(self, top):
        self.nursery = mutants.Nursery(os.path.join(top, "nursery"), build.BUILD)
        self.top = top
        self.add("kern/boot/observe_boot.c", BOOT)
        self.labs = [1]
        if 4 in labs.numbers():
            self.add("kern/proc/observe_proc.c", PROC)
            self.labs.append(4)
        for n in self.labs:
            status, text = self.nursery.kernel(n)
            assert status == 0, text
        self.hidden = os.path.join(top, "hidden")
        os.mkdir(self.hidden)
        self.write("test_faults.py", "import pytest\n" + JUDGES + judges([f"sick_{n}" for n in BOOTED], QUICK))
        self.write("lab.toml", TOML + "".join(f'[[test]]\nname = "sick_{n}"\npoints = 1\nlab = 1\n' for n in
                                              [*BOOTED[:1], *BOOTED[2:], "none", "wrong", "unknown", "judge"]))
        if 4 in self.labs:
            self.write("test_more.py", judges([f"sick_{n}" for n in PROCS], QUICK))
            with open(os.path.join(self.hidden, "lab.toml"), "a") as f:
                f.write("".join(f'[[test]]\nname = "sick_{n}"\npoints = 1\nlab = 4\n' for n in PROCS))

    def write(self, name, text):
        with open(os.path.join(self.hidden, name), "w") as f:
            f.write(text)

    def add(self, path, text):
        with open(os.path.join(self.nursery.tree, path), "a") as f:
            f.write(text)

    def grade(self, *more, test="sick_*", **env):
        out = os.path.join(self.top, "out.json")
        argv = [sys.executable, "-m", "grade.run", "grade", "--no-build", "--build", self.nursery.build, "--jobs", "2",
                "--hidden", self.hidden, "--test", test, "--json", out, *more]
        status, text = mutants.run(argv, build.ROOT, **env)
        with open(out) as f:
            return status, text, json.load(f)


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    return Sick(str(tmp_path_factory.mktemp("sick")))


@pytest.fixture(scope="module")
def graded(sick):
    files = {k: os.path.join(sick.top, k) for k in ("junit", "gradescope", "markdown")}
    status, text, result = sick.grade("--seed", "11", *[w for k, v in files.items() for w in (f"--{k}", v)])
    return status, text, result, files


# what: (class, what the text must say)
SAYS = {
    "none": ("", []),
    "wrong": ("wrong", [r"^wrong: what was told", r"number 1 of 2", r"expected random 1000001",
                        r"seen     random \d+"]),
    "unknown": ("grader", ["no observation called sick_that_is_not_there"]),
    "judge": ("grader", ["the judge itself failed", "nothing_like_this"]),
    "needy": ("skipped", ["^skipped: needs sick_panic$"]),
    "needier": ("skipped", ["^skipped: needs sick_needy$"]),
    "panic": ("panic", [r"^panic: \S+observe_boot\.c:\d+: nobody expects 42",
                        r"panic_at\+0x\w+ \(kern/boot/panic\.c:\d+",
                        r"observe_sick_panic_\+0x\w+ \(kern/boot/observe_boot\.c:\d+", "hint: read what it says",
                        r'read: .*README.md, "7. Stories"', "make replay T=sick_panic SEED=11",
                        "make replay-gdb T=sick_panic SEED=11"]),
    "triple": ("triple-fault", [r"observe_sick_triple_\+0x\w+ \(kern/boot/observe_boot\.c:\d+",
                                "page fault \\(14\\), error 0x2",
                                "not mapped, write, kernel", "likely cause",
                                "interrupt descriptor table is still the BIOS's", "0x7f1234567000",
                                r"PML4 entry at 0x\w+: 0x0+ .*not present", "nothing is mapped there"]),
    "busy": ("busy-hang", ["runs and runs in observe_sick_busy_", r"of 12 samples: cpu 0 in observe_sick_busy_"]),
    "stop": ("idle-hang", ["halted with interrupts off", "observe_sick_stop_"]),
    "flood": ("flood", ["too much", "end of the console", "and so on"]),
    "tale": ("flood", [r"\d{7} of observations: that is too much", r"the last of the observations\n.*and so on"]),
    "late": ("busy-hang", [r"runs and runs in observe_sick_late_"]),
    "todo": ("not-written", ["lab 1: sick_body is not written yet, see labs/01-boot", "lab_todo"]),
    "garbled": ("wrong", ["the observations are garbled: record 1"]),
    "exit": ("", []),
    "reset": ("wrong", ["reset the machine"]),
    "self": ("deadlock", ["fault lock", "same lock: self-deadlock"]),
    "spin": ("deadlock", ['cpu 0 waits for spinlock "fault lock", held by nobody known', "spin_wait"]),
    "ring": ("deadlock", ['waits for mutex "fault [ab]", which \\S+ holds', "thread other/", "mutex_wait",
                          "mutex_lock"]),
    "given": ("idle-hang", [r'^idle-hang: taker/\d+ was given mutex "fault a", and sleeps: nobody woke it']),
    "idt": ("triple-fault", ["invalid opcode \\(6\\)", "interrupt descriptor table is empty", "observe_sick_idt_"]),
    "null": ("panic", ["page fault", "observe_sick_null_"]),
    "sleep": ("idle-hang", ["a wakeup was lost", "after observation sick_sleep began", "thread boot/",
                            "observe_sick_sleep_", "last trace events", r"switch from \S+ to \S+/\d+"]),
}


def which():
    return [n for n in SAYS if n not in PROCS or 4 in labs.numbers()]


@pytest.mark.cost(60)
@pytest.mark.parametrize("name", which())
def test_class_of_failure(graded, name):
    kind, said = SAYS[name]
    result = next(t for t in graded[2]["tests"] if t["name"] == f"sick_{name}")
    assert result["class"] == kind, result["message"]
    assert result["passed"] == (kind == "")
    for pattern in said:
        assert re.search(pattern, result["message"], re.M), f"{pattern!r} is not in\n{result['message']}"


@pytest.mark.cost(10)
def test_boxed(sick, graded):
    """In the instructor's sandbox a triple fault is explained, word for word, as it is without."""
    if not build.have("bwrap"):
        return
    qemu, boxed = os.path.join(sick.top, "qemu"), os.path.join(sick.top, "boxed")
    with open(qemu, "w") as f:
        box = os.path.join(build.ROOT, "grade/instructor/qemu_box.py")
        f.write(f"#!/bin/sh\n: >'{boxed}'\nexec '{sys.executable}' -I -B '{box}' \"$@\"\n")
    os.chmod(qemu, 0o755)
    (result,) = sick.grade("--seed", "11", test="sick_triple", QEMU=qemu,
                           ECLIPSE_QEMU=shutil.which(build.QEMU))[2]["tests"]
    assert os.path.exists(boxed)
    assert result["message"] == next(t["message"] for t in graded[2]["tests"] if t["name"] == "sick_triple")


def test_points_add_up(graded):
    """The score, the counts and the exit status; a line for each test with its points and the class first."""
    status, text, result, _ = graded
    names = which()
    want = sum({"panic": 5, "needy": 3, "needier": 4}.get(n, 1) for n in names)
    good = [n for n in names if SAYS[n][0] == ""]
    skipped = [n for n in names if SAYS[n][0] == "skipped"]
    seen = (result["total"], result["score"], result["passed"], result["skipped"])
    assert seen == (want, len(good), len(good), len(skipped))
    assert result["failed"] == len(names) - len(good) - len(skipped)
    assert status == 1
    assert f"Score: {len(good)}/{want}\n{len(good)} passed, {result['failed']} failed, {len(skipped)} skipped" in text
    assert re.search(r"^ok +1/1  sick_none  \(", text, re.M)
    assert re.search(r"^FAIL +0/5  sick_panic  panic: ", text, re.M)
    assert re.search(r"^skip +0/3  sick_needy  skipped: needs sick_panic$", text, re.M)
    assert "\033" not in text


def test_outputs(graded):
    """JUnit, Gradescope and Markdown have all the tests, and can be read."""
    _, _, result, files = graded
    tree = xml.etree.ElementTree.parse(files["junit"]).getroot()
    cases = {c.get("name"): c for c in tree.iter("testcase")}
    assert len(cases) == len(result["tests"])
    assert cases["sick_panic"].find("failure").get("type") == "panic"
    assert cases["sick_needy"].find("skipped") is not None
    with open(files["gradescope"]) as f:
        scope = json.load(f)
    assert scope["score"] == result["score"] and len(scope["tests"]) == len(result["tests"])
    assert next(t for t in scope["tests"] if t["name"] == "sick_panic")["max_score"] == 5
    with open(files["markdown"]) as f:
        text = f.read()
    assert "| 1 | `sick_panic` | 0/5 | panic: " in text and "## sick_panic" in text


@pytest.mark.cost(20)
def test_same_seed_same_run(sick):
    """A seed repeats the run: same records, same console, same number of instructions; another seed is another run."""
    from grade.eclipse.guest import Guest

    def once(seed):
        kernel = os.path.join(sick.nursery.build, "lab-1", "kernel.elf")
        with Guest(seed=seed, kernel=kernel, archive=False, append=f"observe=lock_play seed={seed}") as g:
            assert g.watch() == "end"
            return g.observed, g.console
    assert once(5) == once(5)
    assert once(5)[0] != once(6)[0]
    assert len({timing(s) for s in range(200)}) > 20


@pytest.mark.cost(20)
def test_same_seed_same_text(sick, graded):
    """A failure says the same again, word for word, but for the trace: QEMU may serve a timer a few instructions
    later."""
    def words(text):
        return re.sub(r"--- last trace events\n.*?(?=\n--- )", "", text, flags=re.S).splitlines()
    again = sick.grade("--seed", "11", test="sick_wrong,sick_panic,sick_idt,sick_none")[2]["tests"]
    before = {t["name"]: t["message"] for t in graded[2]["tests"]}
    for t in again:
        if words(t["message"]) != words(before[t["name"]]):
            pytest.fail("\n".join(difflib.unified_diff(words(before[t["name"]]), words(t["message"]), lineterm="")),
                        pytrace=False)
    other = sick.grade("--seed", "12", test="sick_wrong")[2]["tests"]
    assert other[0]["message"] != before["sick_wrong"]


def test_the_generator_is_the_kernels(graded):
    """sick_none passed: Random draws what observe_random draws. And it spreads."""
    assert next(t for t in graded[2]["tests"] if t["name"] == "sick_none")["passed"]
    r = Random(1)
    seen = {r.below(16) for _ in range(200)}
    assert seen == set(range(16))


@pytest.mark.parametrize("raw,trouble", [("0 begin x\n1 x a\n3 x b\n", "record 2"), ("0 begin x\nhello\n", "record 1"),
                                         ("0 begin x\n1 end\n2 x more\n", "record 2"), ("0 begin x\n1 x cut", None)])
def test_records(raw, trouble):
    found = Records(raw).trouble
    assert (found is None) == (trouble is None) and (trouble or "") in (found or "")


@pytest.mark.cost(20)
def test_no_build(sick):
    """One red line with the compiler's first complaint; the lab's other tests are skipped, other labs are graded."""
    path = os.path.join(sick.nursery.tree, "kern/boot/ksym.c")
    with open(path) as f:
        sound = f.read()
    try:
        with open(path, "w") as f:
            f.write(sound.replace("ksym_find(uint64_t addr", "ksym_find(uint64_t address", 1))
        status, text = mutants.run([sys.executable, "-m", "grade.run", "grade", "--build", sick.nursery.build, "--test",
                                    "hello,symbols,log_ring", "--lab", "1"], sick.nursery.tree)
    finally:
        with open(path, "w") as f:
            f.write(sound)
    assert status == 1, text
    assert re.search(r"^FAIL .*no-build: kern/boot/ksym\.c:\d+: .*addr.* undeclared", text, re.M), text
    assert len(re.findall(r"^FAIL", text, re.M)) == 1, text
    assert len(re.findall(r"needs a kernel of lab 1 that builds", text)) == 2, text


def test_cannot_run():
    """Exit status 2: nothing was chosen, or what was asked for makes no sense."""
    for words in (["--test", "no_such_test"], ["--seed", "x"], ["--hidden", "/nowhere"]):
        status, text = mutants.run([sys.executable, "-m", "grade.run", "grade", "--no-build", "--build", build.BUILD,
                                    *words], build.ROOT)
        assert status == 2, (words, text)


@pytest.mark.cost(60)
def test_mutants_sample(tmp_path):
    """The first mutant of each of three labs is caught; one whose patch does nothing is not."""
    first = {}
    for m in mutants.mutants():
        first.setdefault(m.lab, m)
    chosen = list(first.values())[:3]
    assert chosen, "there is no mutant"
    nursery = mutants.Nursery(str(tmp_path / "nursery"), build.BUILD)
    for m in chosen:
        outcome = mutants.try_one(nursery, m)
        assert outcome.caught, outcome.line()
    harmless = tmp_path / "harmless.patch"
    with open(chosen[0].path) as f:
        body = f.read()
    harmless.write_text("# caught by: hello\n# class: wrong\n# nothing\n"
                        "--- a/kern/boot/ksym.c\n+++ b/kern/boot/ksym.c\n"
                        "@@ -1,1 +1,1 @@\n-" + open(os.path.join(build.ROOT, "kern/boot/ksym.c")).readline()
                        + "+/* ksym.c: which function is at this address?\n")
    assert body
    outcome = mutants.try_one(nursery, mutants.Mutant(str(harmless), 1), seeds=(1,))
    assert not outcome.caught and not outcome.trouble, outcome.line()


class Pieces(Machine):
    """A machine whose console says `pieces`, one at each look, and then ends."""

    def __init__(self, *pieces):
        self.pieces, self.console, self.at, self.status = list(pieces), "", 0, 0
        self.process = subprocess.Popen(["true"])

    def _pump(self, timeout):
        self.console += self.pieces.pop(0) if self.pieces else ""
        return bool(self.pieces)

    def _reap(self):
        self.process.wait()

    def error(self, why):
        return GuestError(why)


def test_expect_waits_for_the_rest():
    """A line that came in pieces is read whole; a prompt, which nothing follows, is seen at once; the end of all is an
    end of line."""
    assert Pieces("status 1", "1\n", "more").expect(r"status (\d+)")[1] == "11"
    assert Pieces("init", "ial", "\ninit\n", "more").expect(r"^init$").start() == 8
    assert Pieces("\n# ", "typed", "more").expect(r"(?:^|\n)# \Z").end() == 3
    assert Pieces("status 1", "").expect(r"status (\d+)$")[1] == "1"
    with pytest.raises(GuestError, match="while waiting"):
        Pieces("statu", "s 2", "3\n").expect(r"status 2$")
