"""muster status, history, deploy and poll: a private bus with a mock of musterd (mock-musterd.c)."""

import hashlib
import json
import re
import subprocess
import time

import pytest
from rig.desk import BUILD, CONFLICT, DENIED, FAILED, INPUT, NOT_FOUND, OK, UNREACHABLE, USAGE


# On an instance

BUS_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/>
<allow receive_type="error"/></policy></busconfig>
"""


def wait_until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


class Instance:
    """A bus and a mock of musterd on it."""

    def __init__(self, desk):
        self.desk = desk
        self.folder = desk.folder / "musterd"
        self.folder.mkdir()
        address = desk.folder / "bus"
        (desk.folder / "bus.conf").write_text(BUS_CONFIGURATION.format(path=address))
        desk.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={address}"
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={desk.folder}/bus.conf", "--nofork"])
        wait_until(address.exists)
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen([BUILD / "mock-musterd", self.folder], env=self.desk.environment)
        wait_until(lambda: self.desk.run("poll").returncode == OK)
        (self.folder / "polled").unlink()
        return self

    def stop(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()

    def close(self):
        self.stop()
        self.bus.kill()
        self.bus.wait()

    def write(self, name, value):
        (self.folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.fixture
def bus(desk):
    running = Instance(desk)
    yield running
    running.close()


@pytest.fixture
def daemon(bus):
    return bus.start()


STATUS = {
    "agent_version": "0.1.0", "instance": "i-0123", "group": "prod", "depot": "s3://deploys/prod", "state": "ready",
    "apps": [
        {"app": "api", "required": True, "state": "deploying", "version": "1.4.1", "release_sha256": "00" * 32,
         "serial": 17, "since": "2026-01-01T00:00:00Z", "reason": None,
         "deployment": {"id": "d-1", "version": "1.4.2", "step": "FETCH", "event": None,
                        "started": "2026-01-01T00:00:00Z", "percent": 52},
         "last_failure": {"version": "1.4.0", "step": "HEALTH", "reason": "no\033[31m answer\nin 60s",
                          "at": "2026-01-01T00:00:00Z"}},
        {"app": "worker", "required": False, "state": "none", "version": None, "release_sha256": None, "serial": 0,
         "since": None, "reason": "there is no target for it", "deployment": None, "last_failure": None}],
    "launch": {"hook": "muster-launch", "state": "continued", "reason": None}}

HISTORY = {"deployments": [
    {"id": "d-2", "app": "api", "version": "1.4.2", "from_version": "1.4.1", "serial": 18, "started":
     "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:09Z", "outcome": "rolled-back", "reason": "no answer",
     "fault": "release", "steps": [
         {"step": "FETCH", "started": "2026-01-01T00:00:00Z", "seconds": 2.5, "result": "succeeded"},
         {"step": "VALIDATE_SERVICE", "event": "ValidateService", "seconds": 1, "result": "failed",
          "output_tail": "a line\nanother \033[2Jline\n"}]},
    {"id": "d-1", "app": "api", "version": "1.4.1", "from_version": None, "serial": 17, "started":
     "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:05Z", "outcome": "succeeded", "reason": None, "fault": None,
     "steps": []}]}


def test_without_musterd(desk):
    for words in (["status"], ["history"], ["poll"], ["deploy", "--local", ".", "--app", "api"]):
        desk.fails(UNREACHABLE, "musterd does not run on this machine", *words)


def test_bus_without_musterd(bus, desk):
    for words in (["status"], ["history", "api"], ["poll"], ["deploy", "--local", ".", "--app", "api"]):
        desk.fails(UNREACHABLE, "musterd does not run on this machine", *words)


def test_status(daemon, desk):
    daemon.write("status.json", STATUS)
    assert desk.json("status") == STATUS
    text = desk.ok("status")
    for pattern in (r"i-0123 in group prod, musterd 0\.1\.0", r"depot +s3://deploys/prod", r"state +ready",
                    r"hook muster-launch: continued", r"api +1\.4\.1 +deploying +17 +yes", r"worker +- +none +- +no",
                    r"api: deploys 1\.4\.2: FETCH 52%", r"api: 1\.4\.0 failed at HEALTH", "worker: there is no target"):
        assert re.search(pattern, text), (pattern, text)
    assert "\033" not in text
    daemon.write("status.json", {"state": "unconfigured"})
    assert "none yet: see muster.conf(5)" in desk.ok("status")
    daemon.write("status.json", "nonsense")
    desk.fails(INPUT, "no JSON", "status")


def test_history(daemon, desk):
    daemon.write("history.json", HISTORY)
    assert desk.json("history") == HISTORY
    text = desk.ok("history")
    assert re.search(r"d-2 +api +1\.4\.1 -> 1\.4\.2 .* rolled-back +no answer", text)
    text = desk.ok("history", "api", "--steps")
    assert re.search(r"FETCH +succeeded +2\.5s", text) and re.search(r"ValidateService +failed +1\.0s", text)
    assert "| a line" in text and "\033" not in text
    daemon.write("history.json", {"deployments": []})
    assert "nothing was deployed yet" in desk.ok("history")
    desk.fails(NOT_FOUND, "no app 'unknown'", "history", "unknown")


def test_poll(daemon, desk):
    desk.ok("poll")
    assert (daemon.folder / "polled").exists()


def as_nobody(desk, *words):
    return subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534", *desk.command(*words)], cwd="/",
                          env=desk.environment, text=True, capture_output=True, check=False)


def test_only_root(daemon, desk):
    daemon.write("status.json", STATUS)
    for path in (desk.folder, *desk.folder.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    (desk.folder / "bus").chmod(0o666)
    if as_nobody(desk, "--version").returncode != OK:
        pytest.skip("this tree is not everybody's to read")
    assert as_nobody(desk, "status").returncode == OK
    done = as_nobody(desk, "poll")
    assert (done.returncode, done.stderr) == (DENIED, "muster: only root may do this\n")


def test_deploy_local(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "FETCH\nUNITS\nsucceeded\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api", "--version", "1.5")
    assert (done.returncode, done.stdout) == (OK, "api: 1.5 serves\n"), done
    assert done.stderr == "api: FETCH\napi: UNITS\n"
    release = json.loads((daemon.folder / "release.json").read_text())
    assert (release["app"], release["version"]) == ("api", "1.5")
    sent = (daemon.folder / "archive").read_bytes()
    assert release["artifacts"]["any"]["sha256"] == hashlib.sha256(sent).hexdigest()


def test_deploy_local_fails(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "HEALTH\nfailed no answer within 60s\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api")
    assert done.returncode == FAILED and done.stdout == ""
    assert "| second" in done.stderr and "\033" not in done.stderr
    assert done.stderr.splitlines()[-1] == "muster: api: deployment d-mock-1: no answer within 60s"
    assert re.fullmatch(r"local-\d{14}", json.loads((daemon.folder / "release.json").read_text())["version"])


def test_deploy_local_without_waiting(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "succeeded\n")
    desk.app()
    told = desk.json("deploy", "--local", "app", "--app", "api", "--version", "1", "--no-wait")
    assert told == {"id": "d-mock-1", "app": "api", "version": "1"}


def test_deploy_local_json(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "failed broken\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api", "--json", "-q")
    assert (done.returncode, done.stderr) == (FAILED, "")
    assert json.loads(done.stdout)["outcome"] == "failed"


def test_deploy_local_refused(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("refuse", "deployment d-7 of api is running")
    desk.app()
    desk.fails(CONFLICT, "deployment d-7 of api is running", "deploy", "--local", "app", "--app", "api")
    desk.fails(NOT_FOUND, "gone", "deploy", "--local", "gone", "--app", "api")


def test_deploy_local_outlives_a_restart_of_musterd(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "FETCH\ndie\n")
    desk.app()
    process = subprocess.Popen(desk.command("deploy", "--local", "app", "--app", "api"), cwd=desk.folder,
                               env=desk.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    daemon.daemon.wait()
    daemon.write("history.json", {"deployments": [{"id": "d-mock-1", "app": "api", "version": "x",
                                                   "outcome": "succeeded"}]})
    daemon.daemon = subprocess.Popen([BUILD / "mock-musterd", daemon.folder], env=desk.environment)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (OK, "api: x serves\n"), err


# Pins of this instance


def test_pin(desk, daemon):
    pin = ["pin", "--local", "api", "1.0", "--reason", "heap dump"]
    assert desk.ok(*pin) == "api on this instance: pinned to 1.0\nmuster status says how it goes there\n"
    assert (daemon.folder / "pinned").read_text() == "api\n1.0\nheap dump\n"
    assert desk.ok(*pin) == "api on this instance: already pinned to 1.0\n"
    assert desk.json(*pin) == {"app": "api", "version": "1.0", "reason": "heap dump", "changed": False}
    assert desk.ok("unpin", "--local", "api") == "api on this instance: unpinned, follows its group\n"
    assert desk.json("unpin", "--local", "--app", "api") == {"app": "api", "changed": False}
    assert desk.json("pin", "--local", "1.1", "--reason", "x", env={"MUSTER_APP": "api"})["version"] == "1.1"
    desk.fails(NOT_FOUND, "no app 'unknown'", "pin", "--local", "unknown", "1.0", "--reason", "x")
    desk.fails(USAGE, "--urgent is about the instances of a group", *pin, "--urgent")
    desk.fails(USAGE, "expected: muster pin --local APP VERSION --reason TEXT", "pin", "--local", "api", "prod", "1.0",
               "--reason", "x")
    desk.fails(USAGE, "the app is missing: muster unpin --local APP", "unpin", "--local")


def test_pin_is_followed(desk, daemon):
    pin = ["pin", "--local", "api", "1.0", "--reason", "x"]
    daemon.write("plan", "SWITCH\nUNITS\nsucceeded\n")
    done = desk.run(*pin)
    assert (done.returncode, done.stdout) == (OK, "api on this instance: pinned to 1.0\napi: 1.0 serves\n")
    assert "api: SWITCH\n" in done.stderr


def test_pin_that_fails(desk, daemon):
    daemon.write("plan", "HEALTH\nfailed it broke\n")
    done = desk.run("pin", "--local", "api", "1.0", "--reason", "x", "--json")
    assert done.returncode == FAILED
    told = json.loads(done.stdout)
    assert (told["changed"], told["deployment"]["reason"]) == (True, "it broke")


def test_pin_without_waiting(desk, daemon):
    daemon.write("plan", "HEALTH\nfailed it broke\n")
    assert "pinned to 1.0" in desk.ok("pin", "--local", "--no-wait", "api", "1.0", "--reason", "x")


def test_pin_without_a_daemon(desk, bus):
    desk.fails(UNREACHABLE, "musterd does not run", "pin", "--local", "api", "1.0", "--reason", "x")
    desk.fails(UNREACHABLE, "musterd does not run", "unpin", "--local", "api")
