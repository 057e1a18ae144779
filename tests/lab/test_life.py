"""What an instance is to its Auto Scaling group, state by state: launch, standby, warm pool, detachment, termination, and what
EC2 announces beside the group. The director's log is the witness for what the group was told, and the app's own hooks for what
became of the app."""

import json
import time

import pytest
from rig import balancer as balancers
from rig import faults, goapp
from rig.autoscaling import LAUNCHING, TERMINATING, Hook, WarmPool
from rig.host import wait_for
from rig.imds import TIMESTAMP
from rig.operator import Muster
from rig.prober import Load

GROUP = "prod"
OTHER = "blue"
LEAVE = "[leave]\nmetadata_interval = 1s\nrebalance = drain\n"
LAUNCH_HOOK = Hook("muster", LAUNCHING, heartbeat=60)
LEAVE_HOOK = Hook("muster-leave", TERMINATING, heartbeat=9)  # a beat every 3 s
SLEPT = 40  # seconds; musterd takes a timer that is half a minute late for a sign that it slept
STOP = """#!/bin/sh
# Says when it ran, and waits while it is told to.
set -eu
date +%s.%N >>/var/tmp/stopped
while [ -e /var/tmp/hold ]; do sleep 0.1; done
"""
STOP_HOOK = "  ApplicationStop:\n    - location: hooks/stop\n      timeout: 60\n"


def _appspec(text):
    return text.replace("hooks:\n", f"hooks:\n{STOP_HOOK}", 1).replace("interval: 1s", "interval: 200ms")


class Fleet:
    """A group, and versions of an app that tells when it is stopped."""

    def __init__(self, director, muster, folder):
        self.director, self.muster, self._folder = director, muster, folder

    def publish(self, version, **switches):
        release = goapp.build(self._folder, version, _appspec, **switches)
        (release / "hooks/stop").write_text(STOP)
        (release / "hooks/stop").chmod(0o755)
        self.muster.publish(release, version)
        self.muster.set_target(GROUP, version)

    def create(self, desired=1, hooks=(LAUNCH_HOOK, LEAVE_HOOK), prepare=None, agent="", config_group=GROUP, **settings):
        template = self.muster.template(config_group, poll_interval="1s", agent=f"settle_time = 200ms\n{agent}", sections=LEAVE)
        template.prepare = prepare
        self.director.create_group(GROUP, template, hooks, desired=desired, **settings)

    def first(self):
        wait_for(lambda: self.director.instances, 60, "an instance")
        return next(iter(self.director.instances))


class Member:
    """One instance of it."""

    def __init__(self, director, instance_id):
        self.director, self.id = director, instance_id

    @property
    def host(self):
        return self.director.instances[self.id]

    def status(self):
        answer = self.host.run("muster", "status", "--json", check=False)
        return json.loads(answer.out) if answer.code == 0 else {"apps": [], "life": None}

    def wait(self, what, timeout=60, **app):
        """Until the app's status has these members."""
        def seen():
            apps = self.status()["apps"]
            known = {**apps[0], "step": (apps[0]["deployment"] or {}).get("step")} if apps else {}
            return known and all(known[k] == v for k, v in app.items())
        wait_for(seen, timeout, f"{self.id}: {what}")

    def wait_life(self, *states):
        wait_for(lambda: (self.status()["life"] or {}).get("state") in states, 60, f"{self.id} to be {states}")

    def active(self):
        return self.host.run("systemctl", "is-active", "api.service", check=False).text == "active"

    def enabled(self):
        return self.host.run("systemctl", "is-enabled", "api.service", check=False).text == "enabled"

    def stops(self):
        return len(self.host.run("cat", "/var/tmp/stopped", check=False).out.split())

    def results(self, hook):
        return [e.detail["result"] for e in self.director.find("result", self.id, hook=hook)]

    def deployments(self):
        return json.loads(self.host.run("muster", "history", "--json").out)["deployments"]


@pytest.fixture
def fleet(director, cloud, lab, tmp_path):
    lab.require_package()
    muster = Muster(lab.layers[0] / "usr/bin/muster")
    muster.prepare(cloud)
    return Fleet(director, muster, tmp_path)


def artifacts_fetched(cloud, host):
    return len(cloud.proxy.requests(service="s3", client=host.address, path="/artifacts/"))


