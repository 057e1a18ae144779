"""An adoption that is cut short: musterd killed at its system calls, the power gone, `muster migrate` killed. It is gone on with or
has never been; the app runs on; and what comes after it, forward and back, is as ever."""

import json
import subprocess

import pytest
from rig.codedeployed import GROUP, ROOT, bundle, deploy_as_codedeploy, look
from rig.desk import CONFLICT, OK
from rig.host import wait_for

VERSION = "codedeploy-d-ABCDEFGHI"
APPLY = ("muster", "migrate", "--app", "site", "--apply")
APP = "/var/lib/muster/apps/site"
FILES = f"{APP}/files"

# Where it stops: after the system call of this name, the so many-th of its process, with this folder if one is named.
STORED = ("renameat2", 1, None)
ENVIRONMENT = ("symlinkat", 1, None)
BEFORE_CURRENT = ("symlinkat", 2, None)
AFTER_CURRENT = ("renameat", 1, FILES)
JOURNAL = ("fsync", 2, FILES)
TIDIED = ("unlinkat", 1, FILES)


class Machine:
    def __init__(self, instance):
        self.instance = instance
        instance.put("/etc/systemd/system/musterd.service.d/once.conf", "[Service]\nRestart=no\n")
        deploy_as_codedeploy(instance)
        instance.run("systemctl", "disable", "--now", "codedeploy-agent")
        self.before = look(instance)

    def forget(self):
        """Nothing has been taken over yet."""
        self.instance.sh(f"systemctl stop musterd; rm -rf {APP} /run/trace; systemctl start musterd")
        assert self.app() is None

    def app(self):
        """None also for one that has no release."""
        apps = json.loads(self.instance.run("muster", "status", "--json").out)["apps"]
        return apps[0] if apps and (apps[0]["version"] or apps[0]["deployment"]) else None

    def apply_until(self, call, when, folder):
        """Whether it came to that point, where musterd and all that it has begun now stand still."""
        pid = self.instance.run("systemctl", "show", "-P", "MainPID", "musterd").text
        tracer = self.instance.start("strace", "-f", "-o", "/run/trace", "-p", pid, *(["-P", folder] if folder else []), "-e",
                                     f"trace={call}", "-e", f"inject={call}:signal=SIGSTOP:when={when}", stderr=subprocess.DEVNULL)
        wait_for(lambda: self.instance.run("grep", "-q", "^TracerPid:.*[1-9]", f"/proc/{pid}/status", check=False).code == OK, 20,
                 "strace to look at musterd")
        apply = self.instance.start(*APPLY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.stands_still() or (apply.poll() is not None and self.settled()), 60, "it to end or to stand still")
        self.apply, self.tracer = apply, tracer
        return self.stands_still()

    def stands_still(self):
        return self.instance.run("grep", "-q", "stopped by SIGSTOP", "/run/trace", check=False).code == OK

    def settled(self):
        return self.instance.run("ls", FILES, check=False).out == "installed\n"

    def kill(self):
        """Nothing of musterd is left, and it starts again."""
        self.instance.sh("systemctl kill --signal=KILL --kill-whom=all musterd; "
                         "while systemctl is-active --quiet musterd; do sleep 0.05; done")
        self.tracer.wait(60)
        self.instance.sh("systemctl reset-failed musterd; systemctl start musterd")
        self.apply.wait(60)  # it waits for musterd to come back

    def pull_plug(self):
        self.instance.pull_plug()
        self.apply.wait(60)
        self.tracer.wait(60)
        self.instance.boot()
        self.instance.run(f"{ROOT}/{GROUP}/d-ABCDEFGHI/deployment-archive/scripts/start")
        self.before = look(self.instance)

    def check(self, where):
        """It is taken over, or it is not; then it can be. Nobody has touched the app."""
        wait_for(lambda: not (self.app() or {}).get("deployment"), 30, f"{where}: the adoption to end")
        assert look(self.instance) == self.before, where
        app, again = self.app(), self.instance.run(*APPLY, check=False)
        assert again.code == (CONFLICT if app else OK), (where, app, again)
        assert (self.app()["version"], self.app()["state"]) == (VERSION, "held"), (where, self.app())
        wait_for(self.settled, 20, f"{where}: the journal to be gone")
        assert self.instance.sh(f"ls -d {APP}/current/scripts {APP}/adopt 2>/dev/null || true").out == f"{APP}/current/scripts\n"
        assert look(self.instance) == self.before, where
        self.instance.run("muster", "verify", "--installed")

    def deploy(self, version, site, start=None):
        bundle(self.instance, f"/root/{version}", site)
        if start:
            self.instance.put(f"/root/{version}/scripts/start", start, mode=0o755)
        return self.instance.run("muster", "deploy", "--local", f"/root/{version}", "--app", "site", "--version", version,
                                 check=False)

    def go_on(self):
        """A release that fails leads back to the one that was taken over; the next one replaces and removes what that has."""
        assert self.deploy("2", {"index.html": "broken\n"}, start="#!/bin/sh\nexit 1\n").code != OK
        assert self.app()["version"] == VERSION
        assert self.instance.sh("cat /srv/site/index.html /srv/site/old/gone.html /srv/site/theirs").out == "one\ngone\nmine\n"
        assert self.deploy("3", {"index.html": "three\n"}).code == OK
        assert self.instance.sh("cd /srv/site; find . -type f | sort; cat index.html").out == "./index.html\n./theirs\nthree\n"
        assert self.instance.sh("find / -xdev -name '.muster-*' 2>/dev/null || true").out == ""


@pytest.fixture
def machine(lab):
    instance = lab.instance()
    instance.use_state_disk()
    yield Machine(instance.boot())
    lab.remove(instance)


def test_killed_and_power_cut(machine):
    for where in (BEFORE_CURRENT, JOURNAL):
        machine.forget()
        assert machine.apply_until(*where), where
        machine.kill()
        machine.check(where)
    machine.forget()
    assert machine.apply_until(*AFTER_CURRENT)
    machine.pull_plug()
    machine.check("power")
    machine.go_on()


@pytest.mark.long
def test_killed_everywhere(machine):
    """At each call that changes the store or its record, and of the command at each of its messages."""
    points = [STORED, ENVIRONMENT, AFTER_CURRENT, TIDIED, *(("renameat", when, None) for when in range(1, 30))]
    killed = 0
    for where in points:
        machine.forget()
        if machine.apply_until(*where):
            killed += 1
            machine.kill()
        else:
            machine.tracer.terminate()
            machine.tracer.wait(20)
        machine.check(where)
    assert killed > 10
    for when in range(1, 20):
        machine.forget()
        machine.instance.run("strace", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", f"inject=sendmsg:signal=SIGKILL:when={when}",
                             *APPLY, check=False)
        machine.check(f"message {when}")
    machine.go_on()


@pytest.mark.long
def test_power_cut_everywhere(machine):
    for where in (STORED, ENVIRONMENT, BEFORE_CURRENT, JOURNAL, TIDIED, *(("renameat", when, None) for when in (1, 3, 5))):
        machine.forget()
        assert machine.apply_until(*where), where
        machine.pull_plug()
        machine.check(where)
    machine.go_on()
