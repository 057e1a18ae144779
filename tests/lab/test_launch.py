"""Instances that an Auto Scaling group launches, with muster on them and S3 as the depot: when they enter service, and that
they do so whatever the cloud does meanwhile. The director's log is the witness."""

import json
import time

import pytest
from rig import faults, goapp, imds
from rig.autoscaling import Hook
from rig.host import wait_for
from rig.operator import Muster

GROUP = "prod"


@pytest.fixture
def muster(lab, cloud):
    lab.require_package()
    made = Muster(lab.layers[0] / "usr/bin/muster")
    made.prepare(cloud)
    return made


@pytest.fixture
def published(muster, tmp_path):
    """Publishes a version of the app and makes it the group's."""
    def publish(version="1.0.0", appspec=None, **switches):
        muster.publish(goapp.build(tmp_path, version, appspec, **switches), version)
        muster.set_target(GROUP, version)
    return publish


def launch(director, muster, heartbeat=60, desired=1, hooks=("muster",), begin_delay=0.3, **options):
    director.create_group(GROUP, muster.template(GROUP, **options), [Hook(name, heartbeat=heartbeat) for name in hooks],
                          desired=desired, begin_delay=begin_delay)
    director.wait_event("pending_wait", count=desired)
    wait_for(lambda: len(director.instances) == desired, 60, "the instances to be there")
    return list(director.instances)


def results(director, instance):
    return [event.detail for event in director.find("result", instance)]


def test_enters_service_only_when_healthy(director, cloud, muster, published):
    published(SLOW_START="4s")
    [instance] = launch(director, muster)
    address = director.instances[instance].address
    healthy = wait_for(lambda: (cloud.get(f"http://{address}:8080/healthz") or [0])[0] == 200 and time.monotonic(), 60,
                       "the health check to be answered", 0.02)
    served = director.wait_event("in_service", instance)
    assert healthy < served.at
    assert len(results(director, instance)) == 1
    report = json.loads(cloud.read(muster.bucket, cloud.objects(muster.bucket, "depot/apps/api/groups/prod/instances/")[0]))
    assert (report["instance"], report["group"]) == (instance, GROUP)


def test_heartbeats_hold_the_instance(director, muster, published):
    """A deployment that takes longer than the hook's time-out."""
    published(appspec=lambda text: text.replace("healthy: 2", "healthy: 14"))
    [instance] = launch(director, muster, heartbeat=10)
    director.wait_state(instance, "InService", timeout=60)
    assert director.find("heartbeat", instance)


def test_first_release_that_is_broken(director, cloud, muster, published):
    """The instance is replaced, and has said why in the depot before. The next one fails too, and is held, since replacing
    instances does not help; a better target brings it into service."""
    published(FAIL_START="1")
    [first] = launch(director, muster, heartbeat=12, launch="abandon_limit = 1\n")
    director.wait_event("terminated", first)
    assert not director.find("in_service", first)
    [result] = results(director, first)
    assert (result["result"], result["why"]) == ("ABANDON", "completed")
    [failure] = muster.failures(GROUP, first)
    assert (failure["instance"], failure["version"], failure["step"], failure["fault"]) == (first, "1.0.0", "UNITS", "release")
    assert failure["auto_scaling_group"] == GROUP
    steps = {step["step"]: step for step in failure["deployment"]["steps"]}
    assert "failing to start, as told" in steps["UNITS"].get("output_tail", ""), failure
    assert failure["reason"] in "\n".join(failure["journal"])
    [key] = cloud.objects(muster.bucket, "depot/apps/api/groups/prod/failures/")
    assert key.split("/")[-2] == failure["release_sha256"] and key.endswith(f":{first}.json")

    second = director.wait_event("booting", count=2).instance
    host = director.instances[second]
    wait_for(lambda: launch_status(host)["state"] == "holding", 60, "the second instance to be held")
    assert "1 other instances failed" in launch_status(host)["reason"]
    host.wait_message("would not help", unit="musterd.service")
    told = len(director.find("heartbeat", second))
    director.wait_event("heartbeat", second, count=told + 1)
    assert [f["instance"] for f in muster.failures(GROUP)] == [second, first]
    assert results(director, second) == [] and director.state(second) == "Pending:Wait"
    report = next(k for k in cloud.objects(muster.bucket, "depot/apps/api/groups/prod/instances/") if second in k)
    wait_for(lambda: json.loads(cloud.read(muster.bucket, report))["launch"]["state"] == "holding", 30, "the report")
    published("1.0.1")
    director.wait_state(second, "InService", timeout=60)
    assert [r["result"] for r in results(director, second)] == ["CONTINUE"]


