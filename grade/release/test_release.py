"""The students' repository: what is taken out is out, what is put back fits, and the branches are what they should be.

What needs a build or a run is in test_release_runs.py.
"""

import ast
import os
import re
import subprocess
import sys

import pytest

from grade.eclipse import build

pytest.importorskip("clang.cindex", reason="python3-clang is missing: make setup")

from grade.release import hidden, manifest, source, write  # noqa: E402
from grade.release import tree as trees  # noqa: E402
from grade.release.sample import ALL, RUN, code, comments, flags, git, paths, repo, runs, stripped, tree  # noqa: E402

# Tokens on end that a body may have in common with given code ("kern": about four lines), with what only the host's
# tools say, which know the same disk, and with what only tests and observers say, which must not repeat what they try.
LONGEST = {"kern": 35, "host": 17, "test": 12}
SHARE = 0.45         # and at most so much of its runs with all of them together
pytestmark = pytest.mark.xdist_group("release")


# ---------------------------------------------------------------- lab.toml and the handouts

@pytest.mark.parametrize("lab", ALL)
def test_manifest(lab):
    """6 to 12 exercises, each with a hint, each function with a comment that says what to do."""
    m = tree().manifests[lab]
    assert 6 <= len(m.exercises) <= 12
    assert all(e.get("hint") for e in m.exercises), "an exercise without a hint"
    silent = [n for path, (names, _) in m.by_file().items() for n in names if not tree().source(path).comment(n)]
    assert not silent, f"no comment above {silent}: it is the text of the exercise"


@pytest.mark.parametrize("lab", ALL)
def test_handout(lab):
    """A handout has its parts, names every exercise in the order of lab.toml, and repeats no comment of the source."""
    m = tree().manifests[lab]
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
    for path, (names, helpers) in m.by_file().items():
        spoken = [h for h in helpers if re.search(rf"\b{h}\b", text)]
        assert not spoken, f"the handout speaks of {spoken}, which is not given"
        for n in names:
            c = re.sub(r"[^a-z0-9_]+", " ", tree().source(path).comment(n).lower()).split()
            same = [" ".join(c[i:i + 9]) for i in range(len(c) - 8) if " ".join(c[i:i + 9]) in words]
            assert not same, f"the handout repeats the comment of {n}: {same[0]}"


@pytest.mark.parametrize("lab", [n for n, m in manifest.all_manifests().items() if m.naive()])
def test_handout_tells_of_naive_starts(lab):
    m = manifest.all_manifests()[lab]
    with open(os.path.join(build.ROOT, m.folder, "README.md")) as f:
        exercises = re.split(r"(?m)^(?=\d+\. )", f.read())
    for name in m.naive():
        mine = [e for e in exercises if f"`{name}`" in e and re.match(r"\d", e)]
        assert mine and re.search(r"\bstarts?\b", mine[0]), f"{m.folder}/README.md does not say where {name} starts"


def test_entries_that_match_nothing_are_errors():
    path = next(iter(tree().edits))
    s = tree().source(path)
    for names, helpers in ((["no_such_function"], []), ([], ["no_such_helper"])):
        with pytest.raises(source.ReleaseError, match="no_such"):
            s.edits(names, helpers, 1, "labs/x")
    name = next(iter(s.functions))
    with pytest.raises(source.ReleaseError, match="it should read"):
        s.edits([name], [], 1, "labs/x", {name: "int\nsomething_else(void)\n{\n}\n"})
    with pytest.raises(source.ReleaseError, match="exists already"):
        write.Repository(build.ROOT)
    with pytest.raises(source.ReleaseError, match="range"):
        write.lab_range("nine", ALL)


def test_nothing_marks_the_solved_tree():
    """The kernel's only lab_todo are its declaration and its definition; no #if asks for a lab or a solution."""
    t = tree()
    sources = {p: t.solved(p) for p in t.lab_of if p.startswith(("kern/", "fs/")) and p.endswith((".c", ".h", ".S"))}
    assert {p for p, data in sources.items() if b"lab_todo" in data} == {"kern/boot/print.h", "kern/boot/panic.c"}
    marked = [p for p, data in sources.items()
              if re.search(rb"(?mi)^\s*#\s*(el)?if.*\b(lab|solution|student|release)", data)]
    assert not marked


# ---------------------------------------------------------------- what goes out at all

