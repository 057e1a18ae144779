"""The parts together, with a shell script on the instances where muster would be: that a launched instance waits, is let
in by what it says itself, gets traffic only then, and leaves without a lost request."""

import pytest
from rig import goapp
from rig.autoscaling import TERMINATING, Hook
from rig.balancer import URL
from rig.director import Template
from rig.host import wait_for
from rig.prober import Load

# Does by hand what an agent does: learns who it is, starts the app that it carries, and completes the action.
STAND_IN = """#!/bin/sh
set -eu
imds=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/$1"; }
id=$(get meta-data/instance-id)
group=$(get meta-data/tags/instance/aws:autoscaling:groupName)
region=$(get meta-data/placement/region)
get meta-data/iam/security-credentials/$(get meta-data/iam/security-credentials/) >/run/credentials.json
field() { sed -n 's/.*"'$1'": "\\([^"]*\\)".*/\\1/p' /run/credentials.json; }
sed s,/var/lib/muster/apps/api/current,/opt/api, /opt/api/units/api.service >/etc/systemd/system/api.service
systemctl daemon-reload
result=RESULT
[ $result = ABANDON ] || systemctl start api
until [ $result = ABANDON ] || curl -sf http://127.0.0.1:8080/healthz; do sleep 0.1; done
until curl -sf --aws-sigv4 "aws:amz:$region:autoscaling" --user "$(field AccessKeyId):$(field SecretAccessKey)" \\
        -H "X-Amz-Security-Token: $(field Token)" "https://autoscaling.$region.amazonaws.com/" \\
        -d "Action=CompleteLifecycleAction&Version=2011-01-01&AutoScalingGroupName=$group&InstanceId=$id&"\\
"LifecycleHookName=launch&LifecycleActionResult=$result"; do sleep 0.2; done
"""


def template(folder, result="CONTINUE", **switches):
    app = goapp.build(folder, "1.0.0", **switches)

    def prepare(instance):
        for path in app.rglob("*"):
            if path.is_file():
                instance.put(f"/opt/api/{path.relative_to(app)}", path, mode=0o755 if path.parent.name in
                             ("bin", "hooks") else 0o644)
    return Template(user_data=STAND_IN.replace("RESULT", result), prepare=prepare)


def test_launch_serve_and_leave(director, balancer, lab, tmp_path):
    director.create_group("prod", template(tmp_path), [Hook("launch", heartbeat=60),
                                                       Hook("leave", TERMINATING, heartbeat=60)], desired=2)
    director.wait_event("in_service", count=2, timeout=60)
    load = Load(lab, URL)
    first, second = list(director.instances)
    wait_for(lambda: load.first(first) and load.first(second), 10, "traffic to both")
    for instance in (first, second):
        waited = director.find("pending_wait", instance)[0].at
        served = director.find("in_service", instance)[0].at
        assert waited < served < load.first(instance)
    director.terminate(first)
    director.wait_state(first, "Terminating:Wait")
    load.wait_requests(200)
    director.set_health(second, "Healthy")
    member = next(m for m in director.members("prod") if m.id == first)
    director.complete(member.id, "leave")
    director.wait_event("terminated", first)
    load.wait_requests(200)
    totals = load.stop()
    assert totals["failed"] == 0, load.failures()
    assert totals["requests"] > 400 and totals["p99"] < 1000
    assert director.state(first) is None


def test_abandoned_and_replaced(director, tmp_path):
    director.create_group("prod", template(tmp_path, "ABANDON"), [Hook("launch", heartbeat=60)], desired=1)
    first = director.wait_event("pending_wait", timeout=30).instance
    director.wait_event("result", first, result="ABANDON")
    director.set_template("prod", template(tmp_path / "good"))
    director.wait_event("terminated", first, abandoned=True)
    second = director.wait_event("in_service", timeout=60).instance
    assert second != first and not director.find("in_service", first)


def test_warm_pool_instance_is_stopped_and_started(director, tmp_path):
    from rig.autoscaling import WarmPool
    group = director.create_group("prod", Template(), desired=0, warm_pool=WarmPool(1))
    instance = director.wait_event("stopped", timeout=60).instance
    assert not director.instances[instance].running
    group.warm_pool.size = 0
    director.set_desired("prod", 1)
    director.wait_event("in_service", instance)
    wait_for(lambda: len(director.find("booting", instance)) == 2, 10, "the second boot")
    assert director.instances[instance].wait_running()


@pytest.mark.parametrize("kept", [True, False])
def test_graceful_reload_loses_nothing(new_instance, lab, tmp_path, kept):
    """The app's own promise, which the tests of muster rely on: 10 reloads between two versions under load."""
    instance = new_instance()
    for version in ("1", "2"):
        app = goapp.build(tmp_path / f"{kept}", version)
        base = f"/var/lib/muster/apps/api/releases/{version}"
        instance.put(f"{base}/bin/api", app / "bin/api", mode=0o755)
    instance.put("/etc/systemd/system/api.service", app / "units/api.service")
    instance.boot()
    switch = "cd /var/lib/muster/apps/api && ln -sfn releases/{} new && mv -T new current"
    instance.sh(f"{switch.format(1)} && systemctl start api")
    load = Load(lab, f"http://{instance.address}:8080/", connections=8, rate=300, kept=kept)
    load.wait_requests(10)
    for number in range(10):
        version = 2 - number % 2
        instance.sh(f"{switch.format(version)} && systemctl reload api")
        wait_for(lambda: instance.sh("curl -s http://127.0.0.1:8080/").text.startswith(f"api {version} "), 10, "it")
        main = instance.sh("readlink /proc/$(systemctl show -P MainPID api)/exe").text
        assert main == f"/var/lib/muster/apps/api/releases/{version}/bin/api"
    load.wait_requests(100)
    totals = load.stop()
    assert totals["failed"] == 0 and totals["requests"] > 100, load.failures()
    assert instance.sh("pgrep -xc api").text == "1"
