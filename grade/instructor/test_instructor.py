"""The instructor's side, in small: sandboxes, bad submissions, a class of a few, Slurm, Gradescope,
Classroom, similar work.

`make class-check` grades 40 made-up submissions with all tests of a lab; here one test of lab 1 has to do.
Where the machine lets nobody make a sandbox (some containers) it is proved that nothing is built, and that
the reason is said.
"""

import argparse
import csv
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest

jinja2 = pytest.importorskip("jinja2", reason="python3-jinja2 is missing: make setup")

from grade.eclipse import build  # noqa: E402
from grade.instructor import box, classrun, classroom, gradescope, intake, one_node, samples  # noqa: E402
from grade.instructor import course as courses, similar, unit  # noqa: E402
from grade.instructor.course import Course, CourseError  # noqa: E402

MIB = 1 << 20
SECRET = "attack at dawn"
HELLO = "hello"                              # the one test of the class in small
pytestmark = pytest.mark.xdist_group("instructor")


def boxed(f):
    """A test that needs a sandbox; without one, that grade-class says so and builds nothing."""
    @functools.wraps(f)
    def inner(*args, **more):
        if box.check() is None:
            return f(*args, **more)
        with tempfile.TemporaryDirectory() as tmp:
            os.makedirs(tmp + "/in/a")
            with pytest.raises(CourseError, match="no sandbox"):
                classrun.prepare(classrun.arguments([tmp + "/in", tmp + "/out", "--build", build.BUILD]))
            assert not os.path.exists(tmp + "/out")
        return None
    return inner


# ---------------------------------------------------------------- the room

def limits(**more):
    return box.Limits(**{"seconds": 20, "cpu": 5, "output": MIB, "log": 4096, **more})


@boxed
def test_room_is_empty():
    """No file of this machine but programs, no network, no environment, another uid, nobody else's
    processes."""
    names = os.path.join(build.ROOT, "grade")
    done = box.run(f"ls -A / /etc /dev; env; id -u; ls {names} /root /home /tmp /proc/1; cat /etc/passwd; "
                   "echo x > /usr/x; echo x > /x; cat < /dev/tcp/127.0.0.1/1", limits=limits())
    out = done.out.decode()
    assert "passwd" not in out and "root" not in out and "grade" not in out
    assert set(re.findall(r"^(\w+)=", out, re.M)) <= {"PATH", "LC_ALL", "HOME", "TMPDIR", "W", "SRC", "PWD",
                                                      "OLDPWD", "SHLVL", "_"}
    assert re.search(r"^(19\d{8}|65534)$", out, re.M)
    assert done.said.count("cannot access") >= 4 and "cat: /etc/passwd: No such file" in done.said
    assert "/usr/x: " in done.said and "/x: " in done.said


@boxed
@pytest.mark.parametrize("what,script,more", [
    ("time", "sleep 60", {"seconds": 1}),
    ("time", "f() { f | f & }; f; sleep 60", {"seconds": 2}),
    ("time", "trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; sleep 61' & sleep 61", {"seconds": 1}),
    ("output", "yes", {}),
    ("output", "yes >&2", {}),
])
def test_room_ends(what, script, more):
    """Whatever runs in there, and wherever it hides, is gone when the room is."""
    start = time.monotonic()
    done = box.run(script, limits=limits(**more))
    assert done.limit == what and done.status != 0
    assert len(done.out) <= MIB and len(done.said) <= 4096
    assert time.monotonic() - start < 20
    left = subprocess.run(["pgrep", "-f", "sleep 6[01]"], stdout=subprocess.PIPE).stdout
    assert not left


@boxed
def test_room_has_walls():
    """Files, memory and CPU time of one process end somewhere, and the others go on."""
    script = ("head -c 70000000 /usr/bin/* > big; ls -l big | awk '{ print $5 }'\n"
              "awk 'BEGIN { s = \"x\"; while (1) s = s s }' 2> /dev/null; echo memory $?\n"
              "sh -c 'while :; do :; done'; echo cpu $?\n")
    done = box.run(script, limits=limits(file=MIB, cpu=1, memory=256 * MIB))
    size, memory, cpu = re.search(rb"^(\d+)\nmemory (\d+)\ncpu (\d+)", done.out).groups()
    assert int(size) == MIB and int(memory) != 0 and int(cpu) > 128, done.said


# ---------------------------------------------------------------- what is sent