def test_only_what_is_allowed_goes_out():
    """The allow-list, seen from both ends: every file of every branch is on it; what is the instructor's is not."""
    ours = trees.tracked()
    private = r"(^|/)(mutants|naive|release|crash|instructor|checks|host/test|bench)/|\.patch$"
    secret = [p for p in ours if re.search(private, p)
              and not p.startswith(("lib/", "user/", "fs/"))]
    for part in ("/mutants/", "/naive/", "grade/release/"):
        assert any(part in p for p in secret), f"nothing of {part} is in this tree: is this the right place?"
    laid = set(tree().laid_over())
    for branch in git(repo(), "for-each-ref", "--format=%(refname:short)", text=True).split():
        out = set(paths(repo(), branch))
        assert not out & (set(secret) - laid), branch
        assert not {p for p in out - laid if not trees.allowed(p)}, branch
        assert not {p for p in out if re.search(r"mutant|naive|\.patch$|instructor|\.(o|elf|img|cpio|pyc)$", p)}, branch


def test_whole_patches_are_nowhere():
    out = [git(repo(), "show", f"lab{max(ALL)}:{p}") for p in paths(repo(), f"lab{max(ALL)}")]
    assert not [data for data in out if re.search(rb"(?m)^--- a/(kern|fs|lib)/", data)]


def test_every_object_belongs_to_a_branch():
    """Nothing that was written on the way is left in the repository's store: no reflog, no loose object."""
    have = set(git(repo(), "cat-file", "--batch-all-objects", "--batch-check=%(objectname)", text=True).split())
    reached = {line.split()[0] for line in git(repo(), "rev-list", "--objects", "--branches", text=True).splitlines()}
    assert have == reached
    authors = set(git(repo(), "log", "--branches", "--format=%an %ae %cn %ce", text=True).splitlines())
    assert authors == {"Eclipse eclipse@localhost Eclipse eclipse@localhost"}


# ---------------------------------------------------------------- what is taken out

def put_back(path):
    """By another way than the edits: stubs are found by their text, and filled from the solved file."""
    t = tree()
    s, got = t.source(path), t.student(path)
    edits = t.edits[path]
    for start, end, new in reversed(edits):
        if not new:                          # a helper: back where it was
            at = start + sum(len(n) - (e - b) for b, e, n in edits if e <= start)
            got = got[:at] + s.bytes[start:end] + got[at:]
    m = t.manifests[t.lab_of[path]]
    naive = m.naive()
    for name in m.by_file()[path][0]:
        body = s.text(*s.functions[name].body).encode()
        if name in naive:
            start = "{" + naive[name].partition("\n{")[2].rstrip()
            assert got.count(start.encode()) == 1, f"{path}: {name} does not start as {m.folder}/naive/{name}.c says"
            got = got.replace(start.encode(), body)
            continue
        stub = re.search(rb"\b" + name.encode() + rb"\([^{;]*\n(\{\n\tlab_todo\([^{}]*\);\n\})", got)
        assert stub and f'lab_todo({m.number}, "{name}", "{m.folder}"'.encode() in stub[1], f"{path}: no stub of {name}"
        got = got[:stub.start(1)] + body + got[stub.end(1):]
    if b'#include "kern/boot/print.h"\n' not in s.bytes:
        got = got.replace(b'#include "kern/boot/print.h"\n', b"", 1)
    return got


def test_bodies_put_back_give_the_solved_tree():
    """Every file of the release is the solved tree's, byte for byte, once the bodies are back."""
    t, last = tree(), f"lab{max(ALL)}"
    for path in paths(repo(), last):
        if path in t.laid_over():
            continue
        out = git(repo(), "show", f"{last}:{path}")
        if path in t.edits:
            assert out == t.student(path), path
            out = put_back(path)
        if path in t.always or path.startswith("labs/"):     # tests that are kept back: test_kept_back
            assert out == t.solved(path), path
        else:
            with open(os.path.join(build.ROOT, path), "rb") as f:
                assert out == f.read(), path


def kind_of(path):
    """What sort of code a given file is, as LONGEST tells them apart."""
    if re.search(r"(^|/)(test_|observe_)|^user/tests/", path):
        return "test"
    return "host" if path.startswith("fs/eclipsefs/host/") else "kern"


