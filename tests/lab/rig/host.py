"""What the lab asks of the machine it runs on: commands, network namespaces, control groups, mounts."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent  # the folder from which `python3 -m rig.…` works
CLONE_NEWNET = 0x40000000
CGROUPS = Path("/sys/fs/cgroup")

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something the lab needs is not there or did not work; the text is one sentence for a person."""


def run(*argv, check=True, timeout=120, **options):
    """Runs a command of the host to its end; its output is text. A failure is a LabError that shows it."""
    argv = [str(a) for a in argv]
    result = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, **options)
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def wait_for(condition, timeout, what, interval=0.05):
    """Waits until condition() is true and returns its value; LabError naming `what` when it does not come true."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise LabError(f"waited {timeout} s for {what}")
        time.sleep(interval)


def enter_network(netns):
    """Moves the calling thread into a named network namespace; sockets that it makes from now on belong there."""
    fd = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns to {netns}")
    finally:
        os.close(fd)


def in_network(netns, function, *args, **kwargs):
    """Calls function in a thread that stands in the network namespace, and returns what it returns."""
    outcome = {}

    def body():
        try:
            enter_network(netns)
            outcome["value"] = function(*args, **kwargs)
        except BaseException as error:  # handed to the caller, whatever it is
            outcome["error"] = error

    thread = threading.Thread(target=body, name=f"in-{netns}")
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def cgroup_roots():
    """The roots of the hierarchies that separate instances: one on a unified host, several on a hybrid one."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [CGROUPS / name for name in ("systemd", "unified", "memory", "pids") if (CGROUPS / name).is_dir()]


def cgroup_pids(path):
    """Every process in a control group and below it, in all hierarchies."""
    pids = set()
    for root in cgroup_roots():
        for folder, _, files in os.walk(root / path):
            if "cgroup.procs" in files:
                try:
                    pids.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
                except (FileNotFoundError, OSError):
                    continue  # it went away while we looked
    return pids - {0, os.getpid()}


def cgroup_kill(path, timeout=20):
    """Kills all that run in a control group and removes it. New processes may appear meanwhile, hence the loop."""
    deadline = time.monotonic() + timeout
    while pids := cgroup_pids(path):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > deadline:
            raise LabError(f"processes {sorted(pids)} of {path} do not die")
        time.sleep(0.01)
    for root in cgroup_roots():
        for folder, _, _ in os.walk(root / path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass  # a zombie not yet reaped holds it; the next sweep takes it


def mounts_below(folder):
    """Mount points at or below a folder, deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].replace("\\040", " ")
        if point == str(folder) or point.startswith(f"{folder}/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def unmount_below(folder):
    for point in mounts_below(folder):
        run("umount", "--lazy", point, check=False)


def loops_below(folder):
    """Loop devices whose backing file lies below a folder."""
    listing = run("losetup", "--noheadings", "--raw", "--output", "NAME,BACK-FILE", check=False).stdout
    pairs = (line.split(" ", 1) for line in listing.splitlines() if " " in line)
    return [name for name, backing in pairs if backing.startswith(f"{folder}/")]


def namespaces(prefix):
    """Named network namespaces whose name starts with prefix."""
    folder = Path("/run/netns")
    return [p.name for p in folder.iterdir() if p.name.startswith(prefix)] if folder.is_dir() else []
