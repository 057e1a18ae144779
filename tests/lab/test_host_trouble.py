"""Trouble of the machine while a release is on its way: a disk that turned read-only, S3 that is gone in the middle of a
download, an agent that was stopped, a clock that is a day behind. The old release serves on, the reason is one sentence, and
when the trouble is over it goes on by itself. (A disk without space or inodes, and a process that drains: test_store.py.)"""

import json
import time
from pathlib import Path

import pytest
from rig import goapp, host
from rig.autoscaling import Hook
from rig.host import wait_for
from rig.operator import Muster
from rig.site import Site

TOP = Path(__file__).resolve().parents[2]
STATE = "/var/lib/muster"
# The package's watchdog waits for a minute; a drop-in makes it seconds.
WATCHDOG = "[Service]\nWatchdogSec=4\nTimeoutAbortSec=2\n"


def bring_up(site):
    site.bring_up()
    return site


def status(instance):
    answer = instance.run("muster", "status", "--json", check=False)
    return json.loads(answer.out) if answer.code == 0 else None


def app(instance):
    """None while musterd does not answer, or has only just begun."""
    return next(iter((status(instance) or {"apps": []})["apps"]), None)


def serves(instance):
    return instance.run("curl", "-s", "-m", "2", "http://127.0.0.1:8080/", check=False).out


def test_disk_turns_read_only(new_instance, tmp_path):
    """As ext4 does after an error."""
    instance = new_instance()
    instance.use_state_disk("256M")
    instance.boot()
    site = bring_up(Site(instance, tmp_path))
    site.publish("2.0.0")
    host.run("mount", "-o", "remount,ro", instance.root / STATE.lstrip("/"))
    site.set_target("2.0.0")
    wait_for(lambda: (site.app() or {}).get("target_problem") == "cannot write the deploy record: Read-only file system", 30,
             "the reason")
    assert "1.0.0" in site.serves()
    assert site.current().startswith("releases/1.0.0-")
    host.run("mount", "-o", "remount,rw", instance.root / STATE.lstrip("/"))
    site.wait_app(state="good", version="2.0.0", timeout=90)
    assert "2.0.0" in site.serves()