def released_text():
    """(runs of prose {run: path}, {kind: runs of the code that is given}): of the release's last branch."""
    t, last = tree(), f"lab{max(ALL)}"
    prose, given = {}, {k: set() for k in LONGEST}
    mine = {}
    for _, path, _, text in stripped(t):
        mine.setdefault(path, []).append(text)
    for path in paths(repo(), last):
        text = git(repo(), "show", f"{last}:{path}").decode(errors="replace")
        c = path.endswith((".c", ".h", ".S", ".sh"))
        prose.update(dict.fromkeys(runs(comments(text) if c else text), path))
        if c and path not in t.edits and path not in t.laid_over():
            given[kind_of(path)].update(runs(code(text)))
    for path in t.edits:                     # of a file with exercises, what the solved one has outside of them
        text = t.source(path).bytes.decode()
        for body in mine[path]:
            text = text.replace(body, " ;;;;;;;; ")
        given[kind_of(path)].update(runs(code(text)))
    return prose, given


def longest(found):
    """The tokens of the longest stretch of runs for which `found` is true."""
    n = max((len(s) for s in "".join(" x"[f] for f in found).split()), default=0)
    return n + RUN - 1 if n else 0


def test_no_body_is_left():
    """No run of 8 tokens of what is stripped is anywhere in the release.

    The one exception: runs that the solved tree has in given C code, too, outside of all that is stripped. (`for
    (i = 0; i < n; i++) {` is in many places.) Not in comments, handouts, judges or stubs; and of no body is so much to
    be found that it could be put together: see LONGEST and SHARE. A naive version is given code of its function.
    """
    t = tree()
    prose, given = released_text()
    anywhere, everywhere = set().union(*given.values()), set()
    only = {k: given[k].difference(*(given[o] for o in list(LONGEST)[:i])) for i, k in enumerate(LONGEST)}
    for path in t.edits:
        everywhere |= set(runs(code(t.student(path).decode())))
    for lab, path, name, text in stripped(t):
        mine = runs(code(text))
        told = [f"{prose[r]}: {' '.join(r)}" for r in mine if r in prose]
        assert not told, f"{name} of {path}: {told[0]}"
        naive = set(runs(code(t.manifests[lab].naive().get(name, ""))))
        left = [r for r in mine if r in everywhere and r not in anywhere and r not in naive]
        assert not left, f"{name} of {path} is left in the students' files: {' '.join(left[0])}"
        again = sum(r in anywhere for r in mine)
        assert again <= SHARE * max(len(mine), 12), f"{again} of {len(mine)} runs of {name} are in given code, too"
        for kind, most in LONGEST.items():
            n = longest([r in only[kind] for r in mine])
            assert n <= most, f"{n} tokens on end of {name} are in given code ({kind}), too"


def test_helpers_are_named_nowhere():
    """What only the solution has, no file of the release knows by name."""
    t, last = tree(), f"lab{max(ALL)}"
    names = {h for m in t.manifests.values() for _, helpers in m.by_file().values() for h in helpers}
    assert names
    for path in paths(repo(), last):
        found = names & set(re.findall(r"\w+", git(repo(), "show", f"{last}:{path}").decode(errors="replace")))
        assert not found, f"{path} speaks of {found}"


def test_comments_inside_bodies_are_gone():
    t = tree()
    for _, path, name, text in stripped(t):
        for said in re.findall(r"/\*.*?\*/", text, re.S):
            if len(said.split()) > 4:        # `/* fall through */` is nobody's
                assert said.encode() not in t.student(path), f"{name} of {path}: {said}"


def test_solutions_are_not_in_the_history():
    """Nothing that branch labN leads to holds a solved file of its labs."""
    blobs = set(git(repo(), "rev-list", "--objects", *(f"lab{n}" for n in ALL), text=True).split())
    for path in tree().edits:
        blob = git(repo(), "hash-object", os.path.join(build.ROOT, path), text=True).strip()
        assert blob not in blobs, path


# ---------------------------------------------------------------- make release

def test_make_release(tmp_path):
    """From the outside: the repository is there, or a line says why not."""
    dest = tmp_path / "our course"
    status, said = build.make("release", f"DEST={dest}", f"LABS={ALL[0]}-{ALL[1]}", "SEED=2027")
    assert status == 0 and f"branches lab{ALL[0]} to lab{ALL[1]}" in said, said
    assert (dest / "labs").is_dir() and git(str(dest), "status", "--porcelain") == b""
    status, said = build.make("release")
    assert status != 0 and "make release DEST=dir" in said
    new = tmp_path / "x"
    for where, text, want in ((dest, "", "exists already"), (new, "nine", "range"), (new, "90-99", "no such lab")):
        with pytest.raises(source.ReleaseError, match=want):
            write.release(str(where), text, tree=tree())
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- branches

