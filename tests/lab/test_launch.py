"""Instances that an Auto Scaling group launches, with muster on them and S3 as the depot: when they enter service, and that
they do so whatever the cloud does meanwhile. The director's log is the witness."""

import json
import time

import pytest
from rig import faults, goapp
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


def launch(director, muster, heartbeat=60, desired=1, **options):
    director.create_group(GROUP, muster.template(GROUP, **options), [Hook("muster", heartbeat=heartbeat)],
                          desired=desired)
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


def test_first_release_that_is_broken(director, muster, published):
    published(FAIL_START="1")
    [instance] = launch(director, muster)
    director.wait_event("terminated", instance)
    assert not director.find("in_service", instance)
    assert results(director, instance)[0]["result"] == "ABANDON"


def test_first_release_that_is_broken_and_waits(director, muster, published):
    """on_failure = wait: the hook's own time-out decides."""
    published(FAIL_START="1")
    [instance] = launch(director, muster, launch="on_failure = wait\n")
    host = director.instances[instance]
    host.wait_message("failed in UNITS", unit="musterd.service", timeout=60)
    time.sleep(2)
    assert director.state(instance) == "Pending:Wait"
    assert results(director, instance) == []


def test_answer_to_the_completion_is_lost(director, cloud, muster, published):
    published()
    with cloud.fault(faults.lost_answer(), times=1, action="CompleteLifecycleAction") as fault:
        [instance] = launch(director, muster)
        director.wait_state(instance, "InService")
        host = director.instances[instance]
        wait_for(lambda: launch_status(host)["state"] == "continued", 30, "the launch to be settled")
    assert fault.hits == 1


def launch_status(host):
    return json.loads(host.run("muster", "status", "--json").out)["launch"]


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
