"""The story that `make demo` tells, and its judge: every event is one that the lab saw, none is muster's own word."""

import json
import time

from canary import Canary
from rig import goapp, host
from rig.autoscaling import LAUNCHING, Hook
from rig.balancer import URL, Balancer
from rig.cloud import Cloud
from rig.director import Director
from rig.host import LabError
from rig.prober import Load
from witness import Witness

EVENTS = ["launched", "pending_wait", "deployed", "healthy", "in_service", "first_request", "updated", "rolled_back",
          "abandoned"]
ROLLOUT_EVENTS = ["canary", "spared"]
GOOD, BETTER, BAD, WORSE = "1.0.0", "2.0.0", "3.0.0", "4.0.0"
HOOK = Hook("muster", LAUNCHING, heartbeat=120)
PATIENCE = 90  # seconds for any one thing to happen
RATE = 200  # requests a second


class Story:
    """agent: how releases get to instances; see rig/operator.py. teller: where the story goes; see teller.py. With rollouts,
    a canary goes ahead, and one is the only one that a bad release reaches."""

    def __init__(self, lab, agent, teller, rollouts=True):
        self.lab, self.agent, self.teller = lab, agent, teller
        self.canary = Canary(self) if rollouts else None
        self.timeline = []
        self.began = time.monotonic()
        self.cloud = Cloud(lab)
        self.balancer = Balancer(lab)
        self.director = Director(lab, self.cloud, self.balancer)
        self.witness = Witness(self.director)
        self.load = None

    def saw(self, event, instance, version, at, note=""):
        seconds = round(at - self.began, 2)
        self.timeline.append({"event": event, "instance": instance, "version": version, "seconds": seconds})
        self.teller.event(seconds, instance, event, version, note)

    def wait(self, condition, what):
        """Waits for something that the lab must see; an instance that is lost meanwhile is told at once."""
        def seen():
            self.director.raise_failure()
            return condition()
        return host.wait_for(seen, PATIENCE, what)

    # The chapters

    def tell(self):
        self._prepare()
        self.began = time.monotonic()
        prod = self._two_instances_enter_service()
        self._update_under_load(prod)
        self._bad_release_is_undone(prod)
        if self.canary:
            self._bad_release_stops_at_the_canary(prod)
        self._broken_first_release_is_abandoned(prod)

    def _prepare(self):
        self.teller.chapter("A depot, keys, and version 1 of the app")
        self.agent.prepare(self.cloud)
        folder = self.cloud.folder / "apps"
        self.agent.publish(goapp.build(folder, GOOD), GOOD)
        self.agent.publish(goapp.build(folder, BETTER), BETTER)
        for version in (BAD, WORSE):
            self.agent.publish(goapp.build(folder, version, appspec=goapp.impatient, FAIL_HEALTH="1"), version)
        self.agent.set_target("prod", GOOD)

    def _two_instances_enter_service(self):
        self.teller.chapter("The group launches two instances; each waits until it has proved itself")
        self.director.create_group("prod", self.agent.template("prod"), [HOOK], desired=2)
        self.load_when_served()
        self.wait(lambda: len(self.director.find("in_service")) == 2, "two instances in service")
        prod = [event.instance for event in self.director.find("launched")]
        for instance in prod:
            self.wait(lambda: self.load.first(instance), f"a request served by {instance}")
        self._tell_launches(prod)
        return prod

    def load_when_served(self):
        """Load from the first moment on at which somebody should answer."""
        self.wait(lambda: self.director.find("in_service"), "an instance in service")
        self.load = Load(self.lab, URL, rate=RATE)

    def _tell_launches(self, instances):
        seen = []
        for instance in instances:
            moments = [("launched", self.director.find("launched", instance)[0].at),
                       ("pending_wait", self.director.find("pending_wait", instance)[0].at),
                       ("deployed", self.witness.deployed(instance, GOOD)),
                       ("healthy", self.witness.healthy(instance, GOOD)),
                       ("in_service", self.director.find("in_service", instance)[0].at),
                       ("first_request", self.load.first(instance))]
            seen += [(at, instance, event) for event, at in moments if at]
            self._in_order(instance, moments)
        for at, instance, event in sorted(seen):
            self.saw(event, instance, GOOD, at)

    @staticmethod
    def _in_order(instance, moments):
        """The one thing that must never be wrong: no service before health, no traffic before service."""
        for (earlier, before), (later, after) in zip(moments, moments[1:]):
            if before is None or after is None or before > after:
                raise LabError(f"{instance} was {later} before it was {earlier}")

    def _update_under_load(self, prod):
        self.teller.chapter(f"Version 2 arrives under load, {RATE} requests a second{', a canary first' if self.canary else ''}")
        if self.canary:
            self.canary.goes_ahead(prod, BETTER)
        else:
            self._all_at_once(prod, BETTER)
        self._wait_good(prod, BETTER)
        self.load.wait_requests(RATE)
        self._no_lost_request()

    def _all_at_once(self, prod, version):
        asked = time.monotonic()
        self.agent.set_target("prod", version)
        for at, instance in sorted((self.serves(instance, version, asked), instance) for instance in prod):
            self.saw("updated", instance, version, at)

    def serves(self, instance, version, asked):
        """When the first request was served by a version that was asked for."""
        self.wait(lambda: self.witness.healthy(instance, version, asked) and
                  self.witness.deployed(instance, version, asked), f"{instance} to run {version}")
        return self.wait(lambda: self.load.first(instance, version), f"{instance} to serve {version}")

    def _wait_good(self, prod, version):
        """Until it is committed everywhere: only what is good is there to go back to."""
        for instance in prod:
            self.wait(lambda: self.agent.is_good(self.director.instances[instance], version),
                      f"{version} to be good on {instance}")

    def _bad_release_is_undone(self, prod):
        self.teller.chapter("Version 3, on all at once, does not pass its health check")
        asked = time.monotonic()
        self.agent.set_target("prod", BAD)
        moments = [(*self.goes_back(instance, BETTER, BAD, asked), instance) for instance in prod]
        for at, reason, instance in sorted(moments):
            self.saw("rolled_back", instance, BETTER, at, reason)
        self.load.wait_requests(RATE)
        self._no_lost_request()
        self.agent.set_target("prod", BETTER)

    def goes_back(self, instance, stable, bad, asked):
        """(when it served the stable version again, why the bad one was undone)."""
        tried = self.wait(lambda: self.witness.deployed(instance, bad, asked), f"{instance} to try {bad}")
        self.wait(lambda: self.witness.deployed(instance, stable, tried) and
                  self.witness.healthy(instance, stable, tried), f"{instance} to go back to {stable}")
        back = max(self.witness.deployed(instance, stable, tried), self.witness.healthy(instance, stable, tried))
        return back, self.wait(lambda: self.agent.reason(self.director.instances[instance], bad), "the reason")

    def _bad_release_stops_at_the_canary(self, prod):
        self.teller.chapter("Version 4 is no better, and is rolled out: only the canary ever has it")
        self.canary.is_the_only_one(prod, BETTER, WORSE)
        self.load.wait_requests(RATE)
        self._no_lost_request()

    def _broken_first_release_is_abandoned(self, prod):
        self.teller.chapter("An instance whose first release is broken never enters service")
        self.agent.set_target("staging", BAD)
        group = self.director.create_group("staging", self.agent.template("staging"), [HOOK], desired=1)
        launched = self.wait(lambda: [e for e in self.director.find("launched") if e.instance not in prod],
                             "a third launch")[0]
        group.suspended.add("Launch")  # its replacement would fare no better
        instance = launched.instance
        self.saw("launched", instance, BAD, launched.at)
        waiting = self.wait(lambda: self.director.find("pending_wait", instance), f"{instance} to wait")[0]
        self.saw("pending_wait", instance, BAD, waiting.at)
        result = self.wait(lambda: self.director.find("result", instance), f"{instance} to say how it went")[0]
        if result.detail != {"hook": HOOK.name, "result": "ABANDON", "why": "completed"}:
            raise LabError(f"{instance} was not abandoned: {result.detail}")
        self.saw("abandoned", instance, BAD, result.at)
        self.wait(lambda: self.director.find("terminated", instance), f"{instance} to be terminated")
        if self.director.find("in_service", instance):
            raise LabError(f"{instance} entered service with a broken release")

    # The judgement

    def _no_lost_request(self):
        failures = self.load.failures()
        if failures:
            raise LabError(f"{len(failures)} requests failed, the first: {failures[0]['why']}")

    def result(self):
        """What build/demo.json says."""
        totals = self.load.stop() if self.load else {"requests": 0, "failed": 0}
        return {"timeline": sorted(self.timeline, key=lambda e: e["seconds"]), "requests": totals["requests"],
                "failed": totals["failed"]}

    def missing(self, result):
        """The events that were not seen; of some there must be one for each instance."""
        events = EVENTS + (ROLLOUT_EVENTS if self.canary else [])
        counts = {event: sum(1 for e in result["timeline"] if e["event"] == event) for event in events}
        wanted = {"launched": 3, "pending_wait": 3, "abandoned": 1, "spared": 1}
        return [event for event in events if counts[event] < wanted.get(event, 2)]

    def close(self):
        if self.load:
            self.load.stop()
        self.witness.close()
        self.director.close()
        self.balancer.close()
        self.cloud.close()


def write(path, result):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.rename(path)
