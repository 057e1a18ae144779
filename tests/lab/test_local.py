"""muster on an instance, with musterd: status, history, poll, and deployments by hand."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from rig.desk import DENIED, FAILED, NOT_FOUND, OK
from rig.host import wait_for

TOP = Path(__file__).resolve().parents[2]
APPSPEC = """\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: hooks/migrate
      timeout: 30
units:
  - name: api.service
    file: units/api.service
health:
  - type: unit
    unit: api.service
"""
UNIT = "[Service]\nExecStart=/var/lib/muster/apps/api/current/bin/api\n"
CONFIGURATION = "[agent]\ndepot = file:///depot\ngroup = prod\nsettle_time = 100ms\n[app api]\n"


class Machine:
    """A booted instance on which root works."""

    def __init__(self, instance):
        self.instance = instance

    def muster(self, *words, code=OK):
        done = self.instance.run("muster", *words, check=False)
        assert done.code == code, (words, done)
        return done

    def json(self, *words):
        return json.loads(self.muster(*words, "--json").out)

    def app(self, hook):
        for path, text in {"appspec.yml": APPSPEC, "units/api.service": UNIT, "bin/api": "#!/bin/sh\nexec sleep 1000\n",
                           "hooks/migrate": f"#!/bin/sh\n{hook}\n"}.items():
            self.instance.put(f"/root/app/{path}", text, mode=0o755)

    def hand_over(self, kind, release, path):
        """Calls DeployLocal as a program does that is not muster."""
        self.instance.put("/root/release.json", json.dumps(release))
        return self.instance.run("bus-driver", kind, path, "/root/release.json", check=False)

    def document(self):
        return json.loads(self.instance.sh("cat /var/lib/muster/apps/api/releases/1.0-*.json").out)


@pytest.fixture
def machine(instance):
    machine = Machine(instance)
    instance.put("/usr/local/bin/bus-driver", TOP / "build/gcc/bus-driver", mode=0o755)
    for role in ("root", "release", "target"):
        machine.muster("key", "generate", "--out", f"/root/{role}.key")
    machine.muster("root", "init", "--root-key", "/root/root.key", "--release-key", "/root/release.key", "--target-key",
                   "/root/target.key", "--out", "/etc/muster/root.json")
    return machine


def configure(machine):
    machine.instance.run("mkdir", "/depot")
    machine.instance.put("/etc/muster/muster.conf", CONFIGURATION)
    machine.instance.wait_message("has no target in the depot", unit="musterd.service")


def test_without_a_depot(machine):
    """Nothing is configured: root deploys by hand all the same, musterd remembers it, and a depot is followed once there is one."""
    assert machine.json("status")["state"] == "unconfigured"
    assert "unconfigured: waiting for a depot" in machine.muster("status").out
    assert "waiting for a depot" in machine.muster("poll", code=FAILED).err
    assert "has no app 'api': none was deployed by hand" in machine.muster("history", "api", code=NOT_FOUND).err
    machine.app("echo in group $DEPLOYMENT_GROUP_NAME; exit 3")
    assert "in group local" in machine.muster("deploy", "--local", "/root/app", "--app", "api", code=FAILED).err
    machine.app("true")
    machine.muster("deploy", "--local", "/root/app", "--app", "api", "--version", "1.0")
    assert machine.instance.sh("systemctl is-active api").out == "active\n"
    assert machine.hand_over("folder", {**machine.document(), "app": "other"}, "/root").out == NO_FILE
    assert [app["app"] for app in machine.json("status")["apps"]] == ["api"]

    machine.instance.run("systemctl", "restart", "musterd")
    status = machine.json("status")
    assert (status["state"], status["apps"][0]["version"], status["apps"][0]["required"]) == ("ready", "1.0", False)
    assert machine.json("history", "api")["deployments"][0]["outcome"] == "succeeded"
    assert machine.instance.sh("systemctl is-active api").out == "active\n"

    configure(machine)
    status = machine.json("status")
    assert (status["depot"], status["apps"][0]["version"]) == ("file:///depot", "1.0")


def test_deploy_by_hand(machine):
    configure(machine)
    machine.app("echo fine")
    done = machine.muster("deploy", "--local", "/root/app", "--app", "api", "--version", "1.0")
    assert done.out == "api: 1.0 serves\n" and "api: AfterInstall\n" in done.err
    assert machine.instance.sh("systemctl is-active api").out == "active\n"
    assert machine.json("status")["apps"][0]["version"] == "1.0"

    machine.app("echo it is broken; exit 3")
    failed = machine.muster("deploy", "--local", "/root/app", "--app", "api", "--version", "2.0", code=FAILED).err
    assert "| it is broken" in failed and "ROLLBACK_SWITCH" in failed and "exit status 3" in failed.splitlines()[-1]
    assert machine.instance.sh("systemctl is-active api").out == "active\n"
    app = machine.json("status")["apps"][0]
    assert (app["version"], app["last_failure"]["version"]) == ("1.0", "2.0")
    entries = machine.json("history", "api")["deployments"]
    assert [(entry["version"], entry["outcome"]) for entry in entries] == [("2.0", "rolled-back"), ("1.0", "succeeded")]
    assert "rolled-back" in machine.muster("history").out

    assert "has no app 'nope'" in machine.muster("deploy", "--local", "/root/app", "--app", "nope", code=NOT_FOUND).err


def test_others_may_look_only(machine):
    configure(machine)
    machine.app("echo the password is secret")
    machine.muster("deploy", "--local", "/root/app", "--app", "api")

    def as_nobody(*words):
        return machine.instance.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "muster", *words,
                                    check=False)

    assert as_nobody("status").code == OK
    assert "secret" in machine.muster("history", "--steps").out
    history = as_nobody("history", "--json")
    assert history.code == OK and "AFTER_INSTALL" in history.out and "secret" not in history.out

    machine.app("echo the password is secret; exit 3")  # the reason of a failure quotes it
    machine.muster("deploy", "--local", "/root/app", "--app", "api", "--version", "2.0", code=FAILED)
    for words in (("status", "--json"), ("history", "--json")):
        assert "exit status 3; its last output: the password is secret" in machine.muster(*words).out
        seen = as_nobody(*words).out
        assert "hooks/migrate: exit status 3" in seen and "secret" not in seen
    assert "secret" not in machine.instance.run("systemctl", "show", "-P", "StatusText", "musterd").out
    assert (as_nobody("poll").code, as_nobody("poll").err) == (DENIED, "muster: only root may ask musterd for this\n")


# What a program asks that gives no file, and what is said of it.
NO_FILE = "org.muster.Error.BadInput: the archive: expected the descriptor of a file that can be read\n"
# What may be wrong of an archive: the keys that say it, and the reason.
LIES = {
    "size": (lambda said: said.update(size=said["size"] + 1), "bytes, but"),
    "chunk": (lambda said: said.update(chunks=["0" * 64]), "chunk 0 .* is not what the release says"),
    "format": (lambda said: said.update(format="tar.gz"), ""),
    "entries": (lambda said: said.update(entries=said["entries"] - 1), "entries"),
    "bytes": (lambda said: said.update(unpacked_size=said["unpacked_size"] + 1), "bytes"),
    "tree": (lambda said: said.update(tree_sha256="0" * 64), ""),
}


def test_descriptors_and_lies(machine):
    """DeployLocal is called by a program that is not muster: each mistake is one sentence, and what serves serves on."""
    instance = machine.instance
    configure(machine)
    machine.app("true")
    instance.sh("tar -C /root/app -I 'zstd -q' -cf /root/app.tar.zst .")
    machine.muster("deploy", "--local", "/root/app.tar.zst", "--app", "api", "--version", "1.0")
    truth = machine.document()

    def deploy(kind, release, path="/root/app.tar.zst"):
        return machine.hand_over(kind, {**release, "version": "2.0"}, path)

    for kind, path in (("folder", "/root"), ("pipe", "-"), ("path-only", "/root/app.tar.zst"), ("write-only", "/root/app.tar.zst")):
        assert deploy(kind, truth, path).out == NO_FILE, kind
    assert deploy("file", {**truth, "app": 7}).out.startswith("org.muster.Error.BadInput: "), "no release"
    for what, (lie, reason) in LIES.items():
        release = json.loads(json.dumps(truth))
        [artifact] = release["artifacts"].values()
        lie(artifact)
        asked = deploy("file", release)
        if asked.code != 0:
            assert re.search(f"^org.muster.Error.BadInput: .*{reason}", asked.out), (what, asked)
            continue
        ended = wait_for(lambda asked=asked: [d for d in machine.json("history")["deployments"]
                                              if d["id"] == asked.text and d["outcome"] != "running"], 30, f"the end of {what}")
        assert ended[0]["outcome"] == "failed" and re.search(reason, ended[0]["reason"]), (what, ended[0]["reason"])
    assert machine.json("status")["apps"][0]["version"] == "1.0"
    wait_for(lambda: instance.run("ls", "/var/lib/muster/apps/api/staging").out == "", 30, "what was unpacked to be removed")
    assert instance.run("systemctl", "is-active", "api").out == "active\n"


def test_musterd_that_is_not_there(machine):
    instance = machine.instance
    instance.run("systemctl", "kill", "--signal=SIGSTOP", "--kill-whom=main", "musterd")
    done = machine.muster("status", code=7)
    assert done.err == "muster: musterd does not answer: it hangs or is stopped (systemctl status musterd)\n"
    instance.run("systemctl", "kill", "--signal=SIGCONT", "--kill-whom=main", "musterd")
    machine.muster("status")
    machine.instance.run("systemctl", "stop", "musterd")
    done = machine.muster("status", code=7)
    assert done.err == "muster: musterd does not run on this machine (systemctl status musterd)\n"


def test_second_musterd_waits(machine):
    configure(machine)
    second = machine.instance.start("musterd", stderr=subprocess.PIPE)
    assert "another musterd works on /var/lib/muster" in second.stderr.readline()
    machine.app("true")
    machine.muster("deploy", "--local", "/root/app", "--app", "api")  # by the first
    machine.instance.run("systemctl", "stop", "musterd")
    wait_for(lambda: machine.instance.run("muster", "status", check=False).code == OK, 60, "the second to take over")
    os.killpg(second.pid, signal.SIGKILL)
    second.communicate()


def test_musterd_is_for_root(machine):
    done = machine.instance.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "musterd", check=False)
    assert (done.code, done.err) == (DENIED, "musterd: only root can deploy; run it as the service musterd.service\n")


def test_mistake_in_a_running_configuration(machine):
    """It is told and not taken up; a restart then waits, and says for what."""
    configure(machine)
    machine.instance.put("/etc/muster/muster.conf", CONFIGURATION + "required = perhaps\n")
    machine.instance.run("systemctl", "reload", "musterd")
    machine.instance.wait_message("expected yes or no; what was configured before stays in force", unit="musterd.service")
    assert [app["app"] for app in machine.json("status")["apps"]] == ["api"]
    machine.instance.run("systemctl", "restart", "musterd")
    wait_for(lambda: "muster.conf:6: bad value of required: 'perhaps'" in machine.json("status")["reason"], 30, "the reason")
    assert machine.json("status")["state"] == "waiting"
    machine.instance.put("/etc/muster/muster.conf", CONFIGURATION)
    wait_for(lambda: machine.json("status")["apps"], 30, "the app")


def test_depot_that_is_gone(machine):
    """The app serves on, and the status says what is the matter until it is over."""
    configure(machine)
    machine.app("true")
    machine.muster("deploy", "--local", "/root/app", "--app", "api", "--version", "1.0")
    machine.instance.run("mv", "/depot", "/elsewhere")
    machine.muster("poll")
    wait_for(lambda: "there is no folder /depot" in str(machine.json("status")["apps"][0]["target_problem"]), 30, "the problem")
    assert "there is no folder /depot" in machine.muster("status").out
    assert machine.json("status")["apps"][0]["version"] == "1.0"
    machine.instance.run("mv", "/elsewhere", "/depot")
    machine.muster("poll")
    wait_for(lambda: "has no target" in machine.json("status")["apps"][0]["target_problem"], 30, "the depot to be read")
