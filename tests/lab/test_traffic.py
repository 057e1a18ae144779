"""Apps that are taken out of their load balancer for a change: no request is lost although the unit restarts, and whatever goes
wrong, the instance is in its target group again. Two instances of two deployment groups behind one load balancer, so that
one serves while the other one changes; both do so in all of these tests, one after the other."""

import json
import threading
import time

import pytest
from rig import faults, goapp
from rig.autoscaling import TERMINATING, Hook
from rig.balancer import URL, Balancer
from rig.director import Director
from rig.elb import Elb
from rig.host import wait_for
from rig.operator import Muster
from rig.prober import Load

PROD, CANARY = "prod", "canary"
TRAFFIC = "[traffic]\ndrain_timeout = 20s\nhealthy_timeout = 4s\n"


def out_of_traffic(text):
    return text.replace("on_deploy: reload", "on_deploy: restart").replace("deadline: 30s", "deadline: 3s").replace(
        "env:\n", "traffic: target-group\nenv:\n")


class Fleet:
    def __init__(self, lab, cloud, folder):
        self.lab, self.cloud, self._folder = lab, cloud, folder
        self.balancer = Balancer(lab)
        self.elb = Elb(cloud, self.balancer)
        self.director = Director(lab, cloud, self.elb)
        self.muster = Muster(lab.layers[0] / "usr/bin/muster")
        self.muster.prepare(cloud)
        self.target_group = self.elb.create_group("api")

    def launch(self):
        self.publish("1.0.0")
        for group in (PROD, CANARY):
            self.muster.set_target(group, "1.0.0")
            template = self.muster.template(group, poll_interval="1s", agent="settle_time = 500ms\n", sections=TRAFFIC)
            self.director.create_group(group, template, [Hook("muster", heartbeat=60)], desired=1,
                                       target_groups=[self.target_group.arn])
        self.director.wait_event("in_service", count=2)
        for group in (PROD, CANARY):
            self.elb.wait_state(self.id(group), "healthy")

    def id(self, group):
        return self.director.members(group)[0].id

    def instance(self, group=PROD):
        return self.director.instances[self.id(group)]

    def publish(self, version, **switches):
        def appspec(text):
            return goapp.impatient(out_of_traffic(text)) if "FAIL_HEALTH" in switches else out_of_traffic(text)
        self.muster.publish(goapp.build(self._folder, version, appspec, **switches), version)

    def app(self, group=PROD):
        """None while musterd does not run."""
        answer = self.instance(group).run("muster", "status", "--json", check=False)
        apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
        return apps[0] if apps else None

    def wait_app(self, group=PROD, timeout=60, **wanted):
        def reached():
            app = self.app(group)
            return app and all(app.get(key) == value for key, value in wanted.items()) and app
        return wait_for(reached, timeout, f"the app of {group} to be {wanted}", 0.2)

    def update(self, version, group=PROD):
        self.muster.set_target(group, version)
        self.wait_app(group, state="good", version=version, deployment=None)

    def deployments(self):
        return json.loads(self.instance().run("muster", "history", "--json").out)["deployments"]

    def serves(self):
        return self.instance().run("curl", "-s", "-m", "2", "http://127.0.0.1:8080/").text.split()[1]

    def wait_doctor(self, **wanted):
        """Until muster doctor says so on PROD's instance (check=(verdict, text)); on a busy machine metadata may be late."""
        def said():
            checks = json.loads(self.instance().run("muster", "doctor", "--json", check=False).out)["checks"]
            found = {check["check"]: check for check in checks}
            good = all(name in found and found[name]["verdict"] == verdict and text in (None, found[name]["text"])
                       for name, (verdict, text) in wanted.items())
            return good and found
        return wait_for(said, 60, f"doctor to say {wanted}")

    def slow_requests(self, length, count=4):
        """Requests that take a while, by the load balancer; returns how to wait for their answers."""
        answers = []
        for group in (PROD, CANARY):
            self.elb.wait_state(self.id(group), "healthy")
        before = self.balancer.statistics()

        def both_have_had_one():  # haproxy leaves a server that has come back out for up to a whole round of its weights
            self.cloud.get(URL)
            now = self.balancer.statistics()
            return all(now[i]["requests"] > before[i]["requests"] for i in (self.id(PROD), self.id(CANARY)))
        wait_for(both_have_had_one, 30, "both instances to get requests", 0.01)
        threads = [threading.Thread(target=lambda: answers.append(self.cloud.get(f"{URL}/slow?for={length}s", 20)))
                   for _ in range(count)]
        for thread in threads:
            thread.start()
        wait_for(lambda: all(self.balancer.busy(self.instance(g)) for g in (PROD, CANARY)), 10, "requests under way")

        def end():
            for thread in threads:
                thread.join()
            return [answer[0] if answer else None for answer in answers]
        return end

    def close(self):
        self.director.close()
        self.elb.close()
        self.balancer.close()
        assert self.elb.failure is None


