"""artifacts/depot_file when things go wrong below it: killed at every system call, full disk, failing fsync."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DRIVER = TOP / "build/gcc/depot-driver"
OLD, NEW = b"old content", b"new content" * 50_000
CALLS = "openat2,openat,mkdirat,write,fsync,flock,renameat,renameat2,unlinkat,close"
KEY = "apps/a/groups/g/target.json"


class Depot:
    def __init__(self, folder, content):
        self.folder, self.uri, self.content = folder, f"file://{folder}", content

    def run(self, verb, *arguments, under=()):
        command = [*map(str, under), str(DRIVER), verb, self.uri, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        lines = done.stderr.decode(errors="replace").splitlines()
        return {**dict(line.split("=", 1) for line in lines if "=" in line), "out": done.stdout, "status": done.returncode}

    def put(self, *arguments, key=KEY, under=()):
        return self.run("put-file", key, self.content, *arguments, under=under)

    def get(self):
        said = self.run("get", KEY)
        return said["out"] if said["outcome"] == "ok" else None

    def names(self):
        return sorted(str(f.relative_to(self.folder)) for f in self.folder.rglob("*") if f.is_file())


@pytest.fixture
def depot(tmp_path):
    (tmp_path / "content").write_bytes(NEW)
    (tmp_path / "depot").mkdir()
    return Depot(tmp_path / "depot", tmp_path / "content")


def strace(*injections):
    return ["strace", "-f", "-qq", "-o", "/dev/null", *(word for i in injections for word in ("-e", f"inject={i}"))]


@pytest.mark.parametrize("existing", [False, True], ids=["create", "match"])
def test_killed_at_every_call(depot, existing):
    """Whoever looks afterwards sees the old value or the new one, whole; the next writer is not held up and tidies up."""
    old, condition = None, ["create"]
    survived = 0
    for when in range(1, 400):
        for file in depot.folder.rglob("*"):
            if file.is_file() and file.name != ".lock":
                file.unlink()
        if existing:
            (depot.folder / "old").write_bytes(OLD)
            etag = depot.run("put", KEY, depot.folder / "old", "always")["etag"]
            (depot.folder / "old").unlink()
            old, condition = OLD, ["match", etag]
        said = depot.put(*condition, under=strace(f"{CALLS}:signal=KILL:when={when}"))
        value = depot.get()
        assert value in (old, NEW), f"killed at call {when}"
        listed = depot.run("list", "")["out"].decode().splitlines()
        assert [line.split("\t")[0] for line in listed] == ([KEY] if value is not None else [])
        assert depot.put("always")["outcome"] == "ok" and depot.get() == NEW
        assert depot.names() == [f"{os.path.dirname(KEY)}/.lock", KEY]
        survived = survived + 1 if said["status"] == 0 else 0
        if survived == 2:  # it makes fewer calls than that
            break
    assert when > 20 and survived == 2


@pytest.mark.parametrize("fault", ["fsync:error=EIO:when=1", "write:error=ENOSPC:when=1+", "renameat:error=EIO",
                                   "openat2:error=EACCES:when=3+"])
def test_failing_calls(depot, fault):
    """One sentence that names the key; the old value stays, and nothing is left behind."""
    (depot.folder / "old").write_bytes(OLD)
    assert depot.run("put", KEY, depot.folder / "old", "always")["outcome"] == "ok"
    (depot.folder / "old").unlink()
    before = depot.names()
    said = depot.put("always", under=strace(fault))
    if "write" not in fault:  # which spoils standard error as well
        assert int(said["result"]) < 0 and said["fault"] == "host"
        assert said["error"].startswith(f"{depot.uri}/{KEY}: ")
    assert said["status"] != 0
    assert depot.get() == OLD and depot.names() == before


def test_full_disk(depot):
    script = f'mount -t tmpfs -o size=256k tmpfs {depot.folder} && exec "$@"'
    said = depot.put("create", under=["unshare", "--mount", "sh", "-c", script, "sh"])
    assert int(said["result"]) < 0 and said["fault"] == "host" and "No space left" in said["error"]
