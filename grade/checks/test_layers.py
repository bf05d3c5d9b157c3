"""The dependency order is the syllabus: proved on the objects and on the includes, for every lab."""

import functools
import os
import re
import subprocess

import pytest

from grade.eclipse import build, labs

GENERATED = {"labinfo", "nlabinfo", "ksyms", "nksyms", "ksym_names", "font8x16", "font_nglyphs"}
NM = os.environ.get("NM", "nm")
LD = os.environ.get("LD", "ld")


def object_of(source):
    return build.need(build.path("obj", os.path.splitext(source)[0] + ".o"))


def compiled(files):
    return [(n, f) for n, f in files if f.endswith((".c", ".S"))]


def linker_script_symbols():
    names = set()
    for _, f in labs.ordered_files():
        if f.endswith(".lds"):
            text = re.sub(r"/\*.*?\*/", "", open(os.path.join(build.ROOT, f)).read(), flags=re.S)
            names |= set(re.findall(r"(?:PROVIDE(?:_HIDDEN)?\s*\(\s*)?([A-Za-z_]\w*)\s*=[^=]", text))
    return names


@functools.lru_cache(maxsize=None)
def symbols(path):
    """(defined, undefined) global symbols of an object or a relocatable link."""
    defined, undefined = set(), set()
    out = subprocess.run([NM, "-g", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        (undefined if kind in "Uwv" else defined).add(name)
    return defined, undefined


@pytest.fixture(scope="module")
def graph():
    """{source: (position, lab, defined, undefined)}"""
    return {f: (i, n, *symbols(object_of(f))) for i, (n, f) in enumerate(compiled(labs.ordered_files()))}


@pytest.mark.parametrize("n", labs.numbers())
def test_labs_link_alone(n, tmp_path):
    """`ld -r` of labs 1..n has no undefined symbol but those that the linker script defines."""
    objects = [object_of(f) for _, f in compiled(labs.ordered_files(n))]
    assert objects, f"no source is listed in labs 1..{n}"
    out = str(tmp_path / "all.o")
    subprocess.run([LD, "-r", "-o", out, *objects], check=True)
    missing = symbols(out)[1] - linker_script_symbols() - GENERATED
    users = {s: [f for _, f in compiled(labs.ordered_files(n)) if s in symbols(object_of(f))[1]] for s in sorted(missing)}
    assert not missing, f"labs 1..{n} use what no file of theirs defines: {users}"


def test_calls_go_down(graph):
    """A file references only symbols of files earlier in the lists."""
    assert graph, "no source is listed"
    home = {s: f for f, (_, _, defined, _) in graph.items() for s in defined}
    upward = [f"{f} (lab {lab}) uses {s} of {home[s]} (lab {graph[home[s]][1]})"
              for f, (i, lab, _, undefined) in graph.items() for s in sorted(undefined)
              if s in home and graph[home[s]][0] > i]
    assert not upward, "references to later files:\n" + "\n".join(upward)


def test_largest_knot_is_one_file(graph):
    """The strongly connected components of the reference graph all have size one (Tarjan)."""
    home = {s: f for f, (_, _, defined, _) in graph.items() for s in defined}
    edges = {f: {home[s] for s in undefined if s in home and home[s] != f} for f, (_, _, _, undefined) in graph.items()}
    index, low, stack, on, knots = {}, {}, [], set(), []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        on.add(v)
        for w in edges[v]:
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            knot = []
            while True:
                w = stack.pop()
                on.discard(w)
                knot.append(w)
                if w == v:
                    break
            knots.append(knot)

    for v in edges:
        if v not in index:
            visit(v)
    assert graph, "no source is listed"
    assert max(map(len, knots)) == 1, f"cyclic knots: {[sorted(k) for k in knots if len(k) > 1]}"


def included(source):
    """Headers of this tree that a source includes, at any depth: what the compiler said."""
    text = open(build.need(object_of(source)[:-2] + ".d")).read().replace("\\\n", " ")
    words = text.partition(":")[2].split("\n")[0].split()
    return [os.path.normpath(w) for w in words if w.endswith(".h") and not os.path.isabs(w)]


def test_includes_go_down():
    """No file includes a header of a later lab, or a kernel header that no list names."""
    lab_of = {f: n for n, f in labs.ordered_files()}
    bad = []
    assert compiled(labs.ordered_files()), "no source is listed"
    for n, f in compiled(labs.ordered_files()):
        for h in included(f):
            if h in lab_of:
                if lab_of[h] > n:
                    bad.append(f"{f} (lab {n}) includes {h} (lab {lab_of[h]})")
            elif not h.startswith("lib/"):
                bad.append(f"{f} includes {h}, which no list names")
    assert not bad, "\n".join(bad)


def test_a_header_needs_only_earlier_labs():
    """A header's own includes are of its lab or lower: checked in the text, whoever includes it."""
    lab_of = {f: n for n, f in labs.ordered_files()}
    bad = []
    for f, n in lab_of.items():
        text = open(os.path.join(build.ROOT, f)).read()
        for h in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            if h in lab_of and lab_of[h] > n:
                bad.append(f"{f} (lab {n}) includes {h} (lab {lab_of[h]})")
            if h.startswith(("kern/", "fs/")) and h not in lab_of:
                bad.append(f"{f} includes {h}, which no list names")
    assert not bad, "\n".join(bad)


def test_lists_and_tree_agree():
    """Every listed file exists, once, with half a line on it; every kernel and file-system source is listed."""
    listed = [f for _, f in labs.ordered_files()]
    for path in build.sources("labs/*/files.san"):                   # the same for what SAN=1 adds
        with open(os.path.join(build.ROOT, path)) as f:
            listed += [line.split()[0] for line in f if line.strip() and not line.startswith("#")]
    assert len(listed) == len(set(listed)), "listed twice: " + " ".join(sorted({f for f in listed if listed.count(f) > 1}))
    gone = [f for f in listed if not os.path.exists(os.path.join(build.ROOT, f))]
    assert not gone, f"listed but not there: {gone}"
    silent = [f for lab in labs.all_labs() for f, about in lab.files if not about]
    assert not silent, f"listed without half a line on what they are: {silent}"
    there = build.sources("kern/**/*.[chS]", "kern/**/*.lds", "fs/**/*.[chS]")
    unlisted = [f for f in there if f not in listed and not f.startswith("fs/eclipsefs/host/")]
    assert not unlisted, f"there but in no list: {unlisted}"
    assert len(listed) > len(labs.numbers()), "the lists are empty"


def test_every_lock_has_a_rank():
    """Every spinlock and mutex is made with a rank; acquiring one asserts it."""
    bad, seen = [], 0
    for f in build.sources("kern/**/*.c", "fs/**/*.c"):
        if f.startswith("fs/eclipsefs/host/"):
            continue
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), open(os.path.join(build.ROOT, f)).read(), flags=re.S)
        for m in re.finditer(r"\b(SPINLOCK|MUTEX|spin_init|mutex_init)\s*\(([^;]*?)\)\s*[;,}]", text, re.S):
            if m[1].endswith("_init") and re.search(r"^\s*(void|int)\b", text[text.rfind("\n", 0, m.start()) + 1:m.start()]):
                continue
            seen += 1
            if not re.search(r"\bRANK\b|_RANK\b|\bRANK_|\brank\b", m[2]):
                bad.append(f"{f}:{text[:m.start()].count(chr(10)) + 1}: {m[0][:80]}")
    assert seen, "no lock found at all"
    assert not bad, "locks without a rank:\n" + "\n".join(bad)
    spin = open(os.path.join(build.ROOT, "kern/boot/spinlock.c")).read()
    assert re.search(r"assert\w*\([^;]*rank", spin) or re.search(r"rank[^;{]*\)\s*\n?\s*panic|panic\([^;]*rank", spin), \
        "spin_lock asserts no rank"


def test_no_conditional_compilation():
    """Variation is which file is linked: no #ifdef in kernel and file-system code but header guards and compiler features."""
    bad = []
    for f in build.sources("kern/**/*.[chS]", "fs/**/*.[ch]"):
        if f.startswith("fs/eclipsefs/host/"):
            continue
        lines = open(os.path.join(build.ROOT, f)).read().splitlines()
        for i, line in enumerate(lines, 1):
            if re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line) and not re.match(r"#ifndef [A-Z_0-9]+_H_?$", line) \
                    and "__ASSEMBLER__" not in line and "__has_attribute" not in line:
                bad.append(f"{f}:{i}: {line.strip()}")
    assert not bad, "\n".join(bad)