def assert_waits(member, stops):
    """Not before the version that is asked for serves does it enter service, although another one does meanwhile."""
    wait_for(lambda: member.stops() == stops, 60, "ApplicationStop of the deployment")
    assert member.active() and member.director.state(member.id) == "Pending:Wait"
    member.host.run("rm", "/var/tmp/hold")


def test_standby_unknown_and_detached(fleet, director):
    """Nothing is begun in any of them, and what runs goes on. One that is attached to another group is one of that."""
    fleet.publish("1.0.0")
    fleet.create(config_group="auto-scaling-group")
    member = Member(director, fleet.first())
    director.wait_state(member.id, "InService")
    member.wait_life("in-service")
    member.host.run("touch", "/var/tmp/hold")
    fleet.publish("1.1.0")
    wait_for(lambda: member.stops() == 1, 60, "ApplicationStop of the deployment")
    director.enter_standby(member.id)
    director.wait_state(member.id, "Standby")
    member.wait_life("standby")
    member.host.run("rm", "/var/tmp/hold")
    member.wait("what was begun before to be ended", version="1.1.0", deployment=None)
    fleet.publish("2.0.0")
    member.wait("nothing to be begun", state="held", version="1.1.0", reason="nothing is begun: this instance is in standby")
    assert member.active() and member.stops() == 1
    member.host.run("systemctl", "stop", "musterd")  # and when it is there again the group has brought the instance back
    director.exit_standby(member.id)
    director.wait_event("state", member.id, count=2, state="Pending:Wait")
    member.host.run("touch", "/var/tmp/hold")
    member.host.run("systemctl", "start", "musterd")
    assert_waits(member, stops=2)
    director.wait_event("state", member.id, count=2, state="InService")
    member.wait("the new version", state="good", version="2.0.0")
    assert member.results("muster") == ["CONTINUE", "CONTINUE"]

    director.set_state(member.id, "ReplacingRootVolume")
    director.metadata(member.id).target_lifecycle_state = "Replaced"
    member.wait_life("unknown")
    fleet.publish("3.0.0")
    member.wait("nothing to be begun", state="held", version="2.0.0")
    director.set_state(member.id, "InService")
    director.metadata(member.id).target_lifecycle_state = "InService"
    member.wait("the new version", state="good", version="3.0.0")

    stops = member.stops()
    director.metadata(member.id).target_lifecycle_state = "Detached"
    director.detach(member.id)
    member.wait_life("detached")
    fleet.publish("4.0.0")
    member.wait("nothing to be begun", state="held", version="3.0.0")
    assert member.active() and member.stops() == stops

    director.create_group(OTHER, None, (LAUNCH_HOOK,))
    fleet.muster.set_target(OTHER, "1.1.0")
    member.host.run("touch", "/var/tmp/hold")
    director.attach(OTHER, member.id)
    director.wait_event("state", member.id, count=3, state="Pending:Wait")
    assert_waits(member, stops + 1)
    director.wait_event("state", member.id, count=3, state="InService")
    assert member.status()["group"] == OTHER
    member.wait("the other group's version", state="good", version="1.1.0")
    assert member.results("muster") == ["CONTINUE", "CONTINUE", "CONTINUE"]


def test_warm_pool(fleet, director, cloud):
    """Fetched and not started; then into service from the disk. And back: drained, stopped, and once more into service."""
    fleet.publish("1.0.0")
    fleet.create(desired=0, warm_pool=WarmPool(1, "Stopped", reuse_on_scale_in=True))
    member = Member(director, fleet.first())
    director.wait_state(member.id, "Warmed:Stopped")
    [warmed] = director.find("state", member.id, state="Warmed:Pending:Proceed")
    director.wait_event("stopped", member.id)
    host = member.host
    assert member.results("muster") == ["CONTINUE"]
    fetched = artifacts_fetched(cloud, host)
    assert fetched > 0
    director.set_desired(GROUP, 1)
    director.wait_state(member.id, "InService")
    [pending] = director.find("state", member.id, state="Pending")
    assert warmed.at < pending.at
    assert member.results("muster") == ["CONTINUE", "CONTINUE"]
    assert artifacts_fetched(cloud, host) == fetched
    member.wait("to serve", state="good", version="1.0.0")
    assert member.active()
    history = [(d["kind"], d["outcome"]) for d in member.deployments()]
    assert history == [("deploy", "succeeded"), ("prefetch", "succeeded")]

    # Back into the pool, which keeps it running this time.
    director.change_group(GROUP, lambda group: setattr(group.warm_pool, "state", "Running"))
    director.set_desired(GROUP, 0)
    director.wait_state(member.id, "Warmed:Running")
    member.wait("to be drained and kept", state="prefetched", version="1.0.0")
    assert member.results("muster-leave") == ["CONTINUE"]
    assert member.stops() == 1 and not member.active() and not member.enabled()
    fleet.publish("2.0.0")
    wait_for(lambda: artifacts_fetched(cloud, host) > fetched, 30, "the new version to be fetched")
    member.wait("the new version to be fetched", state="prefetched")
    assert not member.active()
    director.set_desired(GROUP, 1)
    director.wait_event("state", member.id, count=2, state="InService")
    member.wait("to serve", state="good", version="2.0.0")
    assert member.active() and member.enabled()
    assert member.results("muster") == ["CONTINUE"] * 3

    # And out of the pool for good.
    director.set_desired(GROUP, 0)
    director.wait_event("state", member.id, count=2, state="Warmed:Running")
    director.change_group(GROUP, lambda group: setattr(group.warm_pool, "size", 0))
    director.terminate(member.id, decrement=False)
    director.wait_event("terminated", member.id)
    assert director.find("state", member.id, state="Warmed:Terminating:Proceed")
    assert member.results("muster-leave") == ["CONTINUE"] * 3


