"""Takes a submission in: whatever was sent becomes {path: bytes} of the allowed files, and lines for the
report.

Idea.       Three kinds of source (folder, zip, git) answer two questions: which names are there, and what is
            in this one. Everything else is common: where in there the student's tree begins, which allowed
            files it has, and what is wrong with the rest. A name that was sent is only ever compared and
            printed, never opened as a path of ours.
Interface.  take(path, allowed, lab) -> Intake.  allowed: {path: lab of the exercise}.
Invariants. I1 nothing that was sent is executed, and git looks at it only inside a box.
            I2 no symbolic link is followed, no file is read further than MAX_FILE, no listing further than
               MAX_NAMES.
            I3 whatever is wrong becomes a line in `notes`; only our own bugs raise.
"""

import hashlib
import io
import os
import re
import stat
import struct
import tarfile
import zipfile

from grade.instructor import box

MAX_FILE = 256 * 1024                        # the longest exercise file has 20 KiB
MAX_NAMES = 20_000
MAX_ARCHIVE = 64 << 20
MAX_DIRECTORY = 8 << 20                      # of a zip's central directory
SKIPPED = {".git", "build", "__pycache__", ".vscode", ".cache"}
FILE, LINK, OTHER = "file", "symbolic link", "no regular file"


class Unreadable(Exception):
    """The submission as a whole cannot be taken in; says why."""


def shown(name, most=100):
    """A name that was sent, for a report: printable, on one line, not too long."""
    name = name if isinstance(name, str) else os.fsdecode(name)
    text = "".join(c if c.isprintable() else repr(c)[1:-1]
                   for c in name).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most else text[:most - 3] + "..."


class Intake:
    def __init__(self):
        self.files = {}                      # {path: bytes} that are taken
        self.notes = []                      # lines for the report
        self.kind = ""
        self.edited = []                     # files of the tree that no exercise is in, and that are not as handed out
        self.added = []                      # files that the tree does not have

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)


# ---------------------------------------------------------------- folder

class Folder:
    kind = "folder"

    def __init__(self, path):
        self.top = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.complaints = []

    def names(self):
        """{name: (kind, size)}, breadth first so that a deep mess does not hide what lies on top."""
        out, work = {}, [""]
        while work:
            folder = work.pop(0)
            for e in self.scan(folder):
                name = f"{folder}{e.name}"
                if len(out) >= MAX_NAMES:
                    self.complaints.append(f"more than {MAX_NAMES} files: the rest was not looked at")
                    return out
                if e.is_symlink():
                    out[name] = (LINK, 0)
                elif e.is_dir(follow_symlinks=False):
                    if e.name not in SKIPPED and name.count("/") < 40:
                        work.append(name + "/")
                elif e.is_file(follow_symlinks=False):
                    out[name] = (FILE, e.stat(follow_symlinks=False).st_size)
                else:
                    out[name] = (OTHER, 0)
        return out

    def scan(self, folder):
        try:
            fd = self.open(folder.rstrip("/"), os.O_DIRECTORY) if folder else os.dup(self.top)
        except OSError as e:
            self.complaints.append(f"{shown(folder)}: {e.strerror}")
            return []
        try:
            with os.scandir(fd) as it:
                found = []
                for e in it:
                    e.stat(follow_symlinks=False)
                    found.append(e)
                    if len(found) > MAX_NAMES:
                        break
                return sorted(found, key=lambda e: e.name)
        except OSError as e:
            self.complaints.append(f"{shown(folder)}: {e.strerror}")
            return []
        finally:
            os.close(fd)

    def open(self, name, how=0):
        """Opens below the top without following any link on the way."""
        at, parts = os.dup(self.top), name.split("/")
        try:
            for i, part in enumerate(parts):
                last = i == len(parts) - 1
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                at, old = os.open(part, flags | (how if last else os.O_DIRECTORY), dir_fd=at), at
                os.close(old)
            return at
        except OSError:
            os.close(at)
            raise

    def read(self, name):
        fd = self.open(name)
        with os.fdopen(fd, "rb") as f:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(None, "no regular file")
            return f.read(MAX_FILE + 1)

    def close(self):
        os.close(self.top)

    def no_commit(self):
        """A .git without a commit, told by its files: git itself is not let near it."""
        def there(name, folder=False):
            try:
                fd = self.open(name, os.O_DIRECTORY if folder else 0)
            except OSError:
                return False
            try:
                return not folder or bool(os.listdir(fd))
            finally:
                os.close(fd)
        return there(".git/HEAD") and not there(".git/packed-refs") and not there(".git/refs/heads", True)