@pytest.fixture(scope="module")
def maker():
    """Sources without a release: the solved tree stands for what was handed out, with another file for what
    is written."""
    allowed = courses.exercises(1)
    m = samples.Maker({}, allowed, 1)
    m.skeleton = {p: m.solved(p).replace(b"{\n", b"{\n\t/* as handed out */\n", 1) for p in allowed}
    m.known = {p: intake.hash_of(b"as handed out")
               for p in ("GNUmakefile", "grade/run.py", "labs/01-boot/lab.toml")}
    return m


def take(sample, maker, folder):
    folder = str(folder)
    sample.make(maker, os.path.join(folder, sample.name))
    [name] = os.listdir(folder)
    return intake.take(os.path.join(folder, name), maker.allowed, 1, maker.known)


@boxed
@pytest.mark.parametrize("sample", samples.CORRECT, ids=lambda s: s.name.replace("\n", " "))
def test_every_form_is_taken(sample, maker, tmp_path):
    got = take(sample, maker, tmp_path)
    assert got.files == maker.done(), got.notes


BUILT = ("broken-does-not-compile", "broken-last-lab")
INTAKE = [s for s in samples.BROKEN + samples.CHEATS if s.says and "no-build" not in s.classes
          and not s.name.startswith("=")
          and s.name not in BUILT]


@boxed
@pytest.mark.parametrize("sample", INTAKE, ids=lambda s: s.name)
def test_bad_submission_is_a_line(sample, maker, tmp_path):
    """Missing, huge, binary, symlinked or hostile: a line says so, and nothing of it gets in."""
    start = time.monotonic()
    got = take(sample, maker, tmp_path)
    if sample.name != "broken-wrong-lab":                # lab 1 has no lab before it
        assert re.search(sample.says, "\n".join(got.notes)), got.notes
    assert not sample.least or got.files == maker.done()
    assert all(d in (maker.skeleton[p], maker.solved(p)) for p, d in got.files.items())
    assert all("\n" not in n and n.isprintable() for n in got.notes)
    assert not os.path.exists(samples.CANARY) and time.monotonic() - start < 20


def test_zip_directories_can_be_bombs(maker, tmp_path):
    """An end record that promises a million files, a password, two files of one name, names that are no
    text."""
    path = str(tmp_path / "a.zip")
    samples.zipped(path, maker.done())
    with open(path, "r+b") as f:
        data = f.read()
        at = data.rindex(b"PK\5\6")
        f.seek(at + 10)
        f.write(b"\xff\xff\xff\xff\xff\x7f")
    assert "bomb" in intake.take(path, maker.allowed, 1).notes[0]
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "w") as z:
        z.writestr(samples.EVIL, "int x;\n")
        z.writestr(samples.EVIL, "int y;\n")
        z.writestr("kern/boot/\x1b[2J\n\u202etxt.c", "x")
    got = intake.take(path, maker.allowed, 1)
    assert got.files == {samples.EVIL: b"int y;\n"} and any("twice" in n for n in got.notes)
    assert all(n.isprintable() for n in got.notes)


def test_names_become_ids(tmp_path):
    names = ["Ann", "ann", "Bob.zip", "Bob", "a b", "a\nb", "..x", "=cmd|' calc'!A0", "\u00e9l\u00e8ve",
             "x" * 200]
    for n in names:
        (tmp_path / n).mkdir()
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xff\xfe"))
    (tmp_path / ".hidden").mkdir()
    found = courses.find_units(str(tmp_path))
    assert len(found) == len(names)                      # "..x" and ".hidden" begin with a dot: no submissions
    assert len({u["id"].lower() for u in found}) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,60}", u["id"]) and u["id"][0] != "." for u in found)
    assert all(u["name"].isprintable() for u in found)


# ---------------------------------------------------------------- a class of a few