def test_pool_is_changed_while_it_is_filled(fleet, director, cloud):
    """Another version is wanted while the first one is fetched: that one is what the instance comes to the pool with. Then
    the pool is done away with while a third is fetched, and the instance goes without it."""
    slow = {"act": faults.slow(100_000), "service": "s3", "path": "/artifacts/"}
    with cloud.fault(**slow):
        fleet.publish("1.0.0")
        fleet.create(desired=0, warm_pool=WarmPool(1, "Running"))
        member = Member(director, fleet.first())
        director.wait_state(member.id, "Warmed:Pending:Wait")
        member.wait("1.0.0 to be fetched", step="FETCH")
    fleet.publish("2.0.0")
    director.wait_state(member.id, "Warmed:Running")
    member.wait("to be ready", state="prefetched", serial=2)
    assert [(d["version"], d["kind"], d["outcome"]) for d in member.deployments()] == [
        ("2.0.0", "prefetch", "succeeded"), ("1.0.0", "prefetch", "failed")]
    wait_for(lambda: not member.host.run("ls", "/var/lib/muster/apps/api/staging").out, 30, "nothing of 1.0.0 to be left")
    with cloud.fault(**slow) as fault:
        fleet.publish("3.0.0")
        wait_for(lambda: fault.hits, 60, "3.0.0 to be fetched")
        director.change_group(GROUP, lambda group: setattr(group.warm_pool, "size", 0))
        director.terminate(member.id, decrement=False)
        director.wait_event("terminated", member.id)
    assert director.find("state", member.id, state="Warmed:Terminating:Proceed")
    assert (member.results("muster"), member.results("muster-leave")) == (["CONTINUE"], ["CONTINUE"])
    assert not director.find("in_service", member.id)


@pytest.mark.long
def test_hibernation(fleet, director, cloud):
    """It goes on in the middle of everything, with the tokens, credentials and timers of another day."""
    def renew(instance):
        cloud.metadata.instances[instance.address].credentials = lambda: cloud.role_credentials(instance.id)
    fleet.publish("1.0.0")
    fleet.create(desired=0, warm_pool=WarmPool(1, "Hibernated"), prepare=renew)
    member = Member(director, fleet.first())
    director.wait_state(member.id, "Warmed:Hibernated")
    director.wait_event("stopped", member.id)
    time.sleep(SLEPT)
    cloud.metadata.forget_tokens()
    for key in cloud.proxy.keys.values():
        if key.identity and key.identity.endswith(member.id):
            key.expires = cloud.proxy.now() - 1
    director.set_desired(GROUP, 1)
    director.wait_state(member.id, "InService", timeout=60)
    member.wait("to serve", state="good", version="1.0.0")
    assert member.active() and member.results("muster") == ["CONTINUE", "CONTINUE"]
    member.host.wait_message("this instance has slept", unit="musterd.service")
    [awake] = director.find("awake", member.id)
    assert len(director.find("booting", member.id)) == 1 and awake.at < director.find("in_service", member.id)[0].at


