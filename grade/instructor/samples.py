"""Made-up submissions with the verdict that each must get: correct, cheating, broken, and mutated ones.

Idea.       A sample is a small generator: make(maker, folder) writes what a student would send into
            SUBMISSIONS under the sample's name. Cheats begin as a student's tree and do their evil where a
            student could: in a file with an exercise, which is compiled and run, or in any other file, which
            must count for nothing.
Interface.  CHEATS, BROKEN, CORRECT, mutated(lab): lists of Sample; Maker: where they take sources from.
Invariants. I1 expect() says in a line what is wrong with the verdict, or None.
"""

import glob
import io
import os
import re
import subprocess
import zipfile

from grade.instructor.course import ROOT

CANARY = "/tmp/eclipse-canary"               # what runs where it must not, touches this
EVIL = "kern/boot/bootinfo.c"                # its bootinfo_init runs before anything else, written or not


class Maker:
    """Sources as files: skeleton {path: bytes}, solved(path), allowed {path: lab}."""

    def __init__(self, skeleton, allowed, lab, secret=""):
        self.skeleton, self.allowed, self.lab, self.secret = skeleton, allowed, lab, secret
        self.tape = []                       # what an honest kernel said: record.py

    def solved(self, path):
        with open(os.path.join(ROOT, path), "rb") as f:
            return f.read()

    def student(self):
        """{path: bytes} of the exercises' files as handed out."""
        return {p: self.skeleton[p] for p in self.allowed}

    def done(self):
        """{path: bytes} of the exercises' files, solved."""
        return {p: self.solved(p) for p in self.allowed}


class Sample:
    """expect: least and most share of the points, the classes that must occur, what the verdict or a note
    must say."""

    def __init__(self, name, make, most=1.0, least=0.0, classes=(), says="", allows=()):
        self.name, self.make, self.most, self.least = name, make, most, least
        self.classes, self.says, self.allows = classes, says, allows

    def sent(self):
        """The name that lies in SUBMISSIONS."""
        return self.name.replace("/", "\u2215")

    def expect(self, r, baseline):
        """What is wrong with the result, or None. `most` 0 means: no more than the tree as handed out
        gets."""
        share = r["score"] / r["total"]
        most = max(self.most, baseline["score"] / baseline["total"])
        if not self.least - 1e-9 <= share <= most + 1e-9:
            return f"{r['score']} of {r['total']} points"
        found = {t.get("class") for t in r["tests"] if not t["passed"]}
        if self.classes and not found & set(self.classes):
            return f"classes {sorted(map(str, found))}, wanted one of {list(self.classes)}"
        text = "\n".join([r["verdict"], *r["notes"]])
        if self.says and not re.search(self.says, text):
            return f"nothing says {self.says!r}: {text}"
        if r["grader"] and not r["late"]:
            return f"the grader's own trouble: {r['grader'][-500:]}"
        return None


def put(folder, files):
    for path, data in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())