# ---------------------------------------------------------------- zip

class Zip:
    kind = "zip"

    def __init__(self, path):
        self.complaints = []
        self.bound(path)
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as e:
            raise Unreadable(f"the zip file cannot be read: {e}") from None
        self.infos = {}

    @staticmethod
    def bound(path):
        """Looks at the end record before zipfile believes it: a central directory can be a bomb, too."""
        size = os.path.getsize(path)
        if size > MAX_ARCHIVE:
            raise Unreadable(f"huge: the zip file has {size >> 20} MiB, {MAX_ARCHIVE >> 20} are allowed")
        with open(path, "rb") as f:
            f.seek(max(0, size - 66000))
            tail = f.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) < at + 22:
            raise Unreadable("the zip file is cut off: it has no end record")
        entries, directory = struct.unpack("<HI", tail[at + 10:at + 16])
        if entries > MAX_NAMES or directory > MAX_DIRECTORY:
            raise Unreadable(f"a zip bomb? It lists {entries} files; {MAX_NAMES} are allowed")

    def names(self):
        out = {}
        for info in self.zip.infolist()[:MAX_NAMES]:
            name = info.filename
            parts = name.replace("\\", "/").split("/")
            if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                self.complaints.append(f"leads out of the zip file: {shown(name)}; not taken")
                continue
            if name.endswith("/"):
                continue
            if name in self.infos:
                self.complaints.append(f"{shown(name)}: twice in the zip file; the last one counts")
            mode = info.external_attr >> 16
            kind = LINK if stat.S_ISLNK(mode) else FILE
            self.infos[name] = info
            out[name] = (kind, info.file_size)
        return out

    def read(self, name):
        try:
            with self.zip.open(self.infos[name]) as f:
                return f.read(MAX_FILE + 1)
        except RuntimeError:
            raise OSError(None, "needs a password") from None
        except Exception as e:               # zlib, lzma, CRC, overlaps: the file is broken, whichever way
            raise OSError(None, f"broken in the zip file ({type(e).__name__})") from None

    def close(self):
        self.zip.close()


# ---------------------------------------------------------------- git

LISTING = r"""
cd "$W" && tar -x || exit 9
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
if [ -f sent.bundle ]; then
	git init -q --bare --template= r >&2 || exit 8
	git -C r fetch -q --no-tags "$W/sent.bundle" '+refs/*:refs/*' >&2 || exit 7
	git -C r fetch -q --no-tags "$W/sent.bundle" +HEAD:refs/sent/head 2> /dev/null
else
	mv repo.git r
fi
set -- -c safe.directory='*' -c core.fsmonitor= -c core.hooksPath=/dev/null --git-dir="$W/r"
for name in refs/sent/head HEAD "refs/heads/lab$LAB" refs/heads/main refs/heads/master \
		$(git "$@" for-each-ref --sort=-committerdate --count=20 --format='%(refname)' refs/heads); do
	commit=$(git "$@" rev-parse -q --verify "$name^{commit}" 2> /dev/null) && break
done
[ -n "$commit" ] || exit 6
"""
ENDS = {9: "could not be unpacked", 8: "git does not work in the sandbox",
        7: "is no bundle that git can read",
        6: "has no commit"}