def test_agent_is_stopped(instance, tmp_path):
    """SIGSTOP in the middle of a deployment, and nobody continues it: systemd's watchdog starts another one, which goes on."""
    site = bring_up(Site(instance, tmp_path))
    site.publish("2.0.0", appspec=lambda text: text.replace("healthy: 2", "healthy: 4"))
    instance.put("/run/systemd/system/musterd.service.d/watchdog.conf", WATCHDOG)
    instance.sh("systemctl daemon-reload; systemctl restart musterd")
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    wait_for(lambda: ((found := site.app()) and found["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks",
             0.05)
    instance.run("systemctl", "kill", "--signal=SIGSTOP", "--kill-whom=main", "musterd")
    instance.wait_message("Watchdog timeout", timeout=60)
    assert site.serves()
    instance.wait_message("taken up", unit="musterd.service", timeout=60)
    site.wait_app(state="good", version="2.0.0", timeout=90)
    interrupted = [s for s in site.history()[0]["steps"] if s["result"] == "interrupted"]
    assert [(s["step"], s["reason"]) for s in interrupted] == [("HEALTH", "musterd ended in the middle")]


@pytest.mark.long
def test_agent_is_stopped_for_two_minutes(instance, tmp_path):
    """The same with the watchdog as the package has it, which does not wait for two minutes either."""
    site = bring_up(Site(instance, tmp_path))
    site.publish("2.0.0", appspec=lambda text: text.replace("healthy: 2", "healthy: 4"))
    site.set_target("2.0.0")
    wait_for(lambda: ((found := site.app()) and found["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks",
             0.05)
    stopped = instance.run("systemctl", "show", "-P", "MainPID", "musterd").text
    instance.run("kill", "-STOP", stopped)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert site.serves()
        time.sleep(1)
    instance.run("kill", "-CONT", stopped, check=False)
    site.wait_app(state="good", version="2.0.0", timeout=90)
    assert "2.0.0" in site.serves()


@pytest.fixture
def in_service(director, cloud, lab, tmp_path):
    """An instance of a group that serves 1.0.0 from S3: (instance, muster)."""
    lab.require_package()
    muster = Muster(lab.layers[0] / "usr/bin/muster")
    muster.prepare(cloud)
    muster.publish(goapp.build(tmp_path, "1.0.0"), "1.0.0")
    muster.set_target("prod", "1.0.0")
    director.create_group("prod", muster.template("prod", poll_interval="1s"), [Hook("muster", heartbeat=120)], desired=1)
    [name] = wait_for(lambda: list(director.instances), 60, "the instance")
    director.wait_state(name, "InService", timeout=90)
    return director.instances[name], muster


def test_s3_is_gone_in_the_middle_of_a_download(in_service, tmp_path):
    instance, muster = in_service
    muster.publish(goapp.build(tmp_path, "2.0.0"), "2.0.0")
    instance.shape("4mbit")
    muster.set_target("prod", "2.0.0")
    wait_for(lambda: 5 <= (((app(instance) or {}).get("deployment") or {}).get("percent") or 0) < 80, 60,
             "the middle of the download", 0.05)
    instance.cut()
    assert "1.0.0" in serves(instance)
    found = wait_for(lambda: (now := app(instance)) and not now["deployment"] and now["last_failure"] and now, 180,
                     "the download to be given up", 0.5)
    assert found["version"] == "1.0.0"
    failure = found["last_failure"]
    assert (failure["version"], failure["step"], failure["fault"]) == ("2.0.0", "FETCH", "host")
    assert "\n" not in failure["reason"]
    assert "1.0.0" in serves(instance)
    instance.shape(None)
    instance.join()
    wait_for(lambda: (now := app(instance)) and (now["state"], now["version"]) == ("good", "2.0.0"), 180, "release 2.0.0", 0.5)
    assert instance.run("ls", f"{STATE}/apps/api/staging").out == ""


def test_clock_is_a_day_behind(in_service, cloud, tmp_path):
    """The instance's clock was set back: what AWS says of the time is what requests are signed with."""
    instance, muster = in_service
    cloud.set_clock(24 * 3600)
    muster.publish(goapp.build(tmp_path, "2.0.0"), "2.0.0")
    muster.set_target("prod", "2.0.0")
    wait_for(lambda: (now := app(instance)) and (now["state"], now["version"]) == ("good", "2.0.0"), 120, "release 2.0.0", 0.5)
    assert "2.0.0" in serves(instance)


def test_clock_is_set_back(in_service, tmp_path):
    """While musterd runs, by a day: nothing waits for a day, and what comes next is what is newest."""
    instance, muster = in_service
    muster.publish(goapp.build(tmp_path, "2.0.0"), "2.0.0")
    instance.put("/usr/local/lib/clock-shim.so", TOP / "build/gcc/clock-shim.so", mode=0o755)
    instance.put("/run/systemd/system/musterd.service.d/clock.conf",
                 "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/clock-shim.so\n")
    instance.sh("systemctl daemon-reload; systemctl restart musterd")
    wait_for(lambda: (now := app(instance)) and (now["state"], now["version"]) == ("good", "1.0.0"), 60, "musterd to be back")
    instance.put("/run/clock-offset", str(-24 * 3600))
    muster.set_target("prod", "2.0.0")
    now = wait_for(lambda: (now := app(instance)) and (now["state"], now["version"]) == ("good", "2.0.0") and now, 120,
                   "release 2.0.0", 0.5)
    assert "2.0.0" in serves(instance)
    kept = json.loads(instance.run("muster", "history", "--json").out)["deployments"]
    assert [d["version"] for d in kept] == ["2.0.0", "1.0.0"]
    assert kept[0]["started"] < kept[1]["started"], (now, "the clock was not set back")
