"""A fleet of three that an operator takes back by one command, from the instances' own disks."""

import json
import threading

import pytest
from rig import faults, goapp
from rig.desk import CONFLICT
from rig.host import wait_for
from rig.operator import Muster

GROUP = "prod"
FLEET = 3


@pytest.fixture
def muster(lab, cloud, tmp_path):
    """1.0.0 and 2.0.0 are published."""
    lab.require_package()
    made = Muster(lab.layers[0] / "usr/bin/muster")
    made.prepare(cloud)
    for version in ("1.0.0", "2.0.0"):
        made.publish(goapp.build(tmp_path, version), version)
    return made


def app_of(instance):
    answer = instance.run("muster", "status", "--json", check=False)
    apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
    return apps[0] if apps else {}


def wait_for_fleet(fleet, version, **wanted):
    """Until every instance serves the version, and its status has these values."""
    def reached():
        apps = [app_of(instance) for instance in fleet]
        return all(app.get("state") == "good" and app["version"] == version and
                   all(app[key] == value for key, value in wanted.items()) for app in apps) and apps
    return wait_for(reached, 90, f"the fleet to be at {version}", 0.3)


@pytest.fixture
def fleet(director, muster):
    """Went from 1.0.0 to 2.0.0."""
    muster.set_target(GROUP, "1.0.0")
    director.create_group(GROUP, muster.template(GROUP), [], desired=FLEET)
    wait_for(lambda: len(director.instances) == FLEET, 90, "the instances to be there")
    instances = list(director.instances.values())
    wait_for_fleet(instances, "1.0.0")
    muster.set_target(GROUP, "2.0.0")
    wait_for_fleet(instances, "2.0.0")
    return instances


def test_rollback_with_no_way_to_the_artifacts(cloud, muster, fleet):
    with cloud.fault(faults.reset(), service="s3", path="/artifacts/") as cut:
        done = muster.rollback(GROUP, "--urgent", "--reason", "2.0.0 loses orders")
        assert "api in prod: pinned to 1.0.0 (serial 3)" in done.stdout
        # From here on not even the release's document can be had.
        with cloud.fault(faults.reset(), service="s3", path="/releases/") as documents:
            apps = wait_for_fleet(fleet, "1.0.0", serial=3)
            assert (cut.hits, documents.hits) == (0, 0)
    for app, instance in zip(apps, fleet, strict=True):
        assert (app["pin"]["reason"], app["pin"]["urgent"]) == ("2.0.0 loses orders", True)
        history = json.loads(instance.run("muster", "history", "--json").out)["deployments"]
        assert [(d["version"], d["outcome"]) for d in history] == [("1.0.0", "succeeded"), ("2.0.0", "succeeded"),
                                                                   ("1.0.0", "succeeded")]
        assert "1.0.0" in cloud.get(f"http://{instance.address}:8080/")[2].decode()
    keys = cloud.objects(muster.bucket, "depot/apps/api/groups/prod/instances/")
    wait_for(lambda: all(json.loads(cloud.read(muster.bucket, key))["version"] == "1.0.0" for key in keys), 30,
             "the reports to say so")
    assert len(keys) == FLEET

    muster.unpin(GROUP)
    wait_for_fleet(fleet, "1.0.0", serial=4, pin=None)
    muster.set_target(GROUP, "2.0.0")
    wait_for_fleet(fleet, "2.0.0", serial=5)


def test_two_operators(cloud, muster):
    """The slower one is told, and has changed nothing."""
    muster.set_target(GROUP, "1.0.0")
    held, go = threading.Event(), threading.Event()
    late = []

    def hold(request, forward):
        held.set()
        assert go.wait(60)
        return forward(request)

    with cloud.fault(hold, times=1, service="s3", method="PUT", path="/target.json"):
        thread = threading.Thread(target=lambda: late.append(muster.pin(GROUP, "2.0.0", "forward", check=False)))
        thread.start()
        assert held.wait(60)
        assert "pinned to 1.0.0 (serial 2)" in muster.pin(GROUP, "1.0.0", "stay").stdout
        go.set()
        thread.join()
    assert late[0].returncode == CONFLICT
    assert "somebody else set the target of api in prod meanwhile" in late[0].stderr
    assert "already pinned to 1.0.0 (serial 2)" in muster.pin(GROUP, "1.0.0", "stay").stdout
