"""What a class run works with: the labs' exercises, the tree as handed out, and the settings kept in
OUT/run.json.

Idea.       All that is the same for every submission is made once, in prepare(): the release's sources and
            their objects as one tar, the products of the build that judges need, the skeleton's own score. A
            unit of work reads it, never writes it, so units can run in any order, at the same time, on any
            machine that sees the folder OUT.
Interface.  prepare(settings) writes OUT/base; Course(out) reads it.
Invariants. I1 run.json names everything a result depends on; `key` is its digest. Another key: results are
               made anew.
"""

import glob
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib

from grade.instructor import box
from grade.instructor.intake import shown, tar

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT_FROM = ("kern/", "lib/kern/", "lib/abi/", "lib/host/", "GNUmakefile", "grade/release/release.mk")
# All objects first, for all that the compiler has to say; then the kernels, as far as they link.
MAKE_KERNELS = r"""
cd "$W" && tar -xi || exit 9
cd "$SRC" || exit 9
while read -r f; do rm -f "$W/build/obj/${f%%.*}.o"; done < "$W/changed"
make -k -s -j%(jobs)d --no-print-directory B="$W/build" LAB=%(last)s objects >&2
for n in %(labs)s; do
	make -s -j%(jobs)d --no-print-directory B="$W/build" LAB=$n kernel >&2 || break
done
cd "$W/build" && tar -c -f - -T /dev/null %(want)s
"""


class CourseError(Exception):
    """The instructor must do something about it; says what."""


def write_json(path, data):
    """Written as a whole or not at all."""
    with open(path + ".new", "w") as f:
        json.dump(data, f, indent=1)
    os.replace(path + ".new", path)


def exercises(lab):
    """{path: lab} of the files that the exercises of labs 1..lab name in this tree."""
    return exercises_in(manifests(), lab)


def manifests():
    """{path: bytes} of this tree's lab.tomls."""
    paths = glob.glob(os.path.join(glob.escape(ROOT), "labs/[0-9]*-*/lab.toml"))
    return {p: own(p) for p in (os.path.relpath(p, ROOT) for p in paths)}


def exercises_in(tree, lab):
    """The same of a tree {path: bytes}: a release may have its exercises elsewhere."""
    out = {}
    for path in sorted(p for p in tree if re.fullmatch(r"labs/\d+-[^/]+/lab\.toml", p)):
        if number_of(path) <= lab:
            for e in tomllib.loads(tree[path].decode()).get("exercise", []):
                out.setdefault(e["file"], number_of(path))
    return out


def number_of(path):
    """The lab whose folder a file lies in."""
    return int(path.split("/")[1].split("-")[0])


def lab_numbers(top=ROOT):
    return sorted(int(os.path.basename(p).split("-")[0])
                  for p in glob.glob(os.path.join(glob.escape(top), "labs/[0-9]*-*")))


def build_files(path):
    """Whether the kernel's build reads this file. Judges, hints and handouts stay outside of the box."""
    return path.startswith(BUILT_FROM) or re.fullmatch(r"fs/.*\.(c|h|S)|labs/[^/]+/files", path)