@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A class run of lab 1 with one test: everything is prepared, nothing is graded."""
    if box.check():
        return None
    top = tmp_path_factory.mktemp("class")
    hidden = top / "hidden"
    hidden.mkdir()
    (hidden / "secret.h").write_text(f"{SECRET}\n")
    sent, out = str(top / "sent"), str(top / "out")
    tree = courses.handed_out(1)
    maker = samples.Maker(tree, courses.exercises(1), 1, str(hidden / "secret.h"))
    by_name = {s.name: s for s in samples.CORRECT + samples.CHEATS + samples.BROKEN}
    chosen = [by_name[n] for n in (
        "correct\nin two lines", "correct-zip", "cheat-prints-expected", "cheat-forges-records",
        "cheat-reads-hidden", "cheat-incbin",
        "cheat-makefile", "cheat-edits-tests", "cheat-object-bomb", "cheat-takes-over", "cheat-links",
        "cheat-fork-bomb", "cheat-loops", "cheat-floods", "cheat-debug-exit", "broken-no-commit",
        "broken-does-not-compile", "=cmd|' calc'!A0,<script>alert(1)</script>")]
    samples.write(chosen, maker, sent)
    args = classrun.arguments([sent, out, "--build", build.BUILD, "--lab", "1", "--test", HELLO, "--seed",
                               "7", "--jobs", "2",
                               "--build-seconds", "40"])
    prepared = classrun.prepare(args)
    prepared.args, prepared.chosen = args, chosen
    return prepared


def read(course, *path):
    with open(course.path(*path), encoding="utf-8", newline="") as f:
        return f.read()


@boxed
@pytest.mark.cost(20)
def test_class(course, capsys):
    """Each gets the declared verdict; the reports are written; nothing leaks, nothing ran outside; done
    again, nothing is redone."""
    assert classrun.run(course.args) == 0
    said = capsys.readouterr().out
    results = {u["name"]: classrun.result_of(course, u) for u in course.units}
    for s in course.chosen:
        r = results[intake.shown(s.sent())]
        wrong = s.expect(r, course.tests())
        assert not wrong, f"{s.name}: {wrong}\n{json.dumps(r, indent=1)[:3000]}"
    assert not os.path.exists(samples.CANARY)
    assert f"{len(course.units)}/{len(course.units)}" in said
    check_reports(course, results)
    check_resumed(course, capsys)


def check_reports(course, results):
    rows = list(csv.reader(read(course, "gradebook.csv").splitlines()))
    assert len(rows) == len(results) + 1 and not any(c.startswith("=") for row in rows for c in row)
    page = read(course, "index.html")
    assert "<script>" not in page and "&lt;script&gt;" in page and HELLO in page
    everything = page + read(course, "gradebook.csv")
    for r in results.values():
        text, page = read(course, "reports", r["id"] + ".md"), read(course, "reports", r["id"] + ".html")
        assert f"{r['score']} of {r['total']}" in text and f"{r['score']} of {r['total']}" in page
        assert "<script>" not in text + page
        everything += text + page + json.dumps(r)
    assert not [s for s in (SECRET, "root:x:", courses.ROOT + "/kern") if s in everything]


def check_resumed(course, capsys):
    """One result is lost: that one is made again, the others stay."""
    times = {u["id"]: os.stat(unit.result_path(course, u)).st_mtime_ns for u in course.units}
    lost = next(u for u in course.units if "edits" in u["name"])
    os.unlink(unit.result_path(course, lost))
    classrun.run(course.args)
    assert f"{len(times) - 1} are done already" in capsys.readouterr().out
    again = {u["id"]: os.stat(unit.result_path(course, u)).st_mtime_ns for u in course.units}
    assert {i for i in times if times[i] != again[i]} == {lost["id"]}


@boxed
def test_crash_of_a_unit_is_a_line(course, monkeypatch):
    """Our own bug in a unit: the result says so, the run goes on, and the next run tries again."""
    u = dict(course.units[0], id="crash")
    monkeypatch.setattr(unit, "take", lambda *_: 1 // 0)
    r = unit.do(course, u)
    assert "ZeroDivisionError" in r["verdict"] and r["score"] == 0 and unit.finished(course, u) is None
    monkeypatch.setattr(courses, "judge_digest", lambda hidden: "other")
    r = unit.do(course, u)
    assert "start it again" in r["verdict"] and unit.finished(course, u) is None


def test_nothing_to_judge(monkeypatch):
    """TEST=lab4, and labs 1 to 3 are all that was built: no judge is asked, and nothing is the grader's trouble."""
    made = argparse.Namespace(tests=lambda: {"tests": [{"name": "x", "lab": 4, "of": 3, "section": ""}]})
    monkeypatch.setattr(unit.judge, "judge", lambda *_: 1 // 0)
    [t], trouble, _ = unit.verdicts(made, unit.Build({1: b"", 3: b""}, [4], "a.c:1: error: no", None, 0), 0)
    assert t["class"] == "no-build" and trouble is None and "a.c:1" in t["message"]


def test_judges_that_stumble():
    """The solved tree has passed; a kernel over whose words the judge falls has failed."""
    t = {"name": "x", "class": "grader", "passed": False,
         "message": "grader: the judge itself failed: ValueError(1)\nthere"}
    assert unit.settled(t)["class"] == "wrong" and "ValueError" in unit.settled(t)["message"]
    for kept in (t | {"message": "grader: QEMU did not start"}, t | {"class": "panic"}):
        assert unit.settled(kept) == kept


# ---------------------------------------------------------------- an instructor's own tests, an older release

OWN_JUDGES = """
def test_my_hello(run):
    secret = "the answer is in the drawer"
    obs = run.observe("hello")
    run.equal(obs.console.count(f"hello {run.random.below(1000000)}"), 1, secret)


def test_my_mistake(run):
    run.equal(1, 2, "how many moons")
"""
OWN_POINTS = """
[[test]]
name = "my_hello"
points = 7

[[test]]
name = "my_mistake"
points = 3
"""


@pytest.fixture(scope="module")
def skeleton():
    return courses.handed_out(1)


def graded(sent, out, *words):
    """The course and {name: result} of a class run."""
    args = classrun.arguments([str(sent), str(out), "--build", build.BUILD, "--lab", "1", "--seed", "9", *words])
    classrun.run(args)
    made = Course(str(out))
    return made, {u["name"]: classrun.result_of(made, u) for u in made.units}


@boxed
@pytest.mark.cost(15)
def test_own_tests(skeleton, monkeypatch, capsys, tmp_path):
    """HIDDEN: judged and counted, its text shown to nobody; what the solved tree fails is left out, and said."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "test_mine.py").write_text(OWN_JUDGES)
    (own / "tests.toml").write_text(OWN_POINTS)
    monkeypatch.setattr(courses, "handed_out", lambda *_: skeleton)
    maker = samples.Maker(skeleton, courses.exercises(1), 1)
    samples.as_zip(maker, samples_at(tmp_path, "good"))
    samples.put(samples_at(tmp_path, "bad"), samples.evil(maker, '\tevil_say(0x3f8, "hello 42");'))
    course, got = graded(tmp_path / "sent", tmp_path / "out", "--hidden", str(own), "--test", "my_*")
    assert "LEFT OUT" in capsys.readouterr().out
    assert [t["name"] for t in course.tests()["left_out"]] == ["my_mistake"]
    assert (got["good"]["score"], got["good"]["total"], got["bad"]["score"]) == (7, 7, 0)
    assert [t["name"] for t in got["bad"]["tests"]] == ["my_hello"] and got["bad"]["tests"][0]["lab"] == 1
    for kind in ("md", "html"):
        text = read(course, "reports", f"bad.{kind}")
        assert re.search(r"my.{0,2}hello", text) and "own tests" in text and "drawer" not in text
    assert "how many moons" in read(course, "index.html")
    before = courses.judge_digest(str(own))
    (own / "tests.toml").write_text(OWN_POINTS.replace("7", "8"))
    assert courses.judge_digest(str(own)) != before


def samples_at(folder, name):
    os.makedirs(folder / "sent", exist_ok=True)
    return str(folder / "sent" / name)


OLD = ("kern/boot/serial.c", "kern/boot/uart.c")         # what the file was called when it was handed out
OLD_WORD = b"\n#define OLD_WORD 1\n"


def release_of_last_year(top, tree):
    """A release that differs from today's: an exercise in a file of another name, a word in a header that is gone by
    now, an observer that said less. Returns its folder."""
    def old(data):
        return data.replace(OLD[0].encode(), OLD[1].encode())
    files = {OLD[1] if p == OLD[0] else p: old(d) if p.startswith("labs/01-boot/") else d for p, d in tree.items()}
    files["kern/boot/serial.h"] += OLD_WORD
    files["kern/boot/observe_boot.c"] = b'#include "kern/boot/observe.h"\n'
    folder = str(top / "last year")
    samples.put(folder, files)
    for words in (("init", "-q", "-b", "lab1"), ("add", "-A", "-f"), ("commit", "-q", "-m", "lab 1"),
                  ("checkout", "-q", "-b", "lab2-start")):
        samples.git(folder, *words)
    samples.put(folder, {p: last_years(p) for p in courses.exercises_in(files, 1)})
    samples.git(folder, "commit", "-q", "-a", "-m", "solved")
    samples.git(folder, "checkout", "-q", "lab1")
    return folder


def last_years(path):
    """A solved file of that release."""
    if path != OLD[1]:
        return courses.own(path)
    return courses.own(OLD[0]) + b"\nint old_word;\n\nstatic void\nold(void)\n{\n\told_word = OLD_WORD;\n}\n" \
        b'#include "kern/boot/initcall.h"\nINITCALL(1, old);\n'


@boxed
@pytest.mark.cost(15)
def test_older_release(skeleton, tmp_path, capsys):
    """The tree has moved on since: RELEASE grades with what the students were given, and this tree's judges."""
    release = release_of_last_year(tmp_path, skeleton)
    work = {p: last_years(p) for p in courses.exercises_in(courses.branch(release, "lab1"), 1)}
    samples.put(samples_at(tmp_path, "folder"), {**courses.branch(release, "lab1"), **work})
    samples.put(samples_at(tmp_path, "no uart"), {**work, OLD[1]: courses.branch(release, "lab1")[OLD[1]]})
    course, got = graded(tmp_path / "sent", tmp_path / "out", "--release", release, "--test", HELLO)
    assert OLD[1] in course.allowed and OLD[0] not in course.allowed and not course.tests()["left_out"]
    assert got["folder"]["score"] == got["folder"]["total"] > 0 and got["folder"]["notes"] == [], got["folder"]
    assert got["no uart"]["score"] == 0 and not got["no uart"]["not_built"]
    # Without RELEASE their files do not fit; who runs the class is told why.
    allowed, known = courses.exercises(1), {p: intake.hash_of(d) for p, d in skeleton.items()}
    taken = intake.take(str(tmp_path / "sent/folder"), allowed, 1, known)
    assert "kern/boot/serial.h" in taken.edited and "kern/boot/serial.c" in "".join(taken.notes)
    classrun.say_older([{"changed": ["x"], "edited": taken.edited}] * 3)
    assert "RELEASE=dir" in capsys.readouterr().out


# ---------------------------------------------------------------- Slurm

@boxed
@pytest.mark.cost(15)
def test_slurm(course, monkeypatch, capsys, tmp_path):
    """The same units as a job array, on a Slurm of one node; without Slurm installed, a clear word."""
    words = [course.args.submissions, str(tmp_path / "out"), "--build", build.BUILD]
    args = classrun.arguments(words + ["--slurm"])
    if one_node.missing():
        monkeypatch.setattr(classrun, "prepare", lambda args: course)
        monkeypatch.setattr(unit, "finished", lambda *_: None)
        with pytest.raises(CourseError, match="make setup"):
            classrun.run(args)
        return
    two = [u for u in course.units if u["name"] in ("correct-zip", "broken-no-commit")]
    for u in two:
        if os.path.exists(unit.result_path(course, u)):
            os.unlink(unit.result_path(course, u))
    folder = tempfile.mkdtemp(prefix="eclipse-slurm-")
    with one_node.OneNode(folder) as env:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, env[name])
        classrun.run(argparse.Namespace(**{**vars(course.args), "slurm": True}))
    said = capsys.readouterr().out
    assert re.search(r"Slurm job \d+: 2 units", said), said
    results = {u["name"]: classrun.result_of(course, u) for u in two}
    assert results["correct-zip"]["passed"] == 1 and "no commit" in results["broken-no-commit"]["verdict"]
    subprocess.run(["rm", "-r", folder], check=True)


