"""muster fleet and muster wait: a group as its instances report it, in a folder and in a bucket. Boots nothing."""

import json
import os
import pty
import re
import subprocess
import threading
import time

import pytest
from rig import faults
from rig.desk import DENIED, FAILED, NOT_FOUND, UNREACHABLE, USAGE, Desk

GROUP = ("api", "prod")
HOUR = 3600


class Group:
    """The reports of a group, written as its instances would."""

    def __init__(self, desk):
        self.desk = desk
        self.folder = desk.folder / "depot/apps/api/groups/prod/instances"
        self.folder.mkdir(parents=True)

    def report(self, instance, version="1.4.2", state="good", age=0, **members):
        path = self.folder / f"AROAX:{instance}.json"
        path.write_text(json.dumps({"instance": instance, "version": version, "state": state, **members}))
        when = time.time() - age
        os.utime(path, (when, when))

    def release(self, version):
        path = self.desk.folder / f"depot/apps/api/releases/{version}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")

    def list(self, *words):
        return {i["instance"]: i for i in self.desk.json("fleet", *GROUP, *words)["instances"]}


@pytest.fixture
def group(desk):
    return Group(desk)


def test_fleet(desk, group):
    group.report("i-1", since="2026-01-01T00:00:00Z", rollback={"ready": True, "version": "1.4.1"})
    group.report("i-2", "1.4.1", "failed", reason="api.service failed")
    group.report("i-3", age=HOUR)
    group.report("i-4", age=25 * HOUR)
    group.report("i-5", age=HOUR, report_interval="1h")
    (group.folder / "stranger.txt").write_text("not a report")
    (group.folder / "broken.json").write_text("{")
    text = desk.ok("fleet", *GROUP).splitlines()
    assert text[0] == "4 instances: 2 on 1.4.2, 1 on 1.4.1, 1 on nothing; 2 healthy, 2 unhealthy; 1 silent, 1 gone"
    assert [line.split()[:3] for line in text[2:]] == [
        ["INSTANCE", "VERSION", "HEALTH"], ["i-2", "1.4.1", "unhealthy"], ["broken", "-", "unhealthy"], ["i-3", "1.4.2", "silent"],
        ["i-1", "1.4.2", "healthy"], ["i-5", "1.4.2", "healthy"]]
    assert "api.service failed" in text[3] and "\033" not in "".join(text)
    assert set(group.list("--gone")) == {"i-1", "i-2", "i-3", "i-4", "i-5", "broken"}
    assert set(group.list("--unhealthy")) == {"i-2", "i-3", "broken"}
    assert set(group.list("--version", "1.4.1")) == {"i-2"}
    told = group.list()["i-1"]
    assert told["name"] == "AROAX:i-1" and told["rollback_ready"] == "1.4.1" and told["since"] == "2026-01-01T00:00:00Z"


def test_names(desk, group):
    desk.fails(NOT_FOUND, "api has no target for the group prod", "fleet", *GROUP)
    desk.fails(USAGE, "group is missing", "fleet", "--app", "api")
    desk.fails(USAGE, "expected: muster fleet APP GROUP", "fleet", "api")
    desk.fails(USAGE, "expected letters", "fleet", "api", "../prod")
    group.report("i-1")
    assert desk.ok("fleet", "--app", "api", "--group", "prod").startswith("1 instance: 1 on 1.4.2; 1 healthy\n")
    desk.fails(NOT_FOUND, "", "fleet", *GROUP, "--depot", "file:///nowhere")
    group.report("i-1", age=50 * HOUR)
    assert f"{group.folder}/ came 2d ago; --gone lists" in desk.ok("fleet", *GROUP)


def _terminal(desk, *words, until, seconds=20):
    """Runs the command on a terminal until what it has drawn has the pattern; all that it drew."""
    here, there = pty.openpty()
    process = subprocess.Popen(desk.command(*words), stdin=there, stdout=there, stderr=there, cwd=desk.folder,
                               env={**desk.environment, "TERM": "xterm"})
    os.close(there)
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    drawn = b""
    try:
        while not re.search(until, drawn):
            drawn += os.read(here, 65536)
    except OSError:
        raise AssertionError(f"{until} was never drawn: {drawn}") from None
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        os.close(here)
    return drawn.decode()