def test_termination(fleet, director, cloud, lab, balancer):
    """Two instances under load, one of which goes. musterd is killed in the middle."""
    fleet.publish("1.0.0")
    fleet.create(desired=2)
    director.wait_event("in_service", count=2)
    load = Load(lab, balancers.URL, connections=8, rate=200)
    load.wait_requests(50)
    member = Member(director, fleet.first())
    host = member.host
    host.run("touch", "/var/tmp/hold")
    director.terminate(member.id)
    wait_for(lambda: member.stops() == 1, 60, "ApplicationStop")
    director.wait_event("heartbeat", member.id, hook="muster-leave")
    fleet.publish("2.0.0")
    host.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "musterd")
    member.wait("to go on draining", state="draining")
    assert member.active() and member.results("muster-leave") == []
    host.run("rm", "/var/tmp/hold")
    director.wait_event("terminated", member.id)
    load.wait_requests(50)
    assert load.stop()["failed"] == 0, load.failures()
    assert member.results("muster-leave") == ["CONTINUE"]


def test_terminated_while_it_launches(fleet, director):
    """Its first deployment is cut, what it left is stopped, and the launch hook hears nothing of it any more."""
    fleet.publish("1.0.0", FAIL_HEALTH="1")
    fleet.create()
    member = Member(director, fleet.first())
    director.wait_state(member.id, "Pending:Wait")
    member.wait("its health to be checked", state="deploying", step="HEALTH")
    director.change_group(GROUP, lambda group: group.hooks.update(other=Hook("other", TERMINATING, heartbeat=60)))
    director.terminate(member.id)
    wait_for(lambda: member.results("muster-leave") == ["CONTINUE"], 60, "the termination hook to be completed")
    assert not member.active() and not member.enabled()
    newest, deploy = member.deployments()[:2]
    assert (newest["kind"], newest["outcome"]) == ("drain", "succeeded")
    assert (deploy["kind"], deploy["outcome"], deploy["fault"]) == ("deploy", "failed", "host")
    assert member.status()["launch"]["state"] == "over", member.status()["launch"]
    director.complete(member.id, "other")
    director.wait_event("terminated", member.id)
    assert member.results("muster") == [] and not director.find("in_service", member.id)


def test_deploy_is_given_up_for_a_leave(fleet, director):
    """Before SWITCH: ended on the spot, and the old version, which still served, is stopped."""
    fleet.publish("1.0.0")
    fleet.create()
    member = Member(director, fleet.first())
    director.wait_state(member.id, "InService")
    host = member.host
    host.run("touch", "/var/tmp/hold")
    fleet.publish("2.0.0")
    wait_for(lambda: member.stops() == 1, 60, "ApplicationStop of the deployment")
    director.change_group(GROUP, lambda group: group.hooks.update(other=Hook("other", TERMINATING, heartbeat=60)))
    director.terminate(member.id)
    member.wait_life("leaving")
    host.run("rm", "/var/tmp/hold")
    wait_for(lambda: member.results("muster-leave") == ["CONTINUE"], 60, "the hook to be completed")
    newest, deploy = member.deployments()[:2]
    assert (newest["kind"], newest["outcome"]) == ("drain", "succeeded")
    assert (deploy["kind"], deploy["outcome"], deploy["fault"]) == ("deploy", "failed", "host")
    assert "SWITCH" not in [s["step"] for s in deploy["steps"]]
    assert not member.active()
    status = member.status()
    assert status["apps"][0]["last_failure"] is None
    assert status["life"]["leave"]["state"] == "let-go"
    assert director.state(member.id) == "Terminating:Wait"  # the other hook is somebody else's
    assert "state     leaving" in host.run("muster", "status").out

    # Who that is has the group keep the instance, as it may: what has left does not come back.
    director.change_group(GROUP, lambda group: setattr(group, "retain_on_abandon", True))
    director.complete(member.id, "other", "ABANDON")
    director.wait_state(member.id, "Terminating:Retained")
    fleet.publish("3.0.0")
    host.run("systemctl", "restart", "musterd")
    member.wait("nothing to be begun", state="stopped", serial=3)
    wait_for(lambda: member.status()["life"]["leave"]["state"] == "let-go", 60, "the hook to be settled once more")
    assert not member.active() and member.deployments()[0]["id"] == newest["id"]
    assert member.results("muster-leave") == ["CONTINUE"]