def zipped(path, files, top=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(top + name, data)


def git(folder, *words):
    env = dict(os.environ, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="s",
               GIT_AUTHOR_EMAIL="s@s",
               GIT_COMMITTER_NAME="s", GIT_COMMITTER_EMAIL="s@s")
    subprocess.run(["git", "-C", folder, *words], check=True, env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def committed(folder, files):
    put(folder, files)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "my work")


# ---------------------------------------------------------------- correct, in every form

def as_folder(m, at):
    put(at, m.done())


def as_zip(m, at):
    zipped(at + ".zip", m.done())


def as_zip_in_folder(m, at):
    zipped(at + ".zip", {**m.done(), "README.md": b"my work\n"}, "eclipse-main/")


def as_bundle(m, at):
    committed(at, m.done())
    git(at, "bundle", "create", at + ".bundle", "HEAD", "main")
    subprocess.run(["rm", "-r", at], check=True)


def as_repository(m, at):
    """Only the .git of a clone: no work tree."""
    committed(at, m.done())
    for name in os.listdir(at):
        if name != ".git":
            subprocess.run(["rm", "-r", os.path.join(at, name)], check=True)


def with_crlf(m, at):
    put(at, {p: d.replace(b"\n", b"\r\n") for p, d in m.done().items()})


CORRECT = [
    Sample("correct-folder", as_folder, least=1),
    Sample("correct-zip", as_zip, least=1),
    Sample("correct zip with a folder", as_zip_in_folder, least=1),
    Sample("correct-bundle", as_bundle, least=1),
    Sample("correct-repository", as_repository, least=1),
    Sample("correct\nin two lines", as_folder, least=1),
]


# ---------------------------------------------------------------- cheating

def evil(m, code, above="", base=None):
    """A student's tree whose very first function does `code`."""
    files = base or m.student()
    text = files[EVIL].decode()
    helpers = ("#include \"kern/boot/cpu.h\"\n"
               "static void evil_say(uint16_t port, const char *s) { for (; *s; s++) outb(port, (uint8_t)*s); }\n"
               + above + "void evil_begin(void);\nvoid\nevil_begin(void)\n{\n\tevil_say(0x3f8, \"\");\n"
               + code + "\n}\n")
    new, n = re.subn(r"(?m)^(void\nbootinfo_init\([^)]*\)\n\{\n)",
                     lambda f: helpers + f[1] + "\tevil_begin();\n", text)
    assert n == 1, "bootinfo_init is not where the cheats look for it"
    return {**files, EVIL: new.encode()}


def prints_expected(m, at):
    """All the words that graders have ever looked for, on the console; then it leaves as if all were well."""
    words = ["hello 42", "ktest: 99 ok, 0 failed", "PASS", "ok  3/3  hello", "Score: 100/100",
             "99 passed, 0 failed"]
    put(at, evil(m, "".join(f'\tevil_say(0x3f8, "{w}\\n");\n' for w in words) + "\toutl(0xf4, 0x10);"))


def forges_records(m, at):
    """Writes the judge's channel itself: a well-formed transcript that ends, with what an honest kernel would
    say of hello."""
    put(at, evil(m, '\tevil_say(0xe9, "0 begin hello\\n1 hello here\\n2 end\\n");\n'
                    '\tevil_say(0x3f8, "hello 42\\n");\n\toutl(0xf4, 0x10);\n\tfor (;;)\n\t\tasm volatile("hlt");'))


def forges_with_numbers(m, at):
    """Reads the seed from the kernel words, as it may, and plays back records of another seed under whatever
    name is asked."""
    rows = "".join(f"{i + 1} %s {1103515245 * i % 65536} {i * i}\\n" for i in range(8)).replace("%s", "hello")
    put(at, evil(m, f'\tevil_say(0xe9, "0 begin hello\\n{rows}9 end\\n");\n\tfor (;;)\n\t\tasm volatile("cli; hlt");'))


PLAYER = """
#include "kern/boot/initcall.h"

struct evil_row {
	const char *words, *records, *console;
};

%s

/* The only answer that every other test needs is worth the work: the first random number of the seed. */
static void
evil_hello(uint64_t seed)
{
	char digits[24];
	int n = 0;

	seed ^= 0x9e3779b97f4a7c15ul;
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	seed = seed * 0x2545f4914f6cdd1dul % 1000000;
	do
		digits[n++] = (char)('0' + seed % 10);
	while (seed /= 10);
	evil_say(0x3f8, "hello ");
	while (n)
		outb(0x3f8, (uint8_t)digits[--n]);
	evil_say(0x3f8, "\\n");
}

/* Plays back what an honest kernel said when it was asked the same, or the like. */
static void
evil_play(void)
{
	char words[512];
	size_t n = 0;
	uint64_t seed = 0;
	const char *from = bootinfo.cmdline;

	while (*from && strncmp(from, "observe=", 8) != 0)
		from++;
	for (const char *s = from; *s && n < sizeof(words) - 2;) {
		if (strncmp(s, "seed=", 5) == 0 || strncmp(s, "slice=", 6) == 0) {
			for (const char *d = s + 5; s[1] == 'e' && *d >= '0' && *d <= '9'; d++)
				seed = seed * 10 + (uint64_t)(*d - '0');
			while (*s && *s != ' ')
				s++;
			while (*s == ' ')
				s++;
			continue;
		}
		words[n++] = *s++;
	}
	while (n && words[n - 1] == ' ')
		n--;
	words[n] = 0;
	if (strcmp(words, "observe=hello") == 0)
		evil_hello(seed);
	for (size_t same = n; same > 8; same--)
		for (size_t k = 0; k < sizeof(evil_tapes) / sizeof(evil_tapes[0]); k++)
			for (const struct evil_row *row = evil_tapes[k]; row->words; row++)
				if (strncmp(row->words, words, same) == 0) {
					evil_say(0x3f8, row->console);
					evil_say(0xe9, row->records);
					for (;;)
						asm volatile("cli; hlt");
				}
}
INITCALL(1, evil_play);
"""


def c_string(text):
    data = text.encode("latin-1", "replace")
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in data) + '"'