class Git:
    """A bundle, or a repository folder without a work tree. Read by git inside a box, by object names."""
    kind = "git"

    def __init__(self, data, lab):
        self.data, self.lab = data, lab
        self.complaints = []
        self.ids = {}

    def git(self, then, more=()):
        done = box.run(f"LAB={int(self.lab)}\n{LISTING}\n{then}", tar(self.data | dict(more)),
                       box.Limits(seconds=60, output=32 << 20), devices=("/dev/null", "/dev/urandom"))
        if done.limit:
            raise Unreadable(f"a git bomb? Looking into it took more {done.limit} than is allowed")
        if done.status:
            said = done.said.strip().splitlines()[-1:] if done.status == 7 else []
            raise Unreadable("the repository " + ENDS.get(done.status, "cannot be read by git")
                             + "".join(f" ({shown(s)})" for s in said))
        return done.out

    def names(self):
        out = {}
        for line in self.git('git "$@" ls-tree -r -z -l --full-tree "$commit"').split(b"\0"):
            m = re.match(rb"(\d{6}) (\w+) ([0-9a-f]+) +(\d+|-)\t(.*)", line, re.S)
            if m and len(out) < MAX_NAMES:
                name = os.fsdecode(m[5])
                kind = {b"100644": FILE, b"100755": FILE, b"120000": LINK}.get(m[1], OTHER)
                out[name] = (kind, int(m[4]) if m[4] != b"-" else 0)
                self.ids[name] = m[3].decode()
        return out

    def read_all(self, names):
        """{name: bytes} of files that are not too long."""
        want = "".join(self.ids[n] + "\n" for n in names).encode()
        out = self.git('git "$@" cat-file --batch < "$W/want"', {"want": want}.items())
        found, at = {}, 0
        for n in names:
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            found[n] = out[end + 1:end + 1 + size]
            at = end + 2 + size
        return found

    def close(self):
        pass