def test_branches_only_add_files():
    for a, b in zip(ALL, ALL[1:]):
        kinds = {line[0] for line in git(repo(), "diff", "--name-status", f"lab{a}", f"lab{b}", text=True).splitlines()}
        assert kinds == {"A"}, f"lab{a}..lab{b}: {kinds}"
        assert git(repo(), "merge-base", f"lab{a}", f"lab{b}") == git(repo(), "rev-parse", f"lab{a}")
    assert len(git(repo(), "rev-list", f"lab{max(ALL)}", text=True).split()) == len(ALL)


def test_starts_are_solved_before_their_lab():
    t = tree()
    for n in ALL[1:]:
        changed = set(git(repo(), "diff", "--name-only", f"lab{n}", f"lab{n}-start", text=True).split())
        assert changed == {p for p in t.edits if t.lab_of[p] < n}
        for path in t.edits:
            if (lab := t.lab_of[path]) <= n:
                want = t.solved(path) if lab < n else t.student(path)
                assert git(repo(), "show", f"lab{n}-start:{path}") == want, f"lab{n}-start: {path}"


def test_a_range_of_labs(tmp_path):
    """LABS=3-5: the labs before are given, those after are not there, and a seed changes nothing but the tests."""
    low, high = ALL[2], ALL[4]
    dest = str(tmp_path / "r")
    assert write.release(dest, f"{low}-{high}", tree=tree()) == ALL[2:5]
    branches = git(dest, "for-each-ref", "--format=%(refname:short)", text=True).split()
    assert sorted(branches) == sorted([f"lab{n}" for n in ALL[2:5]] + [f"lab{n}-start" for n in ALL[3:5]])
    t, out = tree(), paths(dest, f"lab{high}")
    assert {t.lab_of[p] for p in out if p in t.lab_of} == set(ALL[:5])
    for path in t.edits:
        if (lab := t.lab_of[path]) <= high:
            want = t.solved(path) if lab < low else t.student(path)
            assert git(dest, "show", f"lab{high}:{path}") == want, path


def test_the_same_again_to_the_last_bit(tmp_path):
    """Two runs at once, whose sets come in different orders, make the same commits."""
    both = [(str(tmp_path / seed), dict(os.environ, PYTHONHASHSEED=seed)) for seed in "12"]
    running = [subprocess.Popen([sys.executable, "-m", "grade.release.write", dest, "--flags", flags(), "--seed", "7"],
                                cwd=build.ROOT, env=env, stdout=subprocess.PIPE) for dest, env in both]
    assert all("branches lab" in p.communicate()[0].decode() and p.returncode == 0 for p in running)
    one, two = [git(dest, "for-each-ref", "--format=%(refname:short) %(objectname)") for dest, _ in both]
    assert one == two


# ---------------------------------------------------------------- tests that are kept back

JUDGES = '''"""Judges."""

import re

WORD = "both"
LIMIT = 5


def helper(x):
    return re.sub(WORD, "", x)


# Only for one.
def secret(run):
    return helper(str(LIMIT)), run.observe("secret_look")


def test_open(run):
    assert run.observe("open_look") == helper("x")


@pytest.mark.slow
def test_secret(run):
    assert secret(run)


def test_last(run):
    run.program("last")
'''
OBSERVERS = '''#include "kern/boot/observe.h"

/* For both. */
static int
both(int x)
{
	return x + 1;
}

static int table[4];

/* For the secret one. */
static int
deep(int x)
{
	return both(x) + table[x];
}

OBSERVE(1, open_look)
{
	observe("%d", both(1));
}

/* Hush. */
OBSERVE(1, secret_look)
{
	observe("%d", deep(1));
}

OBSERVE(1, third)
{
	observe("x");
}
'''


def test_kept_back():
    """A judge that is kept back goes with its helpers, its observer with its own; nothing else changes."""
    text = hidden.python_without(JUDGES, {"secret"})
    ast.parse(text)
    assert all(w not in text for w in ("secret", "LIMIT", "Only for one", "slow"))
    assert all(w in text for w in ("def helper", "WORD", "import re", "def test_open", "def test_last"))
    assert hidden.python_without(JUDGES, {"none_of_these"}) == JUDGES
    assert hidden.names_gone([(1, JUDGES)], {1: {"secret"}}) == {"secret_look"}