def test_nothing_is_begun_on_what_was_just_terminated(fleet, director):
    """Though the metadata were not to be looked at for another ten minutes."""
    fleet.publish("1.0.0")
    fleet.create(hooks=[LAUNCH_HOOK, LEAVE_HOOK, Hook("other", TERMINATING, heartbeat=60)])
    member = Member(director, fleet.first())
    director.wait_state(member.id, "InService")
    member.wait_life("in-service")
    member.host.sh("sed -i 's/^metadata_interval = .*/metadata_interval = 10m/' /etc/muster/muster.conf; systemctl restart musterd")
    member.wait_life("in-service")
    director.terminate(member.id)
    fleet.publish("2.0.0")
    wait_for(lambda: member.results("muster-leave") == ["CONTINUE"], 60, "the hook to be completed")
    assert member.stops() == 1 and not member.active()
    assert not [d for d in member.deployments() if d["version"] == "2.0.0" and d["kind"] == "deploy" and
                "BEFORE_INSTALL" in [s["step"] for s in d["steps"]]]


HEALTH = "health_interval = 500ms\nhealth_failures = 1\nhealth_restarts = 0\non_unhealthy = replace\n"


@pytest.mark.long
def test_all_of_a_group_are_unhealthy(fleet, director):
    """At the same moment, for the same reason: three quarters of them stay, as configured."""
    fleet.publish("1.0.0")
    fleet.create(desired=6, hooks=[LAUNCH_HOOK])
    director.wait_event("in_service", count=6, timeout=120)
    director.change_group(GROUP, lambda group: group.suspended.update({"Launch", "ReplaceUnhealthy"}))
    members = [Member(director, instance) for instance in director.instances]
    for member in members:
        member.host.sh(f"printf '\\n{HEALTH}' >>/etc/muster/muster.conf; systemctl reload musterd")
    for member in members:
        member.wait("to be watched", health_watch={"state": "healthy", "failed": 0, "restarts": 0, "reason": "", "replacement": ""})
    for member in members:
        member.host.sh("echo FAIL_HEALTH=1 >/var/lib/muster/apps/api/current/switches; systemctl reload api")

    def answers():
        watches = [member.status()["apps"][0]["health_watch"] or {} for member in members]
        return sorted(watch.get("replacement", "").split(":")[0] for watch in watches)
    told = "the Auto Scaling group is told that this instance is unhealthy and to be replaced"
    wait_for(lambda: answers() == ["not replaced"] * 5 + [told], 120, "all of them to have asked")
    time.sleep(65)  # they ask again once in a minute
    assert [m.health for m in director.members(GROUP)].count("Unhealthy") == 1


# Each row of the table of lifecycle states: where the instance goes meanwhile, what it is then, and whether the app runs.
STATES = [
    ("Pending", "InService", "launching", True),
    ("Pending:Wait", "InService", "launching", True),
    ("Pending:Proceed", "InService", "launching", True),
    ("InService", "InService", "in-service", True),
    ("EnteringStandby", "Standby", "entering-standby", True),
    ("Standby", "Standby", "standby", True),
    ("Detaching", "Detached", "detached", True),
    ("Detached", "Detached", "detached", True),
    ("ReplacingRootVolume", "InService", "unknown", True),
    ("ReplacingRootVolume:Wait", "InService", "unknown", True),
    ("ReplacingRootVolume:Proceed", "InService", "unknown", True),
    ("RootVolumeReplaced", "InService", "unknown", True),
    ("Quarantined", "InService", "unknown", True),
    ("Warmed:Pending", "Warmed:Running", "warming", False),
    ("Warmed:Pending:Wait", "Warmed:Running", "warming", False),
    ("Warmed:Pending:Proceed", "Warmed:Running", "warming", False),
    ("Warmed:Pending:Retained", "Warmed:Running", "warming", False),
    ("Warmed:Running", "Warmed:Running", "pooled", False),
    ("Warmed:Stopped", "Warmed:Stopped", "pooled", False),
    ("Warmed:Hibernated", "Warmed:Hibernated", "pooled", False),
    ("InService", "InService", "in-service", True),
    ("Warmed:Terminating", "Warmed:Terminated", "leaving", False),
    ("Warmed:Terminating:Wait", "Warmed:Terminated", "leaving", False),
    ("Warmed:Terminating:Proceed", "Warmed:Terminated", "leaving", False),
    ("Warmed:Terminating:Retained", "Warmed:Terminated", "leaving", False),
    ("Warmed:Terminated", "Warmed:Terminated", "leaving", False),
    ("Terminating", "Terminated", "leaving", False),
    ("Terminating:Wait", "Terminated", "leaving", False),
    ("Terminating:Proceed", "Terminated", "leaving", False),
    ("Terminating:Retained", "Terminated", "leaving", False),
    ("Terminated", "Terminated", "leaving", False),
]


