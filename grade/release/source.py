"""One C file of the kernel, seen through libclang: where its functions are, to the byte, and what they use.

Idea.       libclang parses with the kernel's own -D, -I and -std words, so attributes, macros and braces in strings
            mislead nobody. A student's file is the solved one with some edits: bodies become a call of lab_todo or a
            naive version, helpers vanish.
Interface.  Source(path).edits(...) and apply(); Source.functions for the tests.
Invariants. I1 edits do not overlap; undoing them gives the solved file again, byte for byte.
            I2 nothing static is left unused: what only stripped bodies used is named in the first call that needs it.
"""

import os
import re
import shlex
import subprocess

from clang import cindex

from grade.eclipse.build import ROOT

WIDTH = 110


class ReleaseError(Exception):
    """Something in a lab.toml or in a source that a release cannot be made with."""


def compiler_words(flags):
    """Of a compiler's command line, the words that change what a source means."""
    words, keep = shlex.split(flags), []
    for i, w in enumerate(words):
        if re.match(r"-(D|U|I|std=|nostdinc|ffreestanding|mcmodel)", w):
            keep.append(w)
        elif w in ("-isystem", "-include"):
            keep += words[i:i + 2]
    return keep


def default_flags():
    """The kernel's flags where no build has left them."""
    own = subprocess.run(["cc", "-print-file-name=include"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return f"-std=gnu11 -nostdinc -isystem {own} -ffreestanding -mcmodel=kernel -I."


class Decl:
    """A function or variable at file level: its bytes, and the names of this file that it uses."""

    def __init__(self, cursor, body):
        self.name = cursor.spelling
        self.static = cursor.storage_class == cindex.StorageClass.STATIC
        self.function = cursor.kind == cindex.CursorKind.FUNCTION_DECL
        self.array = cursor.type.get_canonical().kind == cindex.TypeKind.CONSTANTARRAY
        self.start, self.end = cursor.extent.start.offset, cursor.extent.end.offset
        self.body = (body.extent.start.offset, body.extent.end.offset) if body else None
        self.params = [a.spelling for a in cursor.get_arguments() if a.spelling] if self.function else []
        self.void = self.function and cursor.result_type.kind == cindex.TypeKind.VOID
        self.locals = {c.spelling for c in cursor.walk_preorder() if c.kind == cindex.CursorKind.VAR_DECL} - {self.name}
        self.uses = {c.referenced.spelling for c in cursor.walk_preorder()
                     if c.kind == cindex.CursorKind.DECL_REF_EXPR and c.referenced is not None}


class Source:
    def __init__(self, path, flags):
        self.path = path
        with open(os.path.join(ROOT, path), "rb") as f:
            self.bytes = f.read()
        unit = self.parse(path, flags)
        self.declares_todo = False
        self.functions, self.variables, self.prototypes = {}, {}, []
        for c in unit.cursor.get_children():
            self.declares_todo |= c.spelling == "lab_todo"
            if c.location.file and c.location.file.name == path:
                self.note(c)

    @staticmethod
    def parse(path, flags):
        here = os.getcwd()
        os.chdir(ROOT)                       # -I. means the top of the tree
        try:
            unit = cindex.Index.create().parse(path, args=compiler_words(flags))
        finally:
            os.chdir(here)
        errors = [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if errors:
            raise ReleaseError(f"{path}: libclang cannot read it: {errors[0]}")
        return unit

    def note(self, c):
        if c.kind == cindex.CursorKind.FUNCTION_DECL and c.is_definition():
            body = [k for k in c.get_children() if k.kind == cindex.CursorKind.COMPOUND_STMT]
            self.functions[c.spelling] = Decl(c, body[-1])
        elif c.kind == cindex.CursorKind.FUNCTION_DECL:
            self.prototypes.append(Decl(c, None))
        elif c.kind == cindex.CursorKind.VAR_DECL and c.storage_class != cindex.StorageClass.EXTERN:
            self.variables[c.spelling] = Decl(c, None)

    def everything(self):
        return [*self.prototypes, *self.functions.values(), *self.variables.values()]

    def text(self, start, end):
        return self.bytes[start:end].decode()

    def comment_start(self, offset):
        """Where the comment that ends right above `offset` begins; `offset` when there is none."""
        before = self.bytes[:offset].decode()
        m = re.search(r"^/\*(?:(?!\*/).)*\*/[ \t]*\n\Z", before, re.S | re.M)
        return len(before[:m.start()].encode()) if m else offset

    def line_start(self, offset):
        return self.bytes.rfind(b"\n", 0, offset) + 1

    def comment(self, name):
        at = self.line_start(self.functions[name].start)
        return self.text(self.comment_start(at), at)

    # ---------------------------------------------------------------- what goes

    def unused(self, stripped, removed, given):
        """Static names that nothing uses any more when `stripped` are empty and `given` are named elsewhere."""
        alldecls = {**self.functions, **self.variables}
        everybody = {u for d in alldecls.values() for u in d.uses - {d.name}}
        live = {n for n, d in alldecls.items()
                if n not in removed and (not d.static or n not in everybody or n in given)}
        work = list(live)
        while work:
            d = alldecls[work.pop()]
            for u in () if d.name in stripped else d.uses:
                if u in alldecls and u not in live and u not in removed:
                    live.add(u)
                    work.append(u)
        return [n for n, d in alldecls.items() if n not in live and n not in removed]

    def shares(self, stripped, removed, naive=(), given=frozenset()):
        """{stripped function: static names its stub mentions}: no name is unused then (I2). Naive ones name `given`."""
        out = {n: [] for n in stripped if n not in naive}
        given = set(given)
        while left := self.unused(stripped, removed, given):
            for name in left:
                user = [s for s in out if name in self.functions[s].uses and s != name]
                if user:
                    out[min(user, key=lambda s: self.functions[s].start)].append(name)
                    given.add(name)
                    break
            else:
                raise ReleaseError(f"{self.path}: {left[0]} is left over: name it in `helpers` of the lab.toml")
        return out

    def stub(self, name, lab, folder, extra):
        """What a student finds instead of the body."""
        # The parameters backwards: in their order they may be what a stripped caller says.
        words = [str(lab), f'"{name}"', f'"{folder}"', *reversed(self.functions[name].params)]
        words += [w if w in self.functions or self.variables[w].array else "&" + w for w in extra]
        lines, line = [], "\tlab_todo("
        for i, w in enumerate(words):
            w += ");" if i == len(words) - 1 else ", "
            if len(line.expandtabs(8)) + len(w) > WIDTH:
                lines.append(line.rstrip())
                line = "\t\t"
            line += w
        return "{\n" + "\n".join(lines + [line]) + "\n}"

    def removal(self, name):
        """The bytes of a helper with the comment above it and the blank line below it."""
        spans = []
        for d in self.everything():
            if d.name != name:
                continue
            start = self.comment_start(self.line_start(d.start))
            end = self.bytes.find(b"\n", d.end) + 1
            if self.bytes[end:end + 1] == b"\n":
                end += 1
            spans.append((start, end, ""))
        return spans

    def start_from(self, name, text, folder):
        """The body of a naive version, whose head must be that of the function."""
        where = f"{folder}/naive/{name}.c"
        head, brace, body = text.partition("\n{\n")
        head = re.sub(r"/\*.*?\*/", "", head, flags=re.S)
        d = self.functions[name]
        want = self.text(d.start, d.body[0])
        if not brace or head.split() != want.split():
            raise ReleaseError(f"{where}: it should read: {' '.join(want.split())} {{ ... }}")
        return "{\n" + body.rstrip()

    def check_names(self, names, helpers, folder):
        for name in names:
            if name not in self.functions:
                raise ReleaseError(f"{folder}/lab.toml: {self.path} defines no function {name}")
        for name in helpers:
            if name not in self.functions and name not in self.variables:
                raise ReleaseError(f"{folder}/lab.toml: {self.path} defines no helper {name}")
        for n, d in {**self.functions, **self.variables}.items():
            if n not in names and n not in helpers and d.uses & set(helpers):
                used = ", ".join(d.uses & set(helpers))
                raise ReleaseError(f"{self.path}: {n} uses {used}, named as a helper of {folder}")

    def edits(self, names, helpers, lab, folder, naive=None):
        """[(start, end, new text)] that make the student's file. naive: {function: text} where there is one."""
        self.check_names(names, helpers, folder)
        starts = {n: self.start_from(n, naive[n], folder) for n in names if n in (naive or {})}
        told = {w for body in starts.values() for w in re.findall(r"\w+", body)}
        shares = self.shares(names, set(helpers), starts, told)
        out = [(*self.functions[n].body, starts.get(n) or self.stub(n, lab, folder, shares[n])) for n in names]
        for h in helpers:
            out += self.removal(h)
        if not self.declares_todo and len(starts) < len(names):
            # behind the file's first #include, which is its own header
            at = self.bytes.find(b"\n", re.search(rb"^#include ", self.bytes, re.M).start()) + 1
            out.append((at, at, '#include "kern/boot/print.h"\n'))
        return sorted(out)


def apply(data, edits):
    """The bytes with the edits made."""
    out, at = [], 0
    for start, end, new in edits:
        if start < at:
            raise ReleaseError("edits overlap")
        out += [data[at:start], new.encode()]
        at = end
    return b"".join(out + [data[at:]])