def test_kept_back_observer(tmp_path, monkeypatch):
    path = "kern/boot/observe_example.c"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(OBSERVERS)
    for folder in ("lib", "kern/boot"):
        for name in os.listdir(os.path.join(build.ROOT, folder)):
            if not (tmp_path / folder / name).exists():
                (tmp_path / folder).mkdir(exist_ok=True)
                os.symlink(os.path.join(build.ROOT, folder, name), tmp_path / folder / name)
    monkeypatch.setattr(source, "ROOT", str(tmp_path))
    s = source.Source(path, flags())
    text = source.apply(s.bytes, hidden.observer_edits(s, {"secret_look"})).decode()
    assert all(w not in text for w in ("secret", "deep", "table", "Hush"))
    want = OBSERVERS
    for first, last in (("static int table", "OBSERVE(1, open"), ("/* Hush", "OBSERVE(1, third")):
        want = want[:want.index(first)] + want[want.index(last):]
    assert text == want
    assert hidden.observer_edits(s, {"something_else"}) == []


def test_pools_and_seeds(monkeypatch):
    """Of a pool a seed keeps one test back, another seed another; nothing may need or name what may be kept back."""
    m = manifest.Manifest(tree().manifests[1].lab)
    m.tests = [{"name": n, "points": 1, "pool": "p"} for n in "abcd"]
    m.tests += [{"name": "h", "hidden": True}, {"name": "free"}]
    kept = {seed: m.kept_back(seed) for seed in map(str, range(20))}
    assert all(len(k) == 2 and "h" in k and "free" not in k for k in kept.values())
    assert len({frozenset(k) for k in kept.values()}) == 4 and kept["3"] == m.kept_back("3")
    assert m.kept_back("") == {"h"}
    hidden.check(m, "run make grade")
    m.text = 'title = "x"\n\n[[exercise]]\nfunctions = ["f"]\nhelpers = ["g",\n  "h"]\nnaive = ["f"]\n\n' \
             '[[test]]\nname = "a"\npool = "p"\npoints = 1\n\n' \
             '[[test]]\nname = "h"\nhidden = true\n[test.hints_by_class]\nwrong = "y"\n'
    assert m.for_students({"h"}) == 'title = "x"\n\n[[exercise]]\nfunctions = ["f"]\n\n' \
                                    '[[test]]\nname = "a"\npoints = 1\n\n'
    with pytest.raises(source.ReleaseError, match="kept back"):
        hidden.check(m, "run make grade TEST=a")
    m.tests.append({"name": "z", "needs": ["h"]})
    with pytest.raises(source.ReleaseError, match="kept back"):
        hidden.check(m, "")
    m.tests[-1] = {"name": "z", "points": 2, "pool": "p"}
    with pytest.raises(source.ReleaseError, match="worth the same"):
        hidden.check(m, "")


def test_handout_without():
    text = "1. **One.** `f`. Graded: a, b_c, and later d.\n2. **Two.** Test: `x`.\n   Graded: e.\n" \
           "3. **Three.** Graded, once it\n   runs: `g`, h.\n"
    want = {"a": "Graded: b_c, and later d.", "b_c": "Graded: a, and later d.", "d": "Graded: a, b_c.",
            "e": "Test: `x`.\n3.",
            "g": "runs: h.\n", "h": "runs: `g`.\n", "x": "Test: `x`."}
    for name, part in want.items():
        assert part in hidden.handout_without(text, {name}), name


def test_what_is_kept_back_is_in_no_branch(tmp_path):
    """A release with a seed: of the tests that it keeps back there is no trace, and all else is as without the seed."""
    t, where = tree("2027"), str(tmp_path / "seeded")
    write.release(where, tree=t)
    assert any(t.kept_back.values())
    last = f"lab{max(ALL)}"
    odd = {p for p in t.lab_of if p.startswith("labs/") or p in t.always}
    gone = set(paths(repo(), last)) - set(paths(where, last))
    assert all(p.startswith("user/tests/") for p in gone) and not set(paths(where, last)) - set(paths(repo(), last))
    for path in set(paths(where, last)) - odd:
        assert git(where, "rev-parse", f"{last}:{path}") == git(repo(), "rev-parse", f"{last}:{path}"), path
    judges = {m.number: [p for p in t.files_of(m.number) if p.startswith(m.folder) and p.endswith(".py")]
              for m in t.manifests.values()}
    for n, kept in t.kept_back.items():
        for branch in (f"lab{n}", f"lab{max(ALL)}-start"):
            for path in [f"{t.manifests[n].folder}/{name}" for name in ("lab.toml", "README.md")] + judges[n]:
                text = git(where, "show", f"{branch}:{path}", text=True)
                assert not [k for k in kept if re.search(rf"\b(test_)?{k}\b", text)], f"{branch}: {path}"
    for path in (p for ps in judges.values() for p in ps):
        ast.parse(t.solved(path))