SIDE = """version: 0.0
os: linux
hooks:
  ValidateService:
    - location: hooks/validate
      timeout: 30
"""


def side_app(folder, name, code):
    app = folder / name
    (app / "hooks").mkdir(parents=True)
    (app / "appspec.yml").write_text(SIDE)
    (app / "hooks/validate").write_text(f"#!/bin/sh\nexit {code}\n")
    (app / "hooks/validate").chmod(0o755)
    return app


def test_several_apps_and_hooks(director, cloud, muster, published, tmp_path):
    """Three apps, of which an optional one fails, and three hooks, of which one is not muster's. It finds its own, completes
    each of them once, and leaves the other alone. The first completion is too early and the answer to the next is lost; STS
    does not answer at first, and the instance metadata are down when musterd starts again."""
    published()
    for name, code in (("worker", 0), ("extra", 1)):
        muster.publish(side_app(tmp_path, name, code), "1.0", name)
        muster.set_target(GROUP, "1.0", name)
    sts = cloud.fault(faults.reset(), service="sts")
    director.create_group(GROUP, muster.template(GROUP, hook="auto", sections="[app worker]\n\n[app extra]\nrequired = no\n"),
                          [Hook(name, heartbeat=60) for name in ("muster", "muster-second", "warm-cache")], desired=1,
                          begin_delay=14)
    instance = director.wait_event("booting").instance
    host = director.instances[instance]
    host.wait_message("not active yet", unit="musterd.service", timeout=60)
    with cloud.fault(faults.lost_answer(), times=1, action="CompleteLifecycleAction"):
        wait_for(lambda: launch_status(host)["state"] == "continued", 90, "both hooks to be completed")
    director.wait_event("result", instance, count=2)
    assert sorted(r["hook"] for r in results(director, instance)) == ["muster", "muster-second"]
    assert {r["result"] for r in results(director, instance)} == {"CONTINUE"}
    status = json.loads(host.run("muster", "status", "--json").out)
    assert {a["app"]: a["state"] for a in status["apps"]} == {"api": "good", "worker": "good", "extra": "failed"}
    assert status["launch"]["hooks"] == ["muster", "muster-second"] and not status["launch"]["alarm"]
    assert director.state(instance) == "Pending:Wait"

    sts.remove()
    reports = "depot/apps/api/groups/prod/instances/"
    wait_for(lambda: any(f":{instance}" in key for key in cloud.objects(muster.bucket, reports)), 60,
             "a report under the name that STS gives")
    cloud.metadata.fault = imds.unreachable
    host.run("systemctl", "restart", "musterd.service")
    host.wait_message("going by what was found before in this boot", unit="musterd.service", timeout=60)
    wait_for(lambda: {a["app"]: a["version"] for a in apps_of(host)} == {"api": "1.0.0", "worker": "1.0", "extra": None},
             30, "the apps to be looked after again")
    cloud.metadata.fault = None
    director.complete(instance, "warm-cache")
    director.wait_state(instance, "InService")
    assert len(results(director, instance)) == 3


def test_hooks_of_others_only(director, muster, published):
    """No hook of the group's is muster's: none is completed, and the instance says so."""
    published()
    [instance] = launch(director, muster, hooks=("warm-cache",), hook="auto")
    host = director.instances[instance]
    host.wait_message("they are left to others: warm-cache", unit="musterd.service", timeout=60)
    wait_for(lambda: [a["state"] for a in apps_of(host)] == ["good"], 60, "the app to be good")
    assert results(director, instance) == []
    assert launch_status(host)["state"] == "none"


def test_first_release_that_is_broken_and_waits(director, muster, published):
    """on_failure = wait: the hook's own time-out decides."""
    published(FAIL_START="1")
    [instance] = launch(director, muster, launch="on_failure = wait\n")
    host = director.instances[instance]
    host.wait_message("failed in UNITS", unit="musterd.service", timeout=60)
    wait_for(lambda: muster.failures(GROUP, instance), 30, "the reason to be in the depot")
    assert director.state(instance) == "Pending:Wait"
    assert results(director, instance) == []
    assert launch_status(host)["state"] == "waiting"


