"""The students' repository: what is taken out is out, what is put back fits, and each lab's skeleton builds and boots.

`make test` builds and boots two labs and looks at all; `make release-check` builds and boots all.
"""

import os
import re
import subprocess

import pytest

from grade.eclipse import build, labs, usertests
from grade.eclipse.qemu import STATUS_PANIC, Machine
from grade.labs.test_ktest import ktests

cindex = pytest.importorskip("clang.cindex", reason="python3-clang is missing: make setup")

from grade.release import source, write  # noqa: E402
from grade.release.tree import Tree  # noqa: E402

ALL = labs.numbers()
BOOTED = ALL if os.environ.get("ECLIPSE_RELEASE") == "all" else [n for n in (1, 5) if n in ALL]
RUN = 8                                      # tokens
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\d\w*|->|<<=?|>>=?|&&|\|\|'
                   r"|[-+*/%&|^=!<>]=|\+\+|--|\S", re.S)
pytestmark = pytest.mark.xdist_group("release")


def flags():
    name = build.path("flags.kernel")
    return open(name).read() if os.path.exists(name) else source.default_flags()


@pytest.fixture(scope="module")
def tree():
    return Tree(flags())


@pytest.fixture(scope="module")
def repo(tree, tmp_path_factory):
    dest = str(tmp_path_factory.mktemp("release") / "students")
    write.release(dest, tree=tree)
    return dest


def git(repo, *words, **more):
    return subprocess.run(["git", "-C", repo, *words], stdout=subprocess.PIPE, check=True, **more).stdout


def checkout(repo, branch, to):
    """The branch's files in `to`; those that are the solved tree's are as old as they are there."""
    os.makedirs(to)
    subprocess.run(["tar", "-x", "-m", "-C", to], input=git(repo, "archive", branch), check=True)
    for path in git(repo, "ls-tree", "-r", "--name-only", branch, text=True).splitlines():
        ours, theirs = os.path.join(build.ROOT, path), os.path.join(to, path)
        if os.path.exists(ours) and open(ours, "rb").read() == open(theirs, "rb").read():
            os.utime(theirs, (os.path.getmtime(ours),) * 2)
    return to


def tokens(text):
    return [t for t in TOKEN.findall(text) if not t.startswith(("/*", "//"))]


def runs(text):
    t = tokens(text)
    return [tuple(t[i:i + RUN]) for i in range(len(t) - RUN + 1)]


def says_something(run):
    """`i = 0 ; i < n ;` is in many texts; a run with three real names in it is from somewhere."""
    return len({t for t in run if len(t) > 2 and t.isidentifier()}) >= 3


def bodies(tree):
    """(lab, path, function, body's text) of all exercises."""
    for n, m in tree.manifests.items():
        for path, (names, _) in m.by_file().items():
            s = tree.sources[path]
            for name in names:
                yield n, path, name, s.text(*s.functions[name].body)


# ---------------------------------------------------------------- lab.toml and the handouts

@pytest.mark.parametrize("lab", ALL)
def test_manifest(tree, lab):
    """6 to 12 exercises, each function with a comment that says what to do; the tests exist, their points add up to 100."""
    m = tree.manifests[lab]
    assert 6 <= len(m.exercises) <= 12
    assert all(e.get("hint") for e in m.exercises), "an exercise without a hint"
    silent = [n for path, (names, _) in m.by_file().items() for n in names if not tree.sources[path].comment(n)]
    assert not silent, f"no comment above {silent}: it is the text of the exercise"
    known = set(ktests().get(lab, [])) | {n for n in usertests.names() if usertests.lab_of(n) == lab}
    with open(os.path.join(build.ROOT, "grade/labs/test_lab.py")) as f:
        known |= {f"test_lab.{n}" for n in re.findall(r"^def test_(\w+)", f.read(), re.M)}
    unknown = [t["name"] for t in m.tests if t["name"] not in known]
    assert not unknown, f"tests of lab {lab} that do not exist: {unknown}"
    assert sum(t["points"] for t in m.tests) == 100