@pytest.fixture(scope="module")
def launched(lab, session_cloud, tmp_path_factory):
    lab.require_package()
    session_cloud.reset()
    made = Fleet(lab, session_cloud, tmp_path_factory.mktemp("traffic"))
    try:
        made.launch()
        yield made
    finally:
        made.close()


@pytest.fixture
def fleet(launched, cloud, request):
    request.node.director = launched.director
    return launched


def test_update_loses_no_request(fleet):
    """The unit restarts, and requests that take long are under way."""
    fleet.publish("2.0.0")
    since = time.monotonic()
    load = Load(fleet.lab, URL)
    answers = fleet.slow_requests(3)
    fleet.update("2.0.0")
    fleet.update("2.0.0", CANARY)
    load.wait_requests(100)
    totals = load.stop()
    assert totals["failed"] == 0, load.failures()
    assert answers() == [200] * 4
    assert all(s["errors"] == 0 for s in fleet.balancer.statistics().values())
    for group in (PROD, CANARY):
        assert fleet.elb.history(fleet.id(group), since) == ["draining", None, "initial", "healthy"]
    steps = [step["step"] for step in fleet.deployments()[0]["steps"]]
    assert steps[2:6] == ["BEFORE_BLOCK_TRAFFIC", "BLOCK_TRAFFIC", "AFTER_BLOCK_TRAFFIC", "APPLICATION_STOP"]
    assert steps[-4:] == ["BEFORE_ALLOW_TRAFFIC", "ALLOW_TRAFFIC", "AFTER_ALLOW_TRAFFIC", "COMMIT"]
    assert fleet.app()["out_of_traffic"] is None


def test_release_that_fails(fleet):
    """It is undone before the instance is in its target group again."""
    fleet.publish("3.0.0", FAIL_HEALTH="1")
    since = time.monotonic()
    load = Load(fleet.lab, URL)
    fleet.muster.set_target(PROD, "3.0.0")
    wait_for(lambda: fleet.muster.reason(fleet.instance(), "3.0.0"), 60, "3.0.0 to fail")
    fleet.elb.wait_state(fleet.id(PROD), "healthy")
    assert load.stop()["failed"] == 0, load.failures()
    assert load.first(version="3.0.0") is None
    assert fleet.elb.history(fleet.id(PROD), since) == ["draining", None, "initial", "healthy"]
    newest = fleet.deployments()[0]
    assert newest["outcome"] == "rolled-back" and newest["steps"][-1]["step"] == "ROLLBACK_ALLOW_TRAFFIC"


def test_release_that_the_load_balancer_finds_unhealthy(fleet):
    fleet.publish("4.0.0")
    before, since = fleet.serves(), time.monotonic()
    fleet.muster.set_target(PROD, "4.0.0")
    wait_for(lambda: "initial" in fleet.elb.history(fleet.id(PROD), since), 30, "it to be registered again", 0.02)
    fleet.elb.sick = True
    wait_for(lambda: fleet.elb.history(fleet.id(PROD), since).count("draining") == 2, 30, "it to leave once more", 0.02)
    fleet.elb.sick = False
    app = fleet.wait_app(state="held", version=before)
    assert app["last_failure"]["step"] == "ALLOW_TRAFFIC" and app["last_failure"]["fault"] == "release"
    assert "unhealthy" in app["last_failure"]["reason"]
    fleet.elb.wait_state(fleet.id(PROD), "healthy")


