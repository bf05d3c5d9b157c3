"""Scripted students: they clone a release, write the bodies, merge lab after lab by `make next-lab`, and are graded.

Idea.       The first one writes the reference's bodies. The second one is as unlike it as a right solution can be:
            every body moves into a helper function of another name, its variables are called otherwise, its text is
            laid out anew with other comments, the rest of each file is indented with spaces, and there are files of
            his own.
Interface.  p = Pupil(tree, repo, where, "other"); p.solve(1); p.commit(); p.next_lab(); ...; p.grade()
"""

import json
import os
import re
import subprocess

from grade.eclipse import build

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[A-Za-z_]\w*|\d\w*|\.\.\.|->'
                   r"|<<=?|>>=?|&&|\|\||[-+*/%&|^=!<>]=|\+\+|--|\S", re.S)
ALONE = re.compile(r"__builtin_(frame|return)_address|\bva_|\basm\b")        # what a helper function would change
MINE = {"user/mine.c": '#include <stdio.h>\n\nint main(void) { return printf("a program of my own\\n") < 0; }\n',
        "notes/diary.txt": "Monday: it boots.\n"}


def tokens(text):
    """The tokens of C; of comments only those that the compiler reads, and no pragmas."""
    text = re.sub(r"(?m)^[ \t]*#[^\n]*", "", text)
    return [t for t in TOKEN.findall(text) if not t.startswith(("/*", "//")) or "fall through" in t]


def renamed(words, names):
    """The tokens with local variables called otherwise: not members, tags or labels of the same name."""
    out = []
    for i, w in enumerate(words):
        before, after = words[max(i - 3, 0):i], words[i + 1] if i + 1 < len(words) else ""
        other = before[-1:] and before[-1] in (".", "->", "struct", "union", "enum", "goto")
        label = after == ":" and before[-1:] and before[-1] in (";", "{", "}")
        member = before[-1:] == [","] and before[:1] == ["struct"]           # list_entry(l, struct bio, link)
        out.append("my_" + w if w in names and not (other or label or member) else w)
    return out


def laid_out(words):
    """The tokens as somebody else would lay them out: four spaces, braces on lines of their own, some remarks."""
    lines, line, depth, level = [], [], 0, 0

    def end():
        nonlocal line
        if line:
            lines.append("    " * level + " ".join(line))
        line = []
    for w in words:
        if w == "}":
            end()
            level -= 1
        if w == "{":
            end()
        line.append(w)
        depth += (w == "(") - (w == ")")
        if w in "{}" or w.startswith("/*") or (w == ";" and depth == 0):
            end()
            level += w == "{"
            if len(lines) % 5 == 2 and w == ";":
                lines.append("    " * level + "/* that much is done */")
    end()
    return "\n".join(lines)


def other_function(source, name):
    """(text that goes above the function, its body), in the second student's way."""
    d = source.functions[name]
    head, body = source.text(d.start, d.body[0]), source.text(*d.body)
    words = tokens(body)
    if ALONE.search(body) or "..." in head or "naked" in head:
        return "", laid_out(words)
    helper = re.sub(r"^(static|extern)\s+", "", re.sub(rf"\b{name}\s*\(", f"my_{name}(", head, count=1)).strip()
    call = f"my_{name}({', '.join(d.params)});"
    before = f"static {helper};\n" + (f"{head.strip()};\n" if d.static else "")
    above = f"{before}\n// all the work of {name}\nstatic {helper}\n{laid_out(renamed(words, d.locals))}\n\n"
    return above, "{\n" + ("    " if d.void else "    return ") + call + "   // see above\n}"


def written(tree, path, style):
    """A file of exercises when the student has done them."""
    s, pieces, at = tree.source(path), [], 0
    names = [n for m in tree.manifests.values() for p, (ns, _) in m.by_file().items() if p == path for n in ns]
    bodies = {s.functions[n].body[0]: n for n in names}
    edits = []
    for start, end, new in tree.edits[path]:
        if start == end:                     # the #include of the stub stays
            edits.append((start, end, new))
        elif start in bodies and style == "other":
            name = bodies[start]
            above, body = other_function(s, name)
            top = s.comment_start(s.line_start(s.functions[name].start))
            edits += [(top, top, above), (start, end, body)]
    for start, end, new in sorted(edits):
        pieces += [s.bytes[at:start].decode(), new]
        at = end
    text = "".join(pieces) + s.bytes[at:].decode()
    if style == "other":
        text = "/* done by myself */\n" + re.sub(r"(?m)^\t+", lambda m: " " * 8 * len(m[0]), text)
    return text


def make(where, *goals):
    """(status, output) of make in a student's tree: nothing of our own environment but the machine's."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("ECLIPSE_", "GIT_", "PYTEST_"))
           and k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH")}
    argv = [os.environ.get("MAKE", "make").split()[0], "-C", where, "--no-print-directory", *goals]
    p = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return p.returncode, p.stdout


class Pupil:
    def __init__(self, tree, repo, where, style):
        self.tree, self.where, self.style = tree, str(where), style
        self.first = min(tree.manifests)
        subprocess.run(["git", "clone", "-q", "-b", f"lab{self.first}", repo, self.where], check=True)
        self.git("config", "user.name", style)
        self.git("config", "user.email", style + "@localhost")
        self.git("checkout", "-q", "-b", "mine")

    def git(self, *words):
        return subprocess.run(["git", "-C", self.where, *words], stdout=subprocess.PIPE, check=True, text=True).stdout

    def put(self, path, text):
        full = os.path.join(self.where, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def solve(self, lab):
        for path in self.tree.edits:
            if self.tree.lab_of[path] == lab:
                self.put(path, written(self.tree, path, self.style))
        if self.style == "other":
            for path, text in MINE.items() if lab == self.first else ():
                self.put(path, text)
            with open(os.path.join(self.where, "README.md"), "a") as f:
                f.write(f"\nLab {lab} is done.\n")

    def commit(self, text="done"):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)

    @classmethod
    def at(cls, where):
        """For a tree that is there already."""
        p = cls.__new__(cls)
        p.where = str(where)
        return p

    def next_lab(self):
        return make(self.where, "next-lab")

    def grade(self, *variables):
        """The JSON of `make grade`, and what it printed."""
        out = os.path.join(self.where, "build", "grade.json")
        if os.path.exists(out):
            os.unlink(out)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        _, said = make(self.where, "grade", f"JSON={out}", *variables)
        assert os.path.exists(out), said[-4000:]
        with open(out) as f:
            return json.load(f), said


def prime(where):
    """What is as in the solved tree need not be compiled again: same age there, and the objects are handed on."""
    for folder, _, names in os.walk(where):
        if "/.git" not in folder:
            for name in names:
                theirs = os.path.join(folder, name)
                ours = os.path.join(build.ROOT, os.path.relpath(theirs, where))
                if os.path.isfile(ours) and open(ours, "rb").read() == open(theirs, "rb").read():
                    os.utime(theirs, (os.path.getmtime(ours),) * 2)
    out = os.path.join(where, "build")
    os.makedirs(out, exist_ok=True)
    parts = [p for p in ("obj", "uobj", "host", "flags.kernel", "flags.user") if os.path.exists(build.path(p))]
    subprocess.run(["cp", "-a", *map(build.path, parts), out + "/"], check=True)
