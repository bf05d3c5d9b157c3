"""Documents name functions and files, not line numbers, and what they name exists."""

import os
import re

import pytest

from grade.eclipse import build

DOCS = build.sources("*.md", "labs/**/*.md", "kern/**/*.md", "fs/**/*.md", "user/**/*.md", "lib/**/*.md", "grade/**/*.md")


def text_of(f):
    with open(os.path.join(build.ROOT, f), errors="replace") as g:
        return g.read()


@pytest.fixture(scope="module")
def code():
    files = build.sources("kern/**/*.[chS]", "fs/**/*.[chS]", "lib/**/*.[chS]", "user/**/*.[ch]", "grade/**/*.py",
                          "lib/host/**/*.py", "lib/host/*.sh")
    return {f: text_of(f) for f in files}


@pytest.mark.parametrize("doc", DOCS)
def test_functions_named_exist(doc, code):
    """`name()` in a document is a function, a macro or a system call of this tree."""
    names = set(re.findall(r"`([A-Za-z_]\w*)\(\)`", text_of(doc)))
    everything = "\n".join(code.values())
    gone = [n for n in sorted(names) if not re.search(rf"^(?:[\w\s\*]*\b)?{n}\s*\(|#define {n}\b|def {n}\b|SYSCALL\w*\(\s*\d+\s*,\s*{n}\b",
                                                      everything, re.M)]
    assert not gone, f"{doc} names functions that are not there: {gone}"


@pytest.mark.parametrize("doc", DOCS)
def test_files_named_exist(doc):
    """`kern/x/y.c` in a document is a file or folder of this tree."""
    names = set(re.findall(r"`((?:kern|fs|lib|user|labs|grade)/[\w./-]*)`", text_of(doc)))
    gone = [n for n in sorted(names) if not os.path.exists(os.path.join(build.ROOT, n)) and "NN" not in n]
    assert not gone, f"{doc} names files that are not there: {gone}"


def test_readme_has_the_two_commands():
    text = text_of("README.md")
    for word in ("make setup qemu-nox", "make test"):
        assert word in text, f"README.md does not say `{word}`"


def test_page_fault_handler_is_found_from_the_readme():
    """README.md names the file of the page-fault handler, and that file has it."""
    names = re.findall(r"page.fault[^.\n]*?`([\w/]+\.c)`|`([\w/]+\.c)`[^.\n]*page.fault", text_of("README.md"), re.I)
    assert names, "README.md does not say where page faults are handled"
    name = names[0][0] or names[0][1]
    assert re.search(r"fault", text_of(name)), name