def test_musterd_is_killed_in_every_step(fleet):
    """At least where a step takes long enough to be met in it."""
    host, record = fleet.instance(), "/var/lib/muster/apps/api/record.json"
    fleet.publish("5.0.0")
    answers = fleet.slow_requests(3)
    fleet.muster.set_target(PROD, "5.0.0")
    fleet.elb.wait_state(fleet.id(PROD), "draining")
    killed = set()

    def ended():
        deployment = json.loads(host.run("cat", record).out)["deployment"]
        if deployment["step_started"] and deployment["step"] not in killed:
            killed.add(deployment["step"])
            host.sh("kill -9 $(systemctl show -P MainPID musterd)", check=False)
        return deployment["outcome"] != "running" and deployment["outcome"]
    assert wait_for(ended, 90, "the deployment to end", 0.02) == "succeeded"
    assert fleet.serves() == "5.0.0"
    assert fleet.elb.state(fleet.id(PROD)) == "healthy"
    assert answers() == [200] * 4
    assert {"BLOCK_TRAFFIC", "UNITS", "HEALTH", "ALLOW_TRAFFIC"} <= killed
    fleet.wait_app(state="good", version="5.0.0", deployment=None, out_of_traffic=None)


def test_elb_is_out_of_reach(fleet, cloud):
    """Before the instance has left nothing begins; after that it comes back as soon as it can, also with another musterd."""
    fleet.publish("6.0.0")
    before, since = fleet.serves(), time.monotonic()
    with cloud.fault(faults.throttling(), service="elasticloadbalancing", action="DeregisterTargets"):
        fleet.muster.set_target(PROD, "6.0.0")
        failed = wait_for(lambda: fleet.muster.reason(fleet.instance(), "6.0.0"), 60, "6.0.0 to fail")
    assert "Throttling" in failed
    app = fleet.wait_app(version=before, deployment=None)
    assert app["last_failure"]["step"] == "BLOCK_TRAFFIC" and app["last_failure"]["fault"] == "host"
    assert fleet.elb.history(fleet.id(PROD), since) == [] and fleet.serves() == before
    fleet.publish("6.1.0")
    with cloud.fault(faults.access_denied(), service="elasticloadbalancing", action="RegisterTargets"):
        fleet.muster.set_target(PROD, "6.1.0")
        newest = wait_for(lambda: next((d for d in fleet.deployments() if d["outcome"] == "rolled-back"
                                        and d["version"] == "6.1.0"), None), 90, "6.1.0 to be undone", 0.3)
        assert newest["failed_step"] == "ALLOW_TRAFFIC" and newest["fault"] == "host"
        fleet.instance().run("systemctl", "restart", "musterd")
        app = fleet.wait_app(version=before, deployment=None)
        assert app["out_of_traffic"]["target_groups"] == "api:8080"
        assert fleet.elb.state(fleet.id(PROD)) is None
        fleet.muster.set_target(PROD, before)
        fleet.wait_app(state="good", deployment=None)
    fleet.elb.wait_state(fleet.id(PROD), "healthy")
    fleet.wait_app(out_of_traffic=None)


def test_several_target_groups_and_ports(fleet):
    """It leaves each as what it is registered, and is registered as exactly that again."""
    instance, name = fleet.instance(), fleet.id(PROD)
    instance.run("systemd-run", "--unit=second-port", "--socket-property=ListenStream=8090",
                 "/lib/systemd/systemd-socket-proxyd", "127.0.0.1:8080")
    internal = fleet.elb.create_group("internal")
    fleet.director.change_group(PROD, lambda group: group.target_groups.append(internal.arn))
    fleet.elb.register(internal, name, 8080)
    fleet.elb.register(internal, name, 8090)

    def targets():
        return sorted((group.name, port, target.state) for group in (fleet.target_group, internal)
                      for (i, port), target in group.targets.items() if i == name)
    all_healthy = [("api", 8080, "healthy"), ("internal", 8080, "healthy"), ("internal", 8090, "healthy")]
    wait_for(lambda: targets() == all_healthy, 30, "all three targets to be healthy", 0.05)
    since = time.monotonic()
    fleet.publish("2.1.0")
    fleet.update("2.1.0")
    assert targets() == all_healthy
    states = fleet.elb.history(name, since)
    assert {state: states.count(state) for state in states} == {"draining": 3, None: 3, "initial": 3, "healthy": 3}
    first_initial = states.index("initial")
    assert states[:first_initial].count(None) == 3  # out of all of them before it is in any again
    fleet.director.change_group(PROD, lambda group: group.target_groups.remove(internal.arn))
    internal.targets.clear()
    instance.run("systemctl", "stop", "second-port.socket", "second-port.service")