def handed_out(lab, release=""):
    """{path: bytes}: the tree of labs 1..lab as students got it; from a release's branch, or made from this
    tree."""
    with tempfile.TemporaryDirectory(prefix="eclipse-release-") as tmp:
        repo = release or os.path.join(tmp, "students")
        if not release:
            p = subprocess.run([sys.executable, "-m", "grade.release.write", repo, "--labs",
                                f"{lab_numbers()[0]}-{lab}"],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if p.returncode:
                raise CourseError(f"the release cannot be made: {p.stdout.strip()}")
        tree = branch(repo, f"lab{lab}")
    return dict(sorted(tree.items()))


def branch(repo, name):
    """{path: bytes} of a branch."""
    p = subprocess.run(["git", "-C", repo, "archive", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode:
        raise CourseError(f"RELEASE={repo}: {p.stderr.decode(errors='replace').strip()}")
    return read_tar(p.stdout)


def solutions(lab, allowed, release=""):
    """{path: bytes}: the exercises' files with their bodies. Of a release that is older than this tree, as far as its
    branches labN-start show them."""
    out = {p: own(p) for p in allowed if os.path.exists(os.path.join(ROOT, p))}
    if release:
        p = subprocess.run(["git", "-C", release, "for-each-ref", "--format=%(refname:short)", "refs/heads"],
                           stdout=subprocess.PIPE, text=True)
        starts = sorted(int(n) for n in re.findall(r"(?m)^lab(\d+)-start$", p.stdout))
        best = next((n for n in starts if n > lab), lab if lab in starts else 0)
        if best:
            tree = branch(release, f"lab{best}-start")
            out |= {p: tree[p] for p in allowed if allowed[p] < best and p in tree}
    return out


LISTED = r"(?m)^(?!#)(\S+)"
EARS = ("kern/boot/observe.c", "kern/boot/observe.h")


def observer(path):
    return os.path.basename(path).startswith("observe_")


def built_from(tree, lab):
    """Of a tree as handed out what the kernel's build reads; with this tree's observers, which its judges know.

    Students have not got all observers (tests can be kept back; those of an older release may tell less), nor the
    lists of later labs, whose titles a kernel says.
    """
    src = {p: data for p, data in tree.items() if build_files(p)}
    old = {number_of(p): p for p in src if p.startswith("labs/")}
    for path in (os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(glob.escape(ROOT), "labs/[0-9]*-*/files"))):
        n = number_of(path)
        if n > lab or n not in old:
            src[path] = own(path)
        if n <= lab:
            ours = [p for p in re.findall(LISTED, own(path).decode()) if observer(p)]
            src[old.get(n, path)] = with_observers(src[old.get(n, path)].decode(), ours).encode()
            src |= {p: own(p) for p in ours}
    return src | {p: own(p) for p in EARS if p in src}


def with_observers(text, ours):
    """A lab's list with this tree's observers in the place of the ones that were handed out."""
    theirs = re.findall(LISTED, text)
    gone = {p for p in theirs if observer(p) and p not in ours}
    lines = [line for line in text.splitlines() if line.split()[:1] == [] or line.split()[0] not in gone]
    return "\n".join(lines + [f"{p}  observed" for p in ours if p not in theirs]) + "\n"


def own(path):
    """A file of this tree."""
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.read()


def read_tar(data, most=64 << 20):
    """{name: bytes} of the regular files of a tar that came out of a box."""
    out = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as t:
            for m in t:
                if m.isfile() and m.size <= most:
                    out[os.path.normpath(m.name)] = t.extractfile(m).read()
    except tarfile.TarError:
        pass
    return out


def build_script(labs, everything=False, jobs=1):
    """The script of a build in a box: kernels of the labs, as far as it gets; `everything`: the whole build
    folder."""
    kernels = " ".join(f"lab-{n}/kernel.elf" for n in labs)
    want = "." if everything else f"$(ls -d {kernels} 2> /dev/null)"
    return MAKE_KERNELS % {"labs": " ".join(map(str, labs)), "last": labs[-1], "want": want, "jobs": jobs}


class Course:
    """A prepared class run, as every unit of work sees it."""

    def __init__(self, out):
        self.out = os.path.abspath(out)
        try:
            with open(self.path("run.json")) as f:
                self.settings = json.load(f)
        except (OSError, ValueError) as e:
            raise CourseError(f"{out}: no class run here ({e})") from None
        self.lab, self.seed, self.key = (self.settings[k] for k in ("lab", "seed", "key"))
        self.labs = [n for n in lab_numbers() if n <= self.lab]
        self.allowed = self.settings["allowed"]
        self.units = self.settings["units"]

    def path(self, *parts):
        return os.path.join(self.out, *parts)

    def skeleton(self):
        """{path: bytes} as handed out."""
        with open(self.path("base", "src.tar"), "rb") as f:
            return {p.removeprefix("src/"): d for p, d in read_tar(f.read()).items()}

    def known(self):
        """{path: hash} of all that was handed out."""
        with open(self.path("base", "handed.json")) as f:
            return json.load(f)

    def base(self):
        """Sources and objects, as one tar to begin a build with."""
        with open(self.path("base", "base.tar"), "rb") as f:
            return f.read()

    def tests(self):
        """The tests of this run with what the skeleton got for each."""
        with open(self.path("base", "baseline.json")) as f:
            return json.load(f)

    def products(self):
        return self.path("base", "build")


# ---------------------------------------------------------------- preparation

def slug(name, taken):
    """A file name of ours for whatever a student's folder is called."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:40]
    if plain != name or plain.lower() in taken:
        plain = (plain or "x") + "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    taken.add(plain.lower())
    return plain


def find_units(folder):
    """[{id, name, sent}] for everything that lies in SUBMISSIONS; hidden files and lists are none."""
    taken, out = set(), []
    try:
        entries = sorted(os.listdir(folder))
    except OSError as e:
        raise CourseError(f"SUBMISSIONS={folder}: {e.strerror}") from None
    for entry in entries:
        if entry.startswith("."):
            continue
        name = re.sub(r"\.(zip|bundle|git)$", "", entry) or entry
        out.append({"id": slug(name, taken), "name": shown(name), "sent": os.fsencode(entry).hex()})
    if not out:
        raise CourseError(f"SUBMISSIONS={folder}: nothing is in there")
    return out


def digest(*things):
    h = hashlib.sha256()
    for t in things:
        data = t if isinstance(t, bytes) else json.dumps(t, sort_keys=True).encode()
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:16]


def judge_digest(hidden=""):
    """Of the judges and what they work with: results made with other tests are not the same results."""
    patterns = ("labs/*/*.py", "labs/*/lab.toml", "grade/eclipse/*.py", "grade/run.py", "grade/plugin.py",
                "user/*.c", "user/*/*.[ch]", "lib/*/*.[chS]", "fs/eclipsefs/host/*")
    files = sorted(f for p in patterns for f in glob.glob(os.path.join(glob.escape(ROOT), p)))
    theirs = [os.path.join(folder, n) for folder, _, names in os.walk(hidden) if hidden for n in names
              if not folder.endswith("__pycache__")]
    return digest(*map(own, [f for f in files + sorted(theirs) if os.path.isfile(f)]))


def make_base(folder, src, labs):
    """Builds the skeleton once, in a box like everybody's: its objects are where every build begins."""
    files = {"src/" + p: d for p, d in src.items()}
    data = tar(files, mtime=1_000_000_000)
    done = box.run(build_script(labs, everything=True, jobs=2), data + tar({"changed": b""}),
                   box.Limits(seconds=900, cpu=300, room=1 << 30, output=512 << 20))
    built = read_tar(done.out)
    if f"lab-{labs[-1]}/kernel.elf" not in built:
        raise CourseError(f"the tree as handed out does not build ({done.limit or done.status}):\n{done.said[-3000:]}")
    with open(os.path.join(folder, "src.tar"), "wb") as f:
        f.write(data)
    keep = {"build/" + p: d for p, d in built.items() if p.startswith("obj/") or "/" not in p}
    with open(os.path.join(folder, "base.tar"), "wb") as f:
        f.write(data + tar(keep, mtime=1_000_000_001))
    return built


NOT_LINKED = ("obj", "kernel.elf", "eclipse.img", "test.img")


def link_products(folder, build):
    """The judges' side of a build: everything but kernels, by link into the build folder it was made in."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(build):
        if name in NOT_LINKED or name.startswith(("lab-", "flags.", "kernel")):
            continue
        link = os.path.join(folder, name)
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(os.path.join(build, name), link)