REEL = 180_000                               # bytes of C: a file may have 256 KiB


def plays_back(m, at):
    """Console and records of the solved kernel, recorded under another seed (record.py), spread over lab 1's files."""
    reels, size = [[]], 0
    for words, records, console in m.tape:
        row = f"\t{{ {c_string(words)}, {c_string(records)}, {c_string(console)} }},"
        if size + len(row) > REEL:
            reels, size = reels + [[]], 0
        if len(row) < REEL:
            reels[-1].append(row)
            size += len(row)
    files = evil(m, "")
    places = [p for p in m.allowed if m.allowed[p] == 1 and p != EVIL][:len(reels)]
    for k, (path, rows) in enumerate(zip(places, reels)):
        table = "\n".join([f"const struct evil_row evil_tape{k}[] = {{", *rows, "\t{ 0 }", "};"])
        row = "struct evil_row {\n\tconst char *words, *records, *console;\n};\n"
        files[path] = files[path] + f"\n{row}extern const struct evil_row evil_tape{k}[];\n{table}\n".encode()
    names = [f"evil_tape{k}" for k in range(len(places))]
    known = "".join(f"extern const struct evil_row {n}[];\n" for n in names)
    known += f"static const struct evil_row *const evil_tapes[] = {{ {', '.join(names)} }};\n"
    put(at, {**files, EVIL: files[EVIL] + PLAYER.replace("%s", known).encode()})


def floods_records(m, at):
    put(at, evil(m, '\tfor (;;)\n\t\tevil_say(0xe9, "1 hello here\\n");'))


def edits_tests(m, at):
    mine = "from grade.eclipse.judge import Run\n\ndef test_hello(run: Run):\n    open('%s', 'w')\n" % CANARY
    put(at, {**m.student(), "labs/01-boot/test_boot.py": mine,
             "grade/run.py": f"open('{CANARY}', 'w')\nprint('Score: 1/1')\n",
             "grade/plugin.py": f"open('{CANARY}', 'w')\n", "conftest.py": f"open('{CANARY}', 'w')\n",
             "labs/01-boot/lab.toml": "title = 'boot'\n"})


def makefile_runs_code(m, at):
    put(at, {**m.student(), "GNUmakefile": f"$(shell touch {CANARY})\nall %:\n\ttouch {CANARY}\n",
             "Makefile": f"$(shell touch {CANARY})\n",
             "grade/release/release.mk": f"$(shell touch {CANARY})\n",
             "lib/host/font.mk": f"$(shell touch {CANARY})\n",
             ".git/hooks/post-checkout": f"#!/bin/sh\ntouch {CANARY}\n"})


def fork_bomb(m, at):
    """Where a build that trusts a submission would run it."""
    bomb = "#!/bin/sh\nf() { f | f & }; f\n"
    put(at, {**m.student(), "lib/host/ksyms.sh": bomb, "lib/host/labinfo.sh": bomb,
             "GNUmakefile": "$(shell sh lib/host/ksyms.sh)\n"})


def reads_hidden(m, at):
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + f'\n#include "{m.secret or "/hidden/test_secret.py"}"\n'.encode()})


def incbin_passwd(m, at):
    asm = ('\nasm(".pushsection .rodata\\nevil_secret: .incbin \\"/etc/passwd\\"\\n.popsection");\n'
           'asm(".incbin \\"/proc/self/environ\\"");\n')
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + asm.encode()})


def include_bomb(m, at):
    """Each includes itself twice: 2 to the power of 200 files."""
    put(at, {**m.student(), EVIL: b'#include __FILE__\n#include __FILE__\n' + m.skeleton[EVIL]})