def test_doctor(fleet, cloud):
    """It asks for what would change something so that nothing is changed."""
    since, arn = time.monotonic(), fleet.target_group.arn
    found = fleet.wait_doctor(DescribeTargetHealth=("ok", "registered in 1 target group"),
                              RegisterTargets=("ok", arn), DeregisterTargets=("ok", arn))
    for check in ("RegisterTargets", "DeregisterTargets"):
        with cloud.fault(faults.access_denied(), service="elasticloadbalancing", action=check):
            refused = fleet.wait_doctor(**{check: ("failed", None)})[check]
        assert "AccessDenied" in refused["text"] and refused["advice"] == f"allow elasticloadbalancing:{check} on {arn}"
    assert fleet.elb.history(fleet.id(PROD), since) == [] and len(fleet.target_group.targets) == 2
    assert "SetInstanceHealth" not in found  # which is not needed


def test_maintenance_of_the_instance(fleet):
    """Out of the target groups and stopped before it, up and back in them after it."""
    instance, metadata, since = fleet.instance(), fleet.director.metadata(fleet.id(PROD)), time.monotonic()
    load = Load(fleet.lab, URL)
    at = time.strftime("%d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    metadata.maintenance = [{"NotBefore": at, "NotAfter": "21 Jan 2099 09:17:23 GMT", "Code": "system-reboot",
                             "Description": "reboot", "EventId": "instance-event-1", "State": "active"}]
    instance.run("systemctl", "restart", "musterd")  # which looks for such events every five minutes
    fleet.wait_app(state="stopped")
    assert fleet.elb.history(fleet.id(PROD), since) == ["draining", None]
    assert [step["step"] for step in fleet.deployments()[0]["steps"]] == [
        "BEFORE_BLOCK_TRAFFIC", "BLOCK_TRAFFIC", "AFTER_BLOCK_TRAFFIC", "APPLICATION_STOP", "STOP_UNITS"]
    metadata.maintenance = []
    instance.run("systemctl", "restart", "musterd")
    fleet.wait_app(state="good", out_of_traffic=None)
    fleet.elb.wait_state(fleet.id(PROD), "healthy")
    load.wait_requests(50)
    assert load.stop()["failed"] == 0, load.failures()


HEALTH = "health_interval = 500ms\nhealth_failures = 1\nhealth_restarts = 1\non_unhealthy = replace\n"


def test_unhealthy_later(fleet):
    """Restarted first; where that does not help the group is told, but not where it would be left with too few."""
    invocations = {}
    for group, limit in ((PROD, ""), (CANARY, "healthy_percent = 0\n")):
        host = fleet.instance(group)
        invocations[group] = host.run("systemctl", "show", "-P", "InvocationID", "api").text
        host.sh(f"printf '\n{HEALTH}{limit}' >>/etc/muster/muster.conf; systemctl reload musterd")
    for group in (PROD, CANARY):
        app = fleet.wait_app(group, health_watch={"state": "healthy", "failed": 0, "restarts": 0, "reason": "",
                                                  "replacement": ""})
        fleet.instance(group).sh("echo FAIL_HEALTH=1 >/var/lib/muster/apps/api/current/switches; systemctl reload api")
    app = wait_for(lambda: (app := fleet.app()) and (app["health_watch"] or {}).get("replacement") and app, 60,
                   "the group to be asked")
    assert app["health_watch"]["state"] == "unhealthy" and app["health_watch"]["restarts"] == 1
    assert "status 503" in app["health_watch"]["reason"]
    assert app["health_watch"]["replacement"].startswith("not replaced: 1 of 1 desired")
    assert fleet.instance().run("systemctl", "show", "-P", "InvocationID", "api").text != invocations[PROD]
    assert fleet.director.members(PROD)[0].health == "Healthy"
    fleet.wait_doctor(DescribeAutoScalingGroups=("ok", f"of {PROD}"), SetInstanceHealth=(
        "not tried", "it would have the instance replaced; on_unhealthy = replace needs it"))
    fleet.director.wait_event("state", state="Terminating", group=CANARY)
    fleet.instance().sh("rm -f /var/lib/muster/apps/api/current/switches; systemctl reload api")


