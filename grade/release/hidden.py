"""Taking out what belongs to tests that are kept back: their judges (Python), their observers (C), their programs.

A name goes when nothing that stays needs it but something that goes did. Judges name observers and programs in strings.
"""

import ast
import re

from grade.release.source import ReleaseError


def reach(uses, roots):
    """All names that can be reached from `roots` through {name: names it uses}."""
    seen, work = set(), [r for r in roots if r in uses]
    while work:
        n = work.pop()
        if n not in seen:
            seen.add(n)
            work += [u for u in uses[n] if u in uses and u not in seen]
    return seen


def defined(node):
    """The names that a statement at the top of a Python file defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []


def python_without(text, tests):
    """A file of judges without those of `tests`, and without what only they used."""
    tree = ast.parse(text)
    tops = [(n, defined(n)) for n in tree.body]
    goes = {f"test_{t}" for t in tests}
    if not any(name in goes for _, names in tops for name in names):
        return text
    uses = {}
    for node, names in tops:
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        used |= {a.arg for n in ast.walk(node) if isinstance(n, ast.FunctionDef) for a in n.args.args}    # fixtures
        for name in names:
            uses.setdefault(name, set()).update(used - {name})
    loose = {n.id for node, names in tops if not names for n in ast.walk(node) if isinstance(n, ast.Name)}
    everybody = {u for used in uses.values() for u in used}
    stays = reach(uses, [n for n in uses if n not in goes and (n in loose or n not in everybody)])
    gone = reach(uses, goes) - stays
    lines = text.splitlines(keepends=True)
    for node, names in reversed(tops):
        if names and set(names) <= gone:
            first = min([node.lineno] + [d.lineno for d in getattr(node, "decorator_list", [])]) - 1
            while first > 0 and lines[first - 1].startswith("#"):
                first -= 1
            last = node.end_lineno
            while last < len(lines) and not lines[last].strip():
                last += 1
            del lines[first:last]
    return "".join(lines).rstrip("\n") + "\n"


def strings(text):
    return {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def names_gone(judges, kept_back):
    """What only judges of tests that are kept back name in a string. judges: [(lab, text)]; kept_back: {lab: tests}."""
    before = set().union(*(strings(text) for _, text in judges))
    return before - set().union(*(strings(python_without(text, kept_back[lab])) for lab, text in judges))


def observer_edits(source, names):
    """[(start, end, "")] that take the OBSERVE functions called `names`, and what only they used, out of a C file."""
    starts = {}
    for m in re.finditer(rb"(?m)^OBSERVE\(\s*\d+\s*,\s*(\w+)\s*\)", source.bytes):
        starts[m.start()] = m[1].decode()
    gone = {d.name for d in source.everything() if starts.get(d.start) in names}
    if not gone:
        return []
    while more := source.unused(set(), gone, set()):
        gone |= set(more)
    spans = sorted(s for name in gone for s in source.removal(name))
    out = []
    for start, end, _ in spans:              # what a macro makes begins at one place
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]), "")
        else:
            out.append((start, end, ""))
    return out


def handout_without(text, tests):
    """A handout whose lists (`Graded: a, b, and later c.`) do not name these tests."""
    for t in sorted(tests):
        name = rf"`?\b{re.escape(t)}\b`?"
        text = re.sub(rf"\s+Graded(, [^:.]*)?:\s+{name}\.", "", text)
        text = re.sub(rf"(Graded[^.]*?){name},\s+", r"\1", text)
        text = re.sub(rf"(Graded[^.]*?),\s+(?:and (?:\w+ )*)?{name}", r"\1", text)
    return text


def check(manifest, handout):
    """Nothing may need or name a test that is kept back by any seed."""
    secret = {t["name"] for t in manifest.tests if t.get("hidden") or "pool" in t}
    for pool, tests in manifest.pools().items():
        if len({t["points"] for t in tests}) > 1 or len(tests) < 2:
            raise ReleaseError(f"{manifest.path}: pool {pool}: two or more tests are wanted, worth the same")
    for t in manifest.tests:
        if not t.get("hidden") and (lost := secret & set(t.get("needs", []))):
            raise ReleaseError(f"{manifest.path}: {t['name']} needs {', '.join(sorted(lost))}, which may be kept back")
    for name in sorted(secret):
        if re.search(rf"\b{re.escape(name)}\b", handout_without(handout, {name})):
            raise ReleaseError(f"{manifest.folder}/README.md speaks of {name}, a test that may be kept back")