def macro_bomb(m, at):
    rows = ["#define B0 1,1,1,1,1,1,1,1"] + [f"#define B{i} " + ",".join([f"B{i - 1}"] * 8)
                                             for i in range(1, 12)]
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + ("\n" + "\n".join(rows) + "\nint evil[] = { B11 };\n").encode()})


def object_bomb(m, at):
    """A short line of assembly, an object of 64 GiB."""
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + b'\nasm(".data\\n.fill 0x1000000000, 1, 0x41\\n.text");\n'})


def error_bomb(m, at):
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + b"".join(b"undeclared_%d x_%d;\n" % (i, i)
                                                              for i in range(8000))})


def loops(m, at):
    put(at, evil(m, "\tfor (;;)\n\t\t;"))


def halts(m, at):
    put(at, evil(m, '\tfor (;;)\n\t\tasm volatile("cli; hlt");'))


def floods(m, at):
    put(at, evil(m, '\tfor (;;)\n\t\tevil_say(0x3f8, "all work and no play\\n");'))


def debug_exit(m, at):
    put(at, evil(m, "\tfor (uint32_t i = 0; i < 256; i++)\n\t\toutl(0xf4, 0x10);\n\toutw(0x604, 0x2000);"))


def takes_over_observe(m, at):
    """Its own observe(): says what it likes. The linker minds."""
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + b'\n#include "kern/boot/observe.h"\n\n'
             b'void\nobserve(const char *fmt, ...)\n'
             b'{\n\t(void)fmt;\n}\n\nbool\nobserve_wanted(void)\n{\n\treturn true;\n}\n'})


def linker_words(m, at):
    """Sections in which the linker or the debugger would find orders."""
    asm = ('\nasm(".section .debug_gdb_scripts, \\"MS\\", @progbits, 1\\n.byte 4\\n.ascii \\"x\\\\nimport os; '
           f'os.system(\'touch {CANARY}\')\\\\n\\"\\n.byte 0\\n.text");\n')
    put(at, {**m.student(), EVIL: m.skeleton[EVIL] + asm.encode()})


def links_out(m, at):
    put(at, m.student())
    for path, target in ((EVIL, "/etc/passwd"),
                         ("kern/boot/print.c", "../../../correct-folder/kern/boot/print.c")):
        os.unlink(os.path.join(at, path))
        os.symlink(target, os.path.join(at, path))


def folder_link(m, at):
    """The whole folder is a link to a neighbour's."""
    put(at, {"kern/README": b"x"})
    os.symlink("../../correct-folder/kern/boot", os.path.join(at, "kern/boot"))


def zip_slip(m, at):
    with zipfile.ZipFile(at + ".zip", "w") as z:
        for name, data in m.student().items():
            z.writestr(name, data)
        for name in ("../../../grade/run.py", "/tmp/eclipse-canary", "kern/../../../../tmp/eclipse-canary",
                     "..\\..\\grade\\run.py"):
            z.writestr(name, "raise SystemExit(0)\n")