def test_watch(desk, group):
    for number in range(60):
        group.report(f"i-{number:02}")
    group.report("i-bad", state="failed")
    drawn = _terminal(desk, "fleet", *GROUP, "--watch", until=rb"and \d+ more")
    assert "\033[H" in drawn and "\033[1;31mi-bad" in drawn

    process = subprocess.Popen(desk.command("fleet", *GROUP, "--watch"), stdout=subprocess.PIPE, text=True, cwd=desk.folder,
                               env=desk.environment)
    first = process.stdout.readline()
    group.report("i-bad")
    second = process.stdout.readline()
    process.kill()
    process.wait()
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z 61 instances: 61 on 1\.4\.2; 60 healthy, 1 unhealthy\n", first)
    assert second.endswith(" 61 instances: 61 on 1.4.2; 61 healthy\n")


def test_wait(desk, group):
    want = ("wait", *GROUP, "--version", "1.4.2", "--instances")
    group.release("1.4.2")
    group.report("i-1")
    group.report("i-2", age=HOUR)
    group.report("i-3", "1.4.1")
    group.report("i-4", state="deploying")
    assert desk.ok(*want, 1) == "1 instance of api in prod serves 1.4.2\n"
    done = desk.run(*want, 2, "--timeout", "1s")
    assert done.returncode == FAILED and done.stderr == "muster: after 1s 1 of 2 instances of api in prod serve 1.4.2\n"
    assert re.fullmatch(r"\S+Z 1 of 2 with 1\.4\.2; 3 instances: .*; 1 silent\n", done.stdout)
    told = desk.run(*want, 2, "--timeout", "0", "--json")
    assert told.returncode == FAILED and told.stderr == ""
    assert json.loads(told.stdout)["reached"] is False and json.loads(told.stdout)["serving"] == 1
    later = threading.Timer(1, group.report, ("i-3",))
    later.start()
    assert desk.json(*want, 2, "--timeout", "50s")["reached"]
    later.join()
    assert "\n" not in _terminal(desk, *want, 3, until=rb"2 of 3 with 1\.4\.2")
    desk.fails(NOT_FOUND, "api has no version 9", "wait", *GROUP, "--version", "9", "--instances", 1)
    desk.fails(USAGE, "instances", "wait", *GROUP, "--version", "1.4.2")
    desk.fails(USAGE, "--instances is 0", *want, 0)


def test_bucket(built, cloud, bucket, tmp_path):
    """Reports of a group of hundreds are read many at a time; a second look reads what has changed."""
    desk, s3 = Desk(tmp_path, cloud), cloud.client("s3")
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/depot"

    def report(number, version):
        s3.put_object(Bucket=bucket, Key=f"depot/apps/api/groups/prod/instances/i-{number}.json",
                      Body=json.dumps({"version": version, "state": "good"}))
    for number in range(120):
        report(number, "1.4.2" if number else "1.4.1")
    assert desk.ok("fleet", *GROUP).startswith("120 instances: 119 on 1.4.2, 1 on 1.4.1; 120 healthy\n")
    s3.put_object(Bucket=bucket, Key="depot/apps/api/releases/1.4.2.json", Body="{}")
    later = threading.Timer(2, report, (0, "1.4.2"))
    later.start()
    assert desk.json("wait", *GROUP, "--version", "1.4.2", "--instances", 120, "--timeout", "50s")["reached"]
    later.join()
    with cloud.fault(faults.access_denied(), service="s3", method="GET", path=".*i-7.json"):
        desk.fails(DENIED, "AccessDenied", "fleet", *GROUP)
    desk.fails(UNREACHABLE, "Connection refused", "fleet", *GROUP, env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
