"""One run of the lab: everything that it leaves on the machine can be found from its id, so that it can be removed by
whoever comes next, however it ended.

    /run/muster-lab/<id>.lock       held (flock) while the run lives; free: the run is stale
    /run/muster-lab/<id>/           a tmpfs with the run's files, and its mounts below it
    <cgroup root>/muster-lab/<id>/  all of its processes
    network namespaces              muster-lab-<id>-…
    loop devices                    backed by files below the run's folder

A guard process waits for the end of the run's main process and then sweeps, so that even kill -9 leaves nothing
behind for long. There are no pid files: a control group cannot name a foreign process, a pid that was recycled can.
"""

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import host
from .host import LabError

FOLDER = Path("/run/muster-lab")
# What an instance writes lies in memory; 2 cores cannot fill more than this by accident.
TMPFS_SIZE = "4g"

# Puts the shell into the control group in every hierarchy, then becomes the command.
_ENTER_CGROUP = 'for file in $1; do echo $$ >"$file" || exit 125; done; shift; exec "$@"'


def _lock(path, flags):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, flags)
        # The file may have been swept away between open and flock: then we hold a lock on nothing.
        if os.fstat(fd).st_nlink == 0:
            raise BlockingIOError
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _remove(run_id):
    host.cgroup_kill(f"muster-lab/{run_id}")
    folder = FOLDER / run_id
    host.unmount_below(folder)
    for device in host.loops_below(folder):
        host.run("losetup", "--detach", device, check=False)
    for name in host.namespaces(f"muster-lab-{run_id}-"):
        host.run("ip", "netns", "delete", name, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(run_id):
    """Removes what a run left if that run is over; returns whether it was."""
    path = FOLDER / f"{run_id}.lock"
    fd = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if fd is None:
        return False
    try:
        _remove(run_id)
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    return True


def sweep_all():
    """Removes what all runs that are over have left; returns their ids."""
    if not FOLDER.is_dir():
        return []
    return [run_id for run_id in sorted(p.stem for p in FOLDER.glob("*.lock")) if sweep(run_id)]


class Run:
    def __init__(self):
        if os.geteuid() != 0:
            raise LabError("the lab boots instances and makes network namespaces: run it as root")
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        sweep_all()
        self._lock = None
        while self._lock is None:  # another run's sweep can take a lock file that is only just there
            self.id = secrets.token_hex(3)
            self._lock = _lock(FOLDER / f"{self.id}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.folder = FOLDER / self.id
        self.cgroup = f"muster-lab/{self.id}"
        self.folder.mkdir()
        host.run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_SIZE},mode=0755", "muster-lab", self.folder)
        self._guard = self._start_guard()

    def _start_guard(self):
        """Reads from a pipe that nobody writes to: it ends when this process does."""
        command = [sys.executable, "-m", "rig.run", "guard", self.id]
        return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=host.TOOL,
                                start_new_session=True)

    def namespace(self, name):
        """Makes a network namespace of this run and returns its full name."""
        full = f"muster-lab-{self.id}-{name}"
        host.run("ip", "netns", "add", full)
        host.run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def spawn(self, argv, name, netns=None, log=None, env=None, **options):
        """Starts a process in a control group `name` of this run, so that it cannot outlive it."""
        files = []
        for root in host.cgroup_roots():
            folder = root / self.cgroup / name
            folder.mkdir(parents=True, exist_ok=True)
            files.append(str(folder / "cgroup.procs"))
        enter = ["nsenter", f"--net=/run/netns/{netns}", "--"] if netns else []
        command = ["sh", "-c", _ENTER_CGROUP, "sh", " ".join(files), *enter, *[str(a) for a in argv]]
        options.setdefault("stdin", subprocess.DEVNULL)
        if log:
            with open(log, "ab") as output:
                return subprocess.Popen(command, stdout=output, stderr=output, env=env, **options)
        return subprocess.Popen(command, env=env, **options)

    def close(self):
        if self._lock is None:
            return
        _remove(self.id)
        (FOLDER / f"{self.id}.lock").unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None
        self._guard.stdin.close()
        self._guard.wait()


def _guard(run_id):
    sys.stdin.buffer.read()
    deadline = time.monotonic() + 10
    while (FOLDER / f"{run_id}.lock").exists() and not sweep(run_id) and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["guard"]:
        _guard(sys.argv[2])
    else:
        for swept in sweep_all():
            print(f"swept {swept}")