@pytest.mark.parametrize("lab", ALL)
def test_handout(tree, lab):
    """A handout has its parts, names every exercise in the order of lab.toml, and repeats no comment of the source."""
    m = tree.manifests[lab]
    with open(os.path.join(build.ROOT, m.folder, "README.md")) as f:
        text = f.read()
    for part in ("## The idea", "## Read", "## Exercises", "## Questions", "## Challenges", "## Common mistakes"):
        assert part in text, f"no part '{part}'"
    exercises = text[text.index("## Exercises"):text.index("## Questions")]
    where = [exercises.find(f"`{n}`") for n in m.functions()]
    assert -1 not in where, f"the exercises do not name {[n for n, at in zip(m.functions(), where) if at < 0]}"
    firsts = [exercises.find(f"`{e['functions'][0]}`") for e in m.exercises]
    assert firsts == sorted(firsts), "the exercises are not in the order of lab.toml"
    words = re.sub(r"[^a-z0-9_]+", " ", text.lower())
    for path, (names, _) in m.by_file().items():
        for n in names:
            c = re.sub(r"[^a-z0-9_]+", " ", tree.sources[path].comment(n).lower()).split()
            same = [" ".join(c[i:i + 9]) for i in range(len(c) - 8) if " ".join(c[i:i + 9]) in words]
            assert not same, f"the handout repeats the comment of {n}: {same[0]}"


def test_entries_that_match_nothing_are_errors(tree):
    path = next(iter(tree.edits))
    s = tree.sources[path]
    for names, helpers in ((["no_such_function"], []), ([], ["no_such_helper"])):
        with pytest.raises(source.ReleaseError, match="no_such"):
            s.edits(names, helpers, 1, "labs/x")
    with pytest.raises(source.ReleaseError, match="exists already"):
        write.Repository(build.ROOT)
    with pytest.raises(source.ReleaseError, match="range"):
        write.lab_range("nine", ALL)


def test_nothing_marks_the_solved_tree(tree):
    """The only lab_todo in the kernel's source are its declaration and its definition."""
    named = {p for p in tree.lab_of if p.endswith((".c", ".h", ".S")) and b"lab_todo" in tree.solved(p)}
    assert named == {"kern/boot/print.h", "kern/boot/panic.c"}


# ---------------------------------------------------------------- what is taken out

def test_bodies_put_back_give_the_solved_tree(tree):
    """By another way than the edits: libclang reads the student's file, and its stubs are filled from the solved one."""
    with_include = b'#include "kern/boot/print.h"\n'
    for path, edits in tree.edits.items():
        s = tree.sources[path]
        got = tree.student(path)
        for start, end, new in reversed(edits):
            if not new:                      # a helper: back where it was
                at = start + sum(len(n) - (e - b) for b, e, n in edits if e <= start)
                got = got[:at] + s.bytes[start:end] + got[at:]
        for lab, where, name, body in bodies(tree):
            if where == path:
                stub = re.search(rb"\b" + name.encode() + rb"\([^{;]*\n(\{\n\tlab_todo\([^{}]*\);\n\})", got)
                assert stub and f'lab_todo({lab}, "{name}", "labs/'.encode() in stub[1], f"{path}: no stub of {name}"
                got = got[:stub.start(1)] + body.encode() + got[stub.end(1):]
        if with_include not in s.bytes:
            got = got.replace(with_include, b"", 1)
        assert got == s.bytes, path


def test_no_body_is_left(tree, repo):
    """No run of 8 tokens of a body is in any text of the release but C, and of none is half to be found in other C code."""
    last = f"lab{max(ALL)}"
    texts = {p: git(repo, "show", f"{last}:{p}") for p in git(repo, "ls-tree", "-r", "--name-only", last, text=True).split("\n")
             if p}
    prose, code = {}, {}
    for path, data in texts.items():
        for r in runs(data.decode(errors="replace")):
            (code if path.endswith((".c", ".h", ".S", ".lds")) else prose)[r] = path
    for _, path, name, body in bodies(tree):
        mine = runs(body)
        told = [f"{prose[r]}: {' '.join(r)}" for r in mine if r in prose and says_something(r)]
        assert not told, f"{name} of {path}: {told[0]}"
        again = sum(r in code for r in mine)
        assert again * 2 <= max(len(mine), 12), f"{again} of {len(mine)} runs of {name} are in the rest of the code, too"


def test_solutions_are_not_in_the_history(tree, repo):
    """Nothing that branch labN leads to holds a solved file of its labs."""
    blobs = set(git(repo, "rev-list", "--objects", *(f"lab{n}" for n in ALL), text=True).split())
    for path in tree.edits:
        blob = git(repo, "hash-object", os.path.join(build.ROOT, path), text=True).strip()
        assert blob not in blobs, path