def test_terminated_in_the_middle_of_a_change(fleet):
    """Out of the load balancer for a change when its group ends it: it never comes back in, although the metadata were last looked at
    long before."""
    fleet.wait_app(CANARY, state="good", health_watch=None)  # the test before had the instance replaced
    instance, name = fleet.instance(CANARY), fleet.id(CANARY)
    instance.sh("printf '\n[leave]\nmetadata_interval = 1h\n' >>/etc/muster/muster.conf; systemctl reload musterd")
    reloaded = time.monotonic()
    fleet.publish("9.0.0")
    wait_for(lambda: sum(at > reloaded and client == instance.address and "target-lifecycle-state" in path
                         for at, client, _, path, _ in fleet.cloud.metadata.log) > 1, 30, "it to know that it has come into service")
    fleet.wait_app(CANARY, state="good", deployment=None, out_of_traffic=None)
    fleet.elb.wait_state(name, "healthy")
    fleet.director.change_group(CANARY, lambda group: group.hooks.update(leave=Hook("muster-leave", TERMINATING, heartbeat=60)))
    since = time.monotonic()
    answers = fleet.slow_requests(6)
    fleet.muster.set_target(CANARY, "9.0.0")
    wait_for(lambda: fleet.elb.history(name, since)[-1:] == ["draining"], 30, "it to leave the load balancer")
    fleet.director.terminate(name, decrement=False)
    assert answers() == [200] * 4
    fleet.director.wait_event("result", name, hook="muster-leave", result="CONTINUE")
    assert fleet.elb.history(name, since) == ["draining", None]
    assert instance.run("systemctl", "is-active", "api", check=False).text == "inactive"
    fleet.director.wait_event("terminated", name)


def test_termination(fleet):
    """Under load, with requests under way that take long: those are answered, and none comes after them. The app is one that answers
    nothing more once it is stopped."""
    instance, name = fleet.instance(), fleet.id(PROD)
    instance.put("/etc/systemd/system/api.service.d/abrupt.conf", "[Service]\nKillSignal=SIGKILL\n")
    instance.sh("systemctl daemon-reload")
    fleet.wait_app(CANARY, state="good")
    for group in (PROD, CANARY):
        fleet.elb.wait_state(fleet.id(group), "healthy")
    fleet.director.change_group(PROD, lambda group: group.hooks.update(leave=Hook("muster-leave", TERMINATING, heartbeat=60)))
    since = time.monotonic()
    load = Load(fleet.lab, URL)
    answers = fleet.slow_requests(3)
    fleet.elb.drain(instance)  # as the group does it when it ends an instance: musterd finds nothing to deregister
    fleet.director.terminate(name)
    fleet.director.wait_event("result", name, hook="muster-leave", result="CONTINUE")
    assert answers() == [200] * 4
    assert instance.run("systemctl", "is-active", "api", check=False).text == "inactive"
    fleet.director.wait_event("terminated", name)
    load.wait_requests(50)
    assert load.stop()["failed"] == 0, load.failures()
    assert fleet.elb.history(name, since) == ["draining", None]


@pytest.mark.long
def test_standby_while_the_load_balancer_is_waited_for(fleet):
    """Nobody sends requests to who is in standby: the release is good all the same, and stays out until the instance is back."""
    instance, name = fleet.instance(CANARY), fleet.id(CANARY)
    instance.sh("sed -i 's/^healthy_timeout = .*/healthy_timeout = 5m/' /etc/muster/muster.conf; "
                "printf '\n[leave]\nmetadata_interval = 1s\n' >>/etc/muster/muster.conf; systemctl reload musterd")
    fleet.publish("9.1.0")
    fleet.wait_app(CANARY, state="good", deployment=None, out_of_traffic=None)
    fleet.elb.wait_state(name, "healthy")
    since = time.monotonic()
    fleet.muster.set_target(CANARY, "9.1.0")
    wait_for(lambda: "initial" in fleet.elb.history(name, since), 30, "it to be registered again", 0.02)
    fleet.elb.sick = True
    fleet.director.enter_standby(name, decrement=False)
    fleet.elb.drain(instance)
    app = fleet.wait_app(CANARY, state="good", version="9.1.0", deployment=None)
    assert app["out_of_traffic"]["target_groups"] == "api:8080"
    assert fleet.elb.history(name, since)[-1] != "initial"
    fleet.elb.sick = False