# ---------------------------------------------------------------- make next-lab

def next_lab(where, **env):
    who = {f"GIT_{who}_{what}": "s@s" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    p = subprocess.run(["sh", "grade/release/next_lab.sh"], cwd=where, env={**os.environ, **who, **env},
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


@pytest.fixture
def mine(tmp_path):
    where = str(tmp_path / "mine")
    subprocess.run(["git", "clone", "-q", "-b", "lab1", repo(), where], check=True)
    for key in ("name", "email"):
        git(where, "config", f"user.{key}", "s")
    return where


def write_file(where, path, text):
    with open(os.path.join(where, path), "a") as f:
        f.write(text)


def test_next_lab_wants_a_clean_tree(mine):
    write_file(mine, "kern/boot/serial.c", "\n/* mine */\n")
    write_file(mine, "untracked.txt", "does not matter\n")
    status, said = next_lab(mine)
    assert status == 1 and "not committed" in said and "git commit" in said
    git(mine, "commit", "-q", "-a", "-m", "mine")
    status, said = next_lab(mine)
    assert status == 0 and "lab 2 is here: read labs/02-memory/README.md" in said
    assert git(mine, "diff", "--name-only", "origin/lab2", "HEAD", text=True).split() == ["kern/boot/serial.c"]


def test_next_lab_does_not_merge_into_a_merge(mine):
    git(mine, "checkout", "-q", "-b", "a")
    write_file(mine, "README.md", "a\n")
    git(mine, "commit", "-q", "-a", "-m", "a")
    git(mine, "checkout", "-q", "-b", "b", "lab1")
    write_file(mine, "README.md", "b\n")
    git(mine, "commit", "-q", "-a", "-m", "b")
    subprocess.run(["git", "-C", mine, "merge", "-q", "a"], stdout=subprocess.DEVNULL)
    status, said = next_lab(mine)
    assert status == 1 and "merge is not finished" in said and "git merge --abort" in said
    git(mine, "merge", "--abort")
    git(mine, "checkout", "-q", "--detach")
    status, said = next_lab(mine)
    assert status == 1 and "no branch" in said


def test_next_lab_and_a_file_of_the_same_name(mine):
    """Committed or not: the student is told which file it is, and nothing has changed."""
    taken = next(p for p in paths(repo(), "lab2") if p not in paths(repo(), "lab1"))
    os.makedirs(os.path.dirname(os.path.join(mine, taken)), exist_ok=True)
    write_file(mine, taken, "mine\n")
    status, said = next_lab(mine)
    assert status == 1 and taken in said
    git(mine, "add", "-A")
    git(mine, "commit", "-q", "-m", "mine")
    head = git(mine, "rev-parse", "HEAD")
    status, said = next_lab(mine)
    assert status == 1 and taken in said and "git mv" in said
    assert git(mine, "rev-parse", "HEAD") == head and not git(mine, "status", "--porcelain")
    git(mine, "mv", taken, "elsewhere.c")
    git(mine, "commit", "-q", "-m", "moved")
    assert next_lab(mine)[0] == 0


def test_next_lab_without_a_remote(mine):
    git(mine, "remote", "remove", "origin")
    status, said = next_lab(mine)
    assert status == 1 and "git remote add" in said
    git(mine, "remote", "add", "course", repo() + "-is-away")
    status, said = next_lab(mine)
    assert status == 0 and "cannot be reached" in said and "last one that has been handed out" in said
    git(mine, "remote", "set-url", "course", repo())
    assert next_lab(mine)[0] == 0


def test_next_lab_goes_to_the_end(mine):
    """Also with a branch of one's own called lab3, which is no lab, and none skipped."""
    git(mine, "branch", "lab3", "lab1")
    for n in ALL[1:]:
        status, said = next_lab(mine)
        assert status == 0 and f"lab {n} is here" in said, said
        write_file(mine, f"note{n}", "x\n")
        git(mine, "add", "-A")
        git(mine, "commit", "-q", "-m", f"note {n}")
    status, said = next_lab(mine)
    assert status == 0 and "last one" in said


def test_next_lab_from_a_start(mine):
    """Who was rescued by labN-start goes on in the same way."""
    if len(ALL) > 4:
        git(mine, "checkout", "-q", "-b", "rescue", f"origin/lab{ALL[3]}-start")
        status, said = next_lab(mine)
        assert status == 0 and f"lab {ALL[4]} is here" in said