# ---------------------------------------------------------------- other services

def container(folder, *argv):
    """Runs a command where `folder` is /autograder, and all else is as it is here."""
    words = ["bwrap", "--die-with-parent", *(["--cap-add", "ALL"] if os.geteuid() == 0 else [])]
    for name in sorted(os.listdir("/")):
        if name != "autograder":
            at = "/" + name
            words += ["--symlink", os.readlink(at), at] if os.path.islink(at) else ["--dev-bind", at, at]
    words += ["--bind", str(folder), "/autograder", *argv]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


@boxed
def test_gradescope_zip(tmp_path):
    """The zip has what it needs, and its scripts are scripts."""
    path = str(tmp_path / "autograder.zip")
    gradescope.make(path, 1, "", "")
    with zipfile.ZipFile(path) as z:
        names = set(z.namelist())
        assert {"setup.sh", "run_autograder", "tree/GNUmakefile", "tree/grade/instructor/unit.py"} <= names
        assert all(z.getinfo(n).external_attr >> 16 & 0o111 for n in ("setup.sh", "run_autograder"))
        for n in ("setup.sh", "run_autograder"):
            subprocess.run(["sh", "-n"], input=z.read(n), check=True)


@boxed
@pytest.mark.parametrize("how", ["bwrap", "uid"])
def test_gradescope(course, how, tmp_path):
    """run_autograder, where its folders are Gradescope's, writes a results.json; in both kinds of box."""
    if how == "uid" and os.geteuid() != 0:
        return                                           # another uid takes root
    for folder in ("source", "submission", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "source/tree").symlink_to(build.ROOT)
    (tmp_path / "source/run").symlink_to(course.out)
    (tmp_path / "source/box").write_text("export ECLIPSE_BOX=uid\n" if how == "uid" else "")
    (tmp_path / "source/run_autograder").write_text(gradescope.RUN)
    samples.as_zip_in_folder(samples.Maker({}, course.allowed, 1), str(tmp_path / "submission/work"))
    if os.path.exists(course.path("units", "submission", "result.json")):
        os.unlink(course.path("units", "submission", "result.json"))
    p = container(tmp_path, "sh", "/autograder/source/run_autograder")
    assert p.returncode == 0, p.stdout
    r = json.loads((tmp_path / "results/results.json").read_text())
    assert r["score"] == r["tests"][0]["score"] == r["tests"][0]["max_score"] > 0, r
    assert {t["status"] for t in r["tests"]} == {"passed"} and r["execution_time"] >= 0


