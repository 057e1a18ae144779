"""Rollouts over a fleet of six, in stages of one, half and all, two changing at once. The witnesses are the load balancer's clients,
the director, and what `current` names on each instance, looked at all the while: never does a release run on more instances than
the stage that is open allows."""

import json
import os
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from rig import goapp
from rig.autoscaling import LAUNCHING, TERMINATING, Hook
from rig.balancer import URL, Balancer
from rig.director import Director
from rig.host import wait_for
from rig.operator import Muster
from rig.prober import Load

GROUP = "prod"
FLEET = 6
PARALLEL = 2
STAGES = "1:2s,50%:1s,100%"
SHARES = [1, FLEET // 2, FLEET]
HOOKS = (Hook("muster", LAUNCHING, heartbeat=60), Hook("muster-leave", TERMINATING, heartbeat=15))
AGENT = "settle_time = 200ms\nreport_interval = 2s\n"
LEAVE = "[leave]\nmetadata_interval = 1s\n"
PATIENCE = 90
PREFIX = "depot/apps/api/groups/prod"


def _quick(text):
    return text.replace("interval: 1s", "interval: 200ms").replace("deadline: 30s", "deadline: 4s")


class Watch:
    """Looks, many times a second, at what `current` names everywhere, and keeps how many ran a version at once."""

    def __init__(self, fleet, version):
        self._fleet, self._version = fleet, version
        self.most, self.broken = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.1):
            running = [i.id for i in self._fleet.instances() if current_version(i) == self._version]
            try:
                register = self._fleet.register()  # read afterwards: stages only grow
            except (BotoCoreError, ClientError):
                continue  # nobody knows
            self.most = max(self.most, len(running))
            if len(running) > (SHARES[register["stage"]] if register else 0):
                self.broken.append((running, register))

    def stop(self):
        self._stop.set()
        self._thread.join()
        assert self.broken == []
        return self.most


def current_version(instance):
    try:
        return os.path.basename(os.readlink(instance.root / "var/lib/muster/apps/api/current")).rsplit("-", 1)[0]
    except OSError:
        return None


class Fleet:
    """Six instances behind a load balancer, all with the stable release."""

    def __init__(self, lab, cloud, folder):
        self.cloud, self._lab, self._folder = cloud, lab, folder
        self.balancer = Balancer(lab)
        self.director = Director(lab, cloud, self.balancer)
        self.muster = Muster(lab.layers[0] / "usr/bin/muster")
        self.muster.prepare(cloud)
        self.rollout = None
        self._versions = 0
        self.stable = self.publish()

    def publish(self, **switches):
        self._versions += 1
        version = f"{self._versions}.0.0"
        self.muster.publish(goapp.build(self._folder, version, _quick, **switches), version)
        return version

    def launch(self):
        self.muster.set_target(GROUP, self.stable)
        template = self.muster.template(GROUP, poll_interval="1s", agent=AGENT, sections=LEAVE)
        self.director.create_group(GROUP, template, HOOKS, desired=FLEET)
        self.director.wait_event("in_service", count=FLEET, timeout=PATIENCE)

    def instances(self):
        return list(self.director.instances.values())

    def status(self, instance):
        answer = instance.run("muster", "status", "--json", check=False)
        apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
        return apps[0] if apps else {}

    def start(self, version, *options):
        """Begins a rollout; returns who watches it."""
        watch = Watch(self, version)
        self.rollout = f"r-{version}"
        self.muster.rollout("start", GROUP, "--version", version, "--stages", STAGES, "--max-parallel", PARALLEL, "--id",
                            self.rollout, *options)
        return watch

    def register(self):
        key = f"{PREFIX}/rollouts/{self.rollout}.json"
        if not self.rollout or key not in self.cloud.objects(self.muster.bucket, f"{PREFIX}/rollouts/"):
            return None
        return json.loads(self.cloud.read(self.muster.bucket, key))

    def marks(self):
        """{"up-1": {instance…}, …}"""
        marks = {}
        prefix = f"{PREFIX}/rollouts/{self.rollout}/"
        for key in self.cloud.objects(self.muster.bucket, prefix):
            kind, instance = key[len(prefix):].removesuffix(".json").split("/")
            marks.setdefault(kind, set()).add(instance.split(":")[-1])
        return marks

    def wait_state(self, state):
        def reached():
            register = self.register()
            return register and register["state"] == state and register
        return wait_for(reached, PATIENCE, f"the rollout to be {state}", 0.2)

    def wait_all(self, version):
        """Until everybody serves it, and nobody does anything any more."""
        def reached():
            apps = [self.status(instance) for instance in self.instances()]
            return all(app.get("version") == version and app.get("state") == "good" for app in apps) and apps
        return wait_for(reached, PATIENCE, f"everybody to serve {version}", 0.5)

    def settle(self):
        """A plain target again."""
        if self.register()["state"] != "complete":
            self.muster.rollout("abort", GROUP, "--reason", "the test is over", check=False)
            self.muster.set_target(GROUP, self.stable)
        else:
            self.muster.rollout("finish", GROUP)
        self.rollout = None

    def close(self):
        self.director.close()
        self.balancer.close()


@pytest.fixture(scope="module")
def whole(lab, session_cloud, tmp_path_factory):
    lab.require_package()
    made = Fleet(lab, session_cloud, tmp_path_factory.mktemp("rollouts"))
    made.launch()
    yield made
    made.close()


@pytest.fixture
def fleet(whole, cloud, request):
    request.node.director = whole.director
    whole.wait_all(whole.stable)
    yield whole
    whole.settle()


def test_good_candidate(fleet):
    """Stage after stage, and no request is lost."""
    candidate = fleet.publish()
    load = Load(fleet._lab, URL, rate=100)
    watch = fleet.start(candidate)
    fleet.wait_state("complete")
    fleet.wait_all(candidate)
    assert watch.stop() == FLEET
    assert load.stop()["failed"] == 0
    marks = fleet.marks()
    assert len(marks["good-1"]) == FLEET and set(marks) == {"up-1", "good-1"}
    fleet.stable = candidate


def test_bad_at_the_canary(fleet):
    """One instance tries it, and all stay as they are."""
    candidate = fleet.publish(FAIL_HEALTH="1")
    load = Load(fleet._lab, URL, rate=100)
    watch = fleet.start(candidate)
    register = fleet.wait_state("aborted")
    assert register["failures"] == 1 and "1 instance failed, 0 may" in register["reason"]
    fleet.wait_all(fleet.stable)
    assert watch.stop() == 1
    assert len(fleet.marks()["failed-1"]) == 1 and "good-1" not in fleet.marks()
    load.stop()