@pytest.mark.long
def test_every_state(fleet, director, cloud):
    """One after the other, on one instance whose group says so; no action is open after the launch's, so that whatever muster
    completes is refused, and settled."""
    fleet.publish("1.0.0")
    fleet.create()
    member = Member(director, fleet.first())
    director.wait_state(member.id, "InService")
    member.wait_life("in-service")
    director.change_group(GROUP, lambda group: group.suspended.update({"Launch", "Terminate"}))
    metadata, address = director.metadata(member.id), member.host.address

    def looks():
        return sum(client == address and "target-lifecycle-state" in path for _, client, _, path, _ in cloud.metadata.log)

    def asks():
        return len(cloud.proxy.requests(action="DescribeAutoScalingInstances", client=address))
    for number, (state, target, life, runs) in enumerate(STATES):
        director.set_state(member.id, state)
        metadata.target_lifecycle_state = f"Row{number}"  # is a change, after which the group is asked
        seen = looks()
        wait_for(lambda: looks() >= seen + 2, 60, "the metadata to be looked at")
        asked = asks()
        metadata.target_lifecycle_state = target
        wait_for(lambda: asks() > asked, 60, f"the group to be asked in {state}")
        member.wait_life(life)
        wait_for(lambda: member.active() == runs, 60, f"the app to {'run' if runs else 'be stopped'} in {state}")
        member.wait(f"what was begun in {state} to be ended", deployment=None)
    wait_for(lambda: member.status()["life"]["leave"]["state"] == "let-go", 90, "the leave to be settled")
    assert member.results("muster") == ["CONTINUE"] and member.results("muster-leave") == []
    assert not member.status()["launch"]["alarm"]
    assert {d["outcome"] for d in member.deployments()} == {"succeeded"}


def in_seconds(seconds):
    return time.strftime(TIMESTAMP, time.gmtime(time.time() + seconds))


def own_queues(cloud, member):
    return cloud.client("sqs").list_queues(QueueNamePrefix=f"muster-{GROUP}-{member.id}").get("QueueUrls")


def test_warnings_of_ec2(fleet, director, cloud):
    """Drained for a recommendation, and serving again when it is withdrawn; an interruption ends what is being deployed, and the
    instance's queue goes with it."""
    def make_spot(instance):
        cloud.metadata.instances[instance.address].market = "spot"
    topic = cloud.client("sns").create_topic(Name="spots")["TopicArn"]
    fleet.publish("1.0.0")
    fleet.create(hooks=[LAUNCH_HOOK], prepare=make_spot, agent=f"queue = own\nqueue_topic = {topic}\n")
    member = Member(director, fleet.first())
    director.wait_state(member.id, "InService")
    member.wait_life("in-service")
    metadata = director.metadata(member.id)
    metadata.rebalance = in_seconds(0)
    member.wait("to be drained", state="stopped")
    assert not member.active() and member.status()["life"]["cause"] == "rebalance-recommendation"
    assert own_queues(cloud, member)
    metadata.rebalance = None
    member.wait("to serve again", state="good", version="1.0.0")
    assert member.active() and member.stops() == 1

    fleet.publish("2.0.0", FAIL_HEALTH="1")
    member.wait("its health to be checked", state="deploying", step="HEALTH")
    metadata.spot_action = {"action": "terminate", "time": in_seconds(6)}
    member.wait("to be drained", state="stopped")
    assert member.status()["life"]["cause"] == "spot-interruption" and not member.active()
    wait_for(lambda: not own_queues(cloud, member), 30, "its queue to be removed")
    queue = member.status()["queue"]
    assert (queue["state"], queue["reason"], queue["topic"]) == ("left", "the instance leaves", topic)
    newest, deploy = member.deployments()[:2]
    assert (newest["kind"], newest["outcome"], newest["version"]) == ("drain", "succeeded", "2.0.0")
    assert (deploy["outcome"], deploy["failed_step"], deploy["fault"]) == ("failed", "HEALTH", "host")
    fleet.publish("3.0.0")
    member.wait("nothing to be begun", state="stopped", version="1.0.0", serial=3)
    assert member.deployments()[0]["id"] == newest["id"]
    refused = member.host.run("muster", "pin", "--local", "api", "1.0.0", "--reason", "stay", check=False)
    assert refused.code == 0 and member.deployments()[0]["id"] == newest["id"]