def test_classroom(tmp_path):
    """YAML with a step and points per graded test, whose commands exist; the helper's verdict is that of the grader."""
    yaml = pytest.importorskip("yaml", reason="python3-yaml is missing: make setup")
    lab, tests = classroom.make(str(tmp_path), 1, "https://example.org/course.git")
    text = (tmp_path / ".github/workflows/classroom.yml").read_text()
    old = json.loads((tmp_path / ".github/classroom/autograding.json").read_text())
    assert lab == 1 and tests and "\t" not in text
    job = yaml.safe_load(text)["jobs"]["run-autograding-tests"]
    steps = {s.get("id") or s.get("name"): s for s in job["steps"]}
    assert [(n, steps[n]["with"]["max-score"]) for n, _ in tests] == tests
    assert {s["uses"].split("@")[0] for s in job["steps"] if "uses" in s} == {
        "actions/checkout", "classroom-resources/autograding-command-grader",
        "classroom-resources/autograding-grading-reporter"}
    assert steps["Report"]["with"]["runners"].split(",") == [n for n, _ in tests]
    assert set(steps["Report"]["env"]) == {n.upper() + "_RESULTS" for n, _ in tests}
    commands = {steps[n]["with"]["command"] for n, _ in tests}
    assert commands == {f"python3 .github/classroom/verdict.py {n}" for n, _ in tests}
    assert sum(t["points"] for t in old["tests"]) == sum(p for _, p in tests)
    goals = {m for s in job["steps"] for m in re.findall(r"\bmake (\w+)", s.get("run", ""))}
    with open(os.path.join(build.ROOT, "GNUmakefile")) as f:
        rules = f.read()
    assert goals == {"setup", "grade"} and all(re.search(rf"(?m)^[\w ]*\b{g}\b[\w ]*:", rules) for g in goals)
    verdicts = {"tests": [{"name": "a", "passed": True, "message": ""},
                          {"name": "b", "passed": False, "message": "wrong: 1"}]}
    (tmp_path / "verdicts.json").write_text(json.dumps(verdicts))
    helper = str(tmp_path / ".github/classroom/verdict.py")
    said = {n: subprocess.run([sys.executable, helper, n], cwd=tmp_path, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
            for n in ("a", "b", "c")}
    assert [said[n].returncode for n in "abc"] == [0, 1, 1]
    assert "wrong: 1" in said["b"].stdout and "not run" in said["c"].stdout


def test_classroom_takes_only_exercises(skeleton, tmp_path):
    """The step that lays the student's files into a fresh clone, run: a Makefile, a test and a link stay outside."""
    yaml = pytest.importorskip("yaml", reason="python3-yaml is missing: make setup")
    release = release_of_last_year(tmp_path, skeleton)
    student = tmp_path / "student"
    samples.put(str(student), {OLD[1]: "mine", "GNUmakefile": "evil", "labs/01-boot/test_boot.py": "evil"})
    os.symlink("/etc/passwd", student / samples.EVIL)
    _, tests = classroom.make(str(student), 1, f"'{release}'", release)
    assert tests == classroom.graded(courses.manifests(), 1)
    flow = yaml.safe_load((student / ".github/workflows/classroom.yml").read_text())
    script = next(s["run"] for s in flow["jobs"]["run-autograding-tests"]["steps"]
                  if s.get("name", "").startswith("A fresh tree"))
    env = dict(os.environ, RUNNER_TEMP=str(tmp_path), GITHUB_ENV=str(tmp_path / "env"))
    subprocess.run(["bash", "-e", "-c", script], cwd=student, env=env, check=True)
    fresh = tmp_path / "tree"
    assert (tmp_path / "env").read_text() == f"TREE={fresh}\n" and (fresh / OLD[1]).read_text() == "mine"
    files = courses.branch(release, "lab1")
    assert all((fresh / p).read_bytes() == files[p] for p in ("GNUmakefile", "labs/01-boot/test_boot.py", samples.EVIL))


# ---------------------------------------------------------------- similar work

ANNS = """
/* Ann's own */
static int
find_slot(struct table *t, int key)
{
	int best = -1;

	for (int i = 0; i < t->n; i++) {
		if (t->slot[i].key == key && !(t->slot[i].flags & 4))
			return i;
		if (t->slot[i].flags == 0 && (best < 0 || t->slot[i].age < t->slot[best].age))
			best = i;
	}
	while (best >= 0 && t->slot[best].refs-- > 0)
		best = t->slot[best].next;
	return best;
}
"""
BOBS = re.sub(r"\bbest\b", "mine", re.sub(r"\bi\b", "k", ANNS)).replace("Ann's own",
                                                                        "all my work").replace("\n\t\t", "\n   ")
CARLS = """
static int
find_slot(struct table *t, int key)
{
	struct slot *s = table_head(t);

	do {
		if (slot_matches(s, key))
			return slot_index(t, s);
	} while ((s = s->link) != table_head(t));
	panic("no slot %d of %d", key, t->n);
	slot_print(t, s, key, 1, 2, 3, "x", "y", s->link, s->link->link);
	return key > 7 ? 9 : t->n == 3 ? 1 : -1;
}
"""


@boxed
def test_similar(tmp_path):
    """Renamed, laid out anew and with other comments: found. The skeleton that all have does not count."""
    path = "kern/boot/serial.c"
    with open(os.path.join(build.ROOT, path)) as f:
        skeleton = f.read()

    made = argparse.Namespace(lab=1, allowed={path: 1}, path=lambda *p: os.path.join(tmp_path, *p),
                              skeleton=lambda: {path: skeleton.encode()})
    results = []
    for name, text in (("ann", ANNS), ("bob", BOBS), ("carl", CARLS), ("dora", "")):
        folder = tmp_path / "units" / name / "taken"
        folder.mkdir(parents=True)
        (folder / path.replace("/", "+")).write_text(skeleton + text)
        results.append({"id": name, "name": name.title(), "changed": [path]})
    found = similar.pairs(made, results)
    assert [(p["a"], p["b"]) for p in found] == [("ann", "bob")], found
    assert min(found[0]["percent"], found[0]["back"]) >= 80 and found[0]["files"] == [path]


# ---------------------------------------------------------------- the command

def test_mistakes_of_the_instructor(tmp_path):
    """Each is one line, and no traceback."""
    (tmp_path / "a").mkdir()
    for words, says in (([str(tmp_path / "none"), str(tmp_path / "o")], "SUBMISSIONS"),
                        ([str(tmp_path), str(tmp_path / "o"), "--lab", "77"],
                        "no such lab"), (["", ""], "make grade-class SUBMISSIONS="),
                        ([str(tmp_path), str(tmp_path / "o"), "--hidden", "/nowhere"], "HIDDEN")):
        p = subprocess.run([sys.executable, "-B", "-m", "grade.instructor.classrun", *words, "--build",
                            build.BUILD], cwd=build.ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert p.returncode and "Traceback" not in p.stdout and (says in p.stdout or box.check()), p.stdout
    with pytest.raises(CourseError):
        Course(str(tmp_path))