def tar(files, mtime=0):
    """{name: bytes} as an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), mtime, 0o755 if data[:2] == b"#!" else 0o644
            t.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def bare_repository(folder, top):
    """The files of a repository without a work tree, for a box."""
    out, size = {}, 0
    for sub, dirs, names in os.walk(os.path.join(folder, top)):
        dirs[:] = [d for d in dirs if d not in ("hooks", "worktrees")]
        for name in names:
            full = os.path.join(sub, name)
            st = os.lstat(full)
            if not stat.S_ISREG(st.st_mode):
                continue
            size += st.st_size
            if size > MAX_ARCHIVE or len(out) > MAX_NAMES:
                raise Unreadable("huge: the repository is larger than is allowed")
            with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as f:
                out["repo.git/" + os.path.relpath(full, os.path.join(folder, top))] = f.read(st.st_size)
    return out


# ---------------------------------------------------------------- which kind it is

def source_of(path, lab):
    """The source that reads `path`, whatever its name claims to be."""
    st = os.lstat(path)
    if stat.S_ISLNK(st.st_mode):
        raise Unreadable("is a symbolic link; a folder, a zip file or a git bundle is wanted")
    if stat.S_ISDIR(st.st_mode):
        entries = set(os.listdir(path)[:MAX_NAMES])
        for top, inside in ((".", entries), (".git", entries - {".git"} and {"x"})):
            bare = {"HEAD", "objects", "refs"} <= inside if top == "." else ".git" in entries and not inside
            if bare:
                return Git(bare_repository(path, top), lab)
        return Folder(path)
    if not stat.S_ISREG(st.st_mode):
        raise Unreadable("is no regular file")
    with open(path, "rb") as f:
        magic = f.read(16)
    if magic.startswith(b"PK"):
        return Zip(path)
    if magic.startswith((b"# v2 git bundle", b"# v3 git bundle")):
        if st.st_size > MAX_ARCHIVE:
            raise Unreadable(f"huge: the bundle has {st.st_size >> 20} MiB, {MAX_ARCHIVE >> 20} are allowed")
        with open(path, "rb") as f:
            return Git({"sent.bundle": f.read()}, lab)
    raise Unreadable("is neither a folder nor a zip file nor a git bundle"
                     + (" (it is empty)" if not st.st_size else ""))


def roots(names, allowed):
    """The folders inside the submission that hold allowed files, best first: {prefix: how many}."""
    found = {}
    for name in names:
        plain = name.replace("\\", "/")
        parts = plain.split("/")
        for depth in range(min(len(parts), 6)):
            if "/".join(parts[depth:]) in allowed:
                prefix = "/".join(parts[:depth])
                found[prefix] = found.get(prefix, 0) + 1
    return sorted(found, key=lambda p: (-found[p], p.count("/"), p))


def reject(data):
    """Why the bytes are no C file, or None."""
    if len(data) > MAX_FILE:
        return f"huge: more than {MAX_FILE >> 10} KiB"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "not plain text (saved as UTF-16?)"
    if b"\0" in data:
        return "binary"
    return None


def read_files(source, wanted):
    """{name: bytes or the reason why not} of [(name, kind, size)]."""
    out = {n: f"a {kind}" if kind != OTHER else kind for n, kind, _ in wanted if kind != FILE}
    out |= {n: f"huge: {size >> 10} KiB, {MAX_FILE >> 10} are allowed" for n, kind, size in wanted
            if n not in out and size > MAX_FILE}
    left = [n for n, _, _ in wanted if n not in out]
    if isinstance(source, Git):
        return out | (source.read_all(left) if left else {})
    for n in left:
        try:
            out[n] = source.read(n)
        except OSError as e:
            out[n] = e.strerror or str(e)
    return out


def take(path, allowed, lab, known=None):
    """Takes in what was sent at `path`. known: {path: hash} of the whole tree as handed out."""
    got = Intake()
    try:
        source = source_of(path, lab)
    except (Unreadable, OSError) as e:
        got.note(e.strerror if isinstance(e, OSError) else str(e))
        return got
    try:
        got.kind = source.kind
        if isinstance(source, Folder) and source.no_commit():
            got.note("the repository has no commit: the files that lie in the folder are graded")
        look(got, source, allowed, lab, known or {})
    except Unreadable as e:
        got.note(str(e))
    finally:
        source.close()
    return got


def hash_of(data):
    return hashlib.sha256(data).hexdigest()[:24]


def rest(got, source, at, names, allowed, known):
    """Sorts the files that are not taken: as handed out, edited, added."""
    same = [(at[p], *names[at[p]]) for p in at if p in known and p not in allowed]
    read = read_files(source, same)
    got.edited = sorted(p for p in at if p in known and p not in allowed
                        and (isinstance(read[at[p]], str) or hash_of(read[at[p]]) != known[p]))
    got.added = sorted(p for p in at if p not in known and p not in allowed)
    for what, found in (("changed, but no exercise is in it, so it stays as handed out", got.edited),
                        ("not of the tree, so not looked at", got.added)):
        if found:
            first = ", ".join(shown(p, 60) for p in sorted(found, key=lambda p: (p.count("/"), p))[:8])
            got.note(f"{what}: {first}" + (f" and {len(found) - 8} more" if len(found) > 8 else ""))


def look(got, source, allowed, lab, known):
    """Fills `got` from the source."""
    names = source.names()
    within = roots(names, allowed)
    top = within[0] + "/" if within and within[0] else ""
    if len(within) > 1:
        got.note(f"{len(within)} trees with files of the labs were sent; graded is {shown(top or 'the top')}")
    at = {n.replace("\\", "/")[len(top):]: n for n in names if n.replace("\\", "/").startswith(top)}
    wanted = [(at[p], *names[at[p]]) for p in allowed if p in at]
    read = read_files(source, wanted)
    for p in allowed:
        data = read.get(at.get(p))
        why = data if isinstance(data, str) else reject(data) if data is not None else None
        if why:
            got.note(f"{p}: {why}; not taken, the file as handed out stands in its place")
        elif data is not None:
            got.files[p] = data
    rest(got, source, at, names, allowed, known)
    hidden = link_in_the_way(names, top, allowed)
    for p in hidden:
        got.note(f"{shown(p)}: a symbolic link; what is behind it is not taken")
    for line in source.complaints[:20]:
        got.note(line)
    missing(got, allowed, lab)


def link_in_the_way(names, top, allowed):
    """Links where a folder of the tree should be."""
    folders = {"/".join(p.split("/")[:i]) for p in allowed for i in range(1, p.count("/") + 1)}
    return sorted(n for n, (kind, _) in names.items() if kind == LINK and n.startswith(top)
                  and n[len(top):] in folders)


def missing(got, allowed, lab):
    """Says which labs' files are not there; all of the lab that is graded: probably another lab's work."""
    for n in sorted(set(allowed.values())):
        files = [p for p in allowed if allowed[p] == n]
        absent = [p for p in files if p not in got.files
                  and not any(line.startswith(p + ":") for line in got.notes)]
        if len(absent) == len(files) and got.files:
            wrong = " Was the wrong lab sent?" if n == lab else ""
            got.note(f"no file of lab {n} was sent: they count as handed out.{wrong}")
        elif absent and got.files:
            got.note(f"lab {n}: not sent, so as handed out: {', '.join(absent)}")
    if not got.files and not any(p + ":" in line for p in allowed for line in got.notes):
        got.notes.insert(0, "no file of any exercise was found in it")
