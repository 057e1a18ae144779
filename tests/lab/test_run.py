"""What a run leaves when it is killed: nothing, for long."""

import os
import signal
import subprocess
import sys

import pytest
from rig import host
from rig.run import FOLDER, sweep

_VICTIM = """
import sys
from rig.lab import Lab
lab = Lab(say=lambda _: None)
instance = lab.instance()
instance.use_state_disk("16M")
instance.boot()
print(lab.run.id, lab.run._guard.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def victim(lab):
    """A run of another process, with an instance that is on: (process, id, guard's process id)."""
    process = subprocess.Popen([sys.executable, "-c", _VICTIM], cwd=host.TOOL, text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    run_id, guard = process.stdout.readline().split()
    yield process, run_id, int(guard)
    process.kill()
    process.wait()


def left(run_id):
    return {"processes": host.cgroup_pids(f"muster-lab/{run_id}"), "mounts": host.mounts_below(FOLDER / run_id),
            "loops": host.loops_below(FOLDER / run_id), "names": host.namespaces(f"muster-lab-{run_id}-"),
            "files": list(FOLDER.glob(f"{run_id}*"))}


def test_a_live_run_is_left_alone(victim):
    _, run_id, _ = victim
    assert not sweep(run_id)
    assert all(left(run_id).values())


def test_its_guard_sweeps_after_a_killed_run(victim):
    process, run_id, _ = victim
    process.kill()
    host.wait_for(lambda: not any(left(run_id).values()), 20, "the guard to sweep")


def test_the_next_run_sweeps_when_the_guard_was_killed_too(victim):
    process, run_id, guard = victim
    os.kill(guard, signal.SIGKILL)
    process.kill()
    process.wait()
    assert left(run_id)["mounts"]
    assert sweep(run_id)
    assert not any(left(run_id).values())