def test_branches_only_add_files(repo):
    for a, b in zip(ALL, ALL[1:]):
        kinds = {line[0] for line in git(repo, "diff", "--name-status", f"lab{a}", f"lab{b}", text=True).splitlines()}
        assert kinds == {"A"}, f"lab{a}..lab{b}: {kinds}"
        assert git(repo, "merge-base", f"lab{a}", f"lab{b}") == git(repo, "rev-parse", f"lab{a}")


def test_starts_are_solved_before_their_lab(tree, repo):
    for n in ALL[1:]:
        for path in tree.edits:
            lab = tree.lab_of[path]
            if lab <= n:
                want = tree.solved(path) if lab < n else tree.student(path)
                assert git(repo, "show", f"lab{n}-start:{path}") == want, f"lab{n}-start: {path}"


def test_next_lab(repo, tmp_path):
    """A student who edits and adds files goes from lab 1 to the last without a conflict."""
    mine = str(tmp_path / "mine")
    subprocess.run(["git", "clone", "-q", "-b", "lab1", repo, mine], check=True)
    run = dict(cwd=mine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    env = dict(os.environ, GIT_AUTHOR_NAME="s", GIT_AUTHOR_EMAIL="s@s", GIT_COMMITTER_NAME="s", GIT_COMMITTER_EMAIL="s@s")
    step = ["sh", "grade/release/next_lab.sh"]
    edited = os.path.join(mine, "kern/boot/serial.c")
    with open(edited, "a") as f:
        f.write("\n/* mine */\n")
    p = subprocess.run(step, env=env, **run)
    assert p.returncode == 1 and "Commit them first" in p.stdout
    subprocess.run(["git", "commit", "-q", "-a", "-m", "mine"], cwd=mine, env=env, check=True)
    for n in ALL[1:]:
        p = subprocess.run(step, env=env, **run)
        assert p.returncode == 0 and f"lab {n} is here" in p.stdout, p.stdout
    p = subprocess.run(step, env=env, **run)
    assert p.returncode == 0 and "last one" in p.stdout
    assert open(edited).read().endswith("/* mine */\n")
    assert git(mine, "diff", "--name-only", f"origin/lab{max(ALL)}", "HEAD", text=True).split() == ["kern/boot/serial.c"]


# ---------------------------------------------------------------- it builds and boots

def kernel_of(where, lab):
    """Builds the tree in `where`, with what is the same as in the solved tree taken from there."""
    out = os.path.join(where, "build")
    os.makedirs(out)
    if os.path.isdir(build.path("obj")):
        subprocess.run(["cp", "-a", build.path("obj"), build.path("flags.kernel"), out + "/"], check=True)
    make = os.environ.get("MAKE", "make").split()[0]
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run([make, "-C", where, "--no-print-directory", f"LAB={lab}", "kernel"], env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    assert p.returncode == 0 and "warning" not in p.stdout, p.stdout[-4000:]
    return os.path.join(out, f"lab-{lab}", "kernel.elf")


def stops_at(m, number, names):
    """The machine says which function is missing, and leaves."""
    said = m.expect(r"lab (\d+): (\w+) is not written yet, see (labs/[\w-]+)")
    assert int(said[1]) == number and said[2] in names, said[0]
    assert m.wait_exit() == STATUS_PANIC
    return said[2]


@pytest.mark.cost(15)
@pytest.mark.parametrize("lab", BOOTED)
def test_skeleton(tree, repo, tmp_path, lab):
    """Branch labN builds without a warning, boots, and says which function of the first lab is missing."""
    kernel = kernel_of(checkout(repo, f"lab{lab}", str(tmp_path / "t")), lab)
    with Machine(kernel=kernel, archive=build.path("test-archive.cpio")) as m:
        stops_at(m, min(ALL), tree.manifests[min(ALL)].functions())


@pytest.mark.cost(15)
@pytest.mark.parametrize("lab", [n for n in BOOTED if n != min(ALL)])
def test_start(tree, repo, tmp_path, lab):
    """Branch labN-start builds without a warning and gets as far as a function of lab N."""
    kernel = kernel_of(checkout(repo, f"lab{lab}-start", str(tmp_path / "t")), lab)
    words = f"ktest=lab{lab}" if lab in ktests() else ""
    image = build.test_image() if lab >= 6 else None
    with Machine(kernel=kernel, archive=build.path("test-archive.cpio"), append=words, image=image) as m:
        stops_at(m, lab, tree.manifests[lab].functions())