def test_somebody_else_completes_it(director, muster, published):
    """An operator lets the instance in while it deploys, and then the release fails: that is too late to abandon it."""
    published(appspec=lambda text: text.replace("deadline: 30s", "deadline: 8s"), FAIL_HEALTH="1")
    [instance] = launch(director, muster)
    host = director.instances[instance]
    host.wait_message("HEALTH", unit="musterd.service", timeout=60)
    wait_for(lambda: launch_status(host)["state"] == "waiting", 30, "the instance to know that it is held")
    director.complete(instance, "muster")
    director.wait_state(instance, "InService")
    wait_for(lambda: launch_status(host)["state"] == "over", 60, "the launch to be over")
    assert [r["result"] for r in results(director, instance)] == ["CONTINUE"]
    assert director.state(instance) == "InService" and not launch_status(host)["alarm"]


def test_answer_to_the_completion_is_lost(director, cloud, muster, published):
    published()
    with cloud.fault(faults.lost_answer(), times=1, action="CompleteLifecycleAction") as fault:
        [instance] = launch(director, muster)
        director.wait_state(instance, "InService")
        host = director.instances[instance]
        wait_for(lambda: launch_status(host)["state"] == "continued", 30, "the launch to be settled")
    assert fault.hits == 1


def apps_of(host):
    answer = host.run("muster", "status", "--json", check=False)
    return json.loads(answer.out)["apps"] if answer.code == 0 else []


def launch_status(host):
    """With no state while musterd does not answer."""
    answer = host.run("muster", "status", "--json", check=False)
    return json.loads(answer.out)["launch"] if answer.code == 0 else {"state": None, "reason": None, "alarm": None}


def test_auto_scaling_is_out_of_reach(director, cloud, muster, published):
    """Nothing about the completion undoes the deployment, and it is delivered once it can be."""
    published()
    with cloud.fault(faults.reset(), service="autoscaling", action="CompleteLifecycleAction") as fault:
        [instance] = launch(director, muster)
        host = director.instances[instance]
        wait_for(lambda: fault.hits > 3, 60, "some tries")
        wait_for(lambda: launch_status(host)["reason"], 30, "the reason to be told")
        status = json.loads(host.run("muster", "status", "--json").out)
        assert status["apps"][0]["state"] == "good"
        assert status["launch"]["state"] == "continue"
        [unsent] = [u for u in status["undelivered"] if u["what"] == "lifecycle action"]
        assert unsent["reason"]
        wait_for(lambda: launch_status(host)["alarm"], 60, "the alarm")
        assert "BUT THE GROUP COULD NOT BE TOLD" in host.run("muster", "status").out
        report = cloud.objects(muster.bucket, "depot/apps/api/groups/prod/instances/")[0]
        wait_for(lambda: json.loads(cloud.read(muster.bucket, report))["launch"]["alarm"], 30, "the alarm in the report")
        alarms = host.run("journalctl", "-u", "musterd", "-p", "err", "-o", "cat", "MESSAGE_ID=016fd6671ccf4a3f9589c171d47b4fbe")
        assert len(alarms.out.splitlines()) == 1 and "could not be told CONTINUE" in alarms.out
    director.wait_state(instance, "InService", timeout=90)


WEATHER = {
    "slow_down": (faults.slow_down(), {"times": 4, "service": "s3"}),
    "internal": (faults.internal_error(), {"times": 3, "service": "s3"}),
    "reset": (faults.reset(), {"times": 3, "service": "s3"}),
    "expired": (faults.expired_token(), {"times": 1, "service": "s3"}),
    "truncated": (faults.truncated(1000), {"times": 2, "service": "s3", "path": "artifacts"}),
    "corrupted": (faults.corrupted(), {"times": 1, "service": "s3", "path": "artifacts"}),
    "slow": (faults.slow(400_000), {"times": 1, "service": "s3", "path": "artifacts"}),
}


@pytest.mark.parametrize("weather", WEATHER)
def test_weather_of_s3(director, cloud, muster, published, weather):
    published()
    act, match = WEATHER[weather]
    with cloud.fault(act, **match) as fault:
        [instance] = launch(director, muster)
        director.wait_state(instance, "InService", timeout=90)
    assert fault.hits > 0


def test_clock_is_wrong(director, cloud, muster, published):
    published()
    cloud.set_clock(3600)
    [instance] = launch(director, muster)
    director.wait_state(instance, "InService", timeout=90)