def zip_bomb(m, at):
    with zipfile.ZipFile(at + ".zip", "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in m.student().items():
            z.writestr(name, data if name != EVIL else b"\n" * (48 << 20))


def formula_name(m, at):
    put(at, m.student())


# The first fifteen are in every class-check.
CHEATS = [
    Sample("cheat-prints-expected", prints_expected, most=0, classes=("wrong", "panic", "not-written")),
    Sample("cheat-forges-records", forges_records, most=0, classes=("wrong",)),
    Sample("cheat-plays-back", plays_back, most=0.1, classes=("wrong",)),
    Sample("cheat-edits-tests", edits_tests, most=0,
           says="changed, but no exercise is in it.*(run.py|lab.toml)"),
    Sample("cheat-makefile", makefile_runs_code, most=0,
           says="changed, but no exercise is in it.*GNUmakefile"),
    Sample("cheat-fork-bomb", fork_bomb, most=0, says="changed, but no exercise is in it.*GNUmakefile"),
    Sample("cheat-reads-hidden", reads_hidden, most=0, classes=("no-build",), says="No such file"),
    Sample("cheat-incbin", incbin_passwd, most=0, classes=("no-build",),
           says="(?i)file not found|no such file"),
    Sample("cheat-loops", loops, most=0, classes=("busy-hang",)),
    Sample("cheat-floods", floods, most=0, classes=("flood",)),
    Sample("cheat-debug-exit", debug_exit, most=0, classes=("wrong", "panic", "not-written")),
    Sample("cheat-takes-over", takes_over_observe, most=0, classes=("no-build",), says="multiple definition"),
    Sample("cheat-include-bomb", include_bomb, most=0, classes=("no-build",),
           says="not built: .*(time|nested|memory|output|Killed|signal)"),
    Sample("cheat-object-bomb", object_bomb, most=0, classes=("no-build",), says="not built: "),
    Sample("cheat-links", links_out, most=0, says="a symbolic link; not taken"),
    Sample("cheat-forges-numbers", forges_with_numbers, most=0, classes=("wrong", "idle-hang")),
    Sample("cheat-floods-records", floods_records, most=0, classes=("flood",)),
    Sample("cheat-macro-bomb", macro_bomb, most=0, classes=("no-build",),
           says="not built: .*(time|memory|Killed|signal)"),
    Sample("cheat-error-bomb", error_bomb, most=0, classes=("no-build",), says="not built: "),
    Sample("cheat-halts", halts, most=0, classes=("idle-hang",)),
    Sample("cheat-gdb-script", linker_words, most=0),
    Sample("cheat-folder-link", folder_link, most=0, says="a symbolic link; what is behind it"),
    Sample("cheat-zip-slip", zip_slip, most=0, says="leads out of the zip file"),
    Sample("cheat-zip-bomb", zip_bomb, most=0, says="huge"),
    Sample("=cmd|' calc'!A0,<script>alert(1)</script>", formula_name, most=0, says="nothing was written"),
]


# ---------------------------------------------------------------- broken

def empty(m, at):
    os.makedirs(at)


def no_commit(m, at):
    os.makedirs(at)
    git(at, "init", "-q")


def no_commit_but_files(m, at):
    put(at, m.student())
    git(at, "init", "-q")


def text_file(m, at):
    with open(at, "w") as f:
        f.write("My dog ate it.\n")


def cut_zip(m, at):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in m.done().items():
            z.writestr(name, data)
    with open(at + ".zip", "wb") as f:
        f.write(whole.getvalue()[:-200])


def cut_bundle(m, at):
    as_bundle(m, at)
    with open(at + ".bundle", "r+b") as f:
        f.truncate(os.path.getsize(at + ".bundle") // 2)


def binary(m, at):
    put(at, {**m.student(), EVIL: bytes(range(256)) * 40})


def utf16(m, at):
    put(at, {**m.student(), EVIL: m.solved(EVIL).decode().encode("utf-16")})


def huge(m, at):
    put(at, {**m.student(), EVIL: b"/* */\n" * 500_000})


def fifo(m, at):
    put(at, m.student())
    os.unlink(os.path.join(at, EVIL))
    os.mkfifo(os.path.join(at, EVIL))


def does_not_compile(m, at):
    put(at, {**m.done(), EVIL: m.solved(EVIL) + b"\nint x = ;\n"})


def last_lab_does_not_compile(m, at):
    path = next(p for p, n in m.allowed.items() if n == m.lab)
    put(at, {**m.done(), path: m.solved(path) + b"\nint x = ;\n"})


def wrong_lab(m, at):
    """Work on the labs before, nothing of the one that is due."""
    put(at, {p: d for p, d in m.done().items() if m.allowed[p] < m.lab} | {"labs/03-other/README.md": b"x"})


def other_project(m, at):
    put(at, {"src/main.c": b"int main(void) { return 0; }\n", "README.md": b"hello\n"})


def one_file_missing(m, at):
    files = m.done()
    del files["kern/boot/serial.c"]
    put(at, files)


ODD = ("my notes.c", "kern/boot/two\nlines.c", "kern/boot/\x1b[2Jclear.c", "-rf", "kern/boot/; touch x",
       "\u202egpj.exe", "\udcff")


def odd_names(m, at):
    """Names with spaces, newlines, escapes and bytes that are no text, beside the files that count."""
    put(at, {**m.done(), **{n: b"x\n" for n in ODD}})


def odd_names_in_git(m, at):
    committed(at, {**m.done(), **{n: b"x\n" for n in ODD}})
    git(at, "bundle", "create", at + ".bundle", "HEAD", "main")
    subprocess.run(["rm", "-r", at], check=True)


def unreadable(m, at):
    """For root nothing is; a folder where a file should be will do."""
    put(at, {p: d for p, d in m.student().items() if p != EVIL})
    os.makedirs(os.path.join(at, EVIL, "why"))


BROKEN = [
    Sample("broken-empty", empty, most=0, says="no file of any exercise"),
    Sample("broken-no-commit", no_commit, most=0, says="has no commit"),
    Sample("broken no commit but files", no_commit_but_files, most=0, says="has no commit"),
    Sample("broken-text-file", text_file, most=0, says="neither a folder nor a zip"),
    Sample("broken-cut-zip", cut_zip, most=0, says="cut off|cannot be read"),
    Sample("broken-cut-bundle", cut_bundle, most=0, says="no bundle that git can read"),
    Sample("broken-binary", binary, most=0, says="binary; not taken"),
    Sample("broken-utf16", utf16, most=0, says="UTF-16"),
    Sample("broken-huge", huge, most=0, says="huge"),
    Sample("broken-fifo", fifo, most=0, says="no regular file"),
    Sample("broken-does-not-compile", does_not_compile, most=0, classes=("no-build",),
           says=EVIL + r":\d+.*error"),
    Sample("broken-last-lab", last_lab_does_not_compile, most=0.999, classes=("no-build",), says="not built"),
    Sample("broken-wrong-lab", wrong_lab, most=0.9, says="Was the wrong lab sent|no file of any exercise"),
    Sample("broken-other-project", other_project, most=0, says="no file of any exercise"),
    Sample("broken-file-missing", one_file_missing, most=0.9,
           says="not sent, so as handed out: kern/boot/serial.c"),
    Sample("broken-odd-names", odd_names, least=1, says=r"not looked at: .*two\\nlines"),
    Sample("broken-odd-names-bundle", odd_names_in_git, least=1, says=r"not looked at: .*two\\nlines"),
    Sample("broken-folder-for-file", unreadable, most=0, says="not sent"),
]


# ---------------------------------------------------------------- mutated

def header(text, word):
    m = re.search(rf"(?m)^# {word}: *(.+)$", text)
    return m[1].strip() if m else ""


class Mutated(Sample):
    """The solved tree with one mistake of labs/NN-name/mutants: a named test must catch it."""

    def __init__(self, path):
        self.path = path
        with open(path) as f:
            text = f.read()
        self.caught_by = re.findall(r"\w+", header(text, "caught by"))
        super().__init__("mutated-" + os.path.basename(path)[:-6], self.write, most=0.9999)

    def write(self, m, at):
        put(at, m.done())
        p = subprocess.run(["patch", "-s", "-p1", "-d", at, "-i", self.path], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT,
                           text=True)
        if p.returncode:
            raise ValueError(f"{self.path} does not fit: {p.stdout}")

    def expect(self, r, baseline):
        wrong = super().expect(r, baseline)
        failed = {t["name"] for t in r["tests"] if not t["passed"]}
        if not wrong and self.caught_by and not failed & set(self.caught_by):
            return f"not caught by {', '.join(self.caught_by)}; failed: {', '.join(sorted(failed)) or 'none'}"
        return wrong


def mutated(maker):
    """The mutants of the labs in question that change only files with exercises."""
    out = []
    for path in sorted(glob.glob(os.path.join(glob.escape(ROOT), "labs/[0-9]*-*/mutants/*.patch"))):
        with open(path) as f:
            touched = set(re.findall(r"(?m)^\+\+\+ b/(\S+)", f.read()))
        if touched and touched <= set(maker.allowed):
            out.append(Mutated(path))
    return out


def write(samples, maker, folder):
    """Writes the samples into SUBMISSIONS `folder`."""
    os.makedirs(folder, exist_ok=True)
    for s in samples:
        s.make(maker, os.path.join(folder, s.sent()))


