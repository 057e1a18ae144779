"""Elastic Load Balancing v2 as far as an instance meets it: target groups whose targets are checked, served and drained, with
haproxy (balancer.py) as what really sends the requests. moto has target groups, but nothing behind them: no health checks, no
draining.

    initial    -> healthy | unhealthy      by health checks
    (register)    a target that drains is taken back, and starts again at initial
    (deregister)  draining until no request is under way, or until the deregistration delay has passed
"""

import threading
import time
import traceback
import urllib.request
from dataclasses import dataclass, field

from . import host
from .cloud import ACCOUNT, REGION
from .errors import error_response
from .query_api import list_of, xml_of
from .web import Response

VERSION = "2015-12-01"
NAMESPACE = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
TICK = 0.1
THRESHOLD = 2  # equal answers in a row that make a target healthy or unhealthy


class InvalidTarget(Exception):
    """An instance that EC2 does not know."""


@dataclass
class Target:
    id: str
    port: int
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    streak: int = 0  # answers in a row: good ones count up, bad ones down
    deadline: float = 0.0  # of draining


@dataclass
class Event:
    at: float  # CLOCK_MONOTONIC
    state: str  # of the target from then on; None: it is gone
    id: str
    port: int


@dataclass
class TargetGroup:
    name: str
    port: int = 8080
    path: str = "/healthz"
    interval: float = 0.3
    delay: float = 30.0
    targets: dict = field(default_factory=dict)  # (id, port) -> Target

    @property
    def arn(self):
        return f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{self.name}/0123456789abcdef"


class Elb:
    """For a Director that is told of it instead of a balancer: as Auto Scaling does, it registers an instance in service in the
    first target group, and deregisters one that leaves."""

    def __init__(self, cloud, balancer):
        self.balancer = balancer
        self.groups = {}
        self.events = []
        self.sick = False  # the checks find everybody unhealthy
        self._cloud = cloud
        self._instances = {}  # id -> Instance
        self._guard = threading.RLock()
        self._stop = threading.Event()
        self.failure = None
        cloud.proxy.local["elasticloadbalancing"] = self.answer
        self._thread = threading.Thread(target=self._loop, name="elb", daemon=True)
        self._thread.start()

    def create_group(self, name, **settings):
        self.groups[name] = TargetGroup(name, **settings)
        return self.groups[name]

    # What the director says of an instance

    def add(self, instance):
        with self._guard:
            self._instances[instance.id] = instance
            group = next(iter(self.groups.values()))
            self._register(group, instance.id, group.port)

    def drain(self, instance):
        with self._guard:
            for group in self.groups.values():
                for key in [k for k in group.targets if k[0] == instance.id]:
                    self._deregister(group, *key)

    def remove(self, instance):
        with self._guard:
            for group in self.groups.values():
                for key in [k for k in group.targets if k[0] == instance.id]:
                    del group.targets[key]
            self._instances.pop(instance.id, None)
        self.balancer.remove(instance)

    # What tests do and ask

    def register(self, group, instance_id, port):
        with self._guard:
            self._register(group, instance_id, port)

    def state(self, instance_id):
        """Of its target; None: it is not registered."""
        with self._guard:
            states = [t.state for g in self.groups.values() for t in g.targets.values() if t.id == instance_id]
            return states[0] if states else None

    def wait_state(self, instance_id, state, timeout=30):
        host.wait_for(lambda: self.state(instance_id) == state, timeout, f"{instance_id} to be {state}", 0.05)

    def history(self, instance_id, since=0.0):
        """The states of its target, one after the other."""
        return [e.state for e in list(self.events) if e.id == instance_id and e.at >= since]

    # What goes on

    def _set(self, target, state, reason=""):
        if target.state != state or not self.events:
            self.events.append(Event(time.monotonic(), state, target.id, target.port))
        target.state, target.reason = state, reason

    def _register(self, group, instance_id, port):
        target = group.targets.get((instance_id, port))
        if target and target.state != "draining":
            return
        group.targets[instance_id, port] = target = Target(instance_id, port, state="")
        self._set(target, "initial", "Elb.RegistrationInProgress")

    def _deregister(self, group, instance_id, port):
        target = group.targets.get((instance_id, port))
        if target and target.state != "draining":
            target.deadline = time.monotonic() + group.delay
            self._set(target, "draining", "Target.DeregistrationInProgress")
            self.balancer.drain(self._instances[instance_id])

    def _loop(self):
        last = 0.0
        while not self._stop.wait(TICK):
            try:
                now = time.monotonic()
                check = now - last >= min((g.interval for g in self.groups.values()), default=1.0)
                last = now if check else last
                self._step(now, check)
            except Exception:  # a test asks for it at its end
                self.failure = traceback.format_exc()

    def _step(self, now, check):
        for group in list(self.groups.values()):
            for key, target in list(group.targets.items()):
                if target.state == "draining":
                    self._end_draining(group, key, target, now)
                elif check:
                    self._check(group, key, target)

    def _end_draining(self, group, key, target, now):
        with self._guard:
            instance = self._instances.get(target.id)
            if group.targets.get(key) is not target or target.state != "draining":
                return
            if now < target.deadline and instance and self.balancer.busy(instance):
                return
            del group.targets[key]
            self.events.append(Event(time.monotonic(), None, target.id, target.port))

    def _check(self, group, key, target):
        instance = self._instances.get(target.id)
        good = instance is not None and not self.sick and self._answers(
            f"http://{instance.address}:{target.port}{group.path}")
        with self._guard:
            if group.targets.get(key) is not target or target.state == "draining":
                return
            target.streak = max(target.streak, 0) + 1 if good else min(target.streak, 0) - 1
            if target.streak >= THRESHOLD and target.state != "healthy":
                self.balancer.add(instance)
                self._set(target, "healthy")
            elif target.streak <= -THRESHOLD and target.state != "unhealthy":
                self._set(target, "unhealthy", "Target.FailedHealthChecks")
                self.balancer.drain(instance)

    def _answers(self, url):
        def ask():
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    return answer.status == 200
            except (OSError, ValueError):
                return False
        return host.in_network(self._cloud.netns, ask)

    # The Query API

    def answer(self, request):
        action = request.form.get("Action", "")
        method = _ACTIONS.get(action)
        if request.form.get("Version") != VERSION or method is None:
            return error_response(request, 400, "InvalidAction", f"Could not find operation {action}")
        with self._guard:
            try:
                result = method(self, request.form)
            except InvalidTarget as error:
                return error_response(request, 400, "InvalidTarget", str(error))
            except KeyError:
                return error_response(request, 400, "TargetGroupNotFound", "One or more target groups not found")
        body = f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{xml_of(result)}</{action}Result>' \
               f"<ResponseMetadata><RequestId>lab</RequestId></ResponseMetadata></{action}Response>"
        return Response(200, body.encode(), [("Content-Type", "text/xml")])

    def _group(self, form):
        return {g.arn: g for g in self.groups.values()}[form["TargetGroupArn"]]

    def _targets(self, group, form):
        ids = list_of(form, "Targets", ".Id")
        return [(i, int(form.get(f"Targets.member.{n}.Port", group.port))) for n, i in enumerate(ids, 1)]

    def _describe_health(self, form):
        group = self._group(form)
        unknown = Target("", 0, "unused", "Target.NotRegistered")
        asked = self._targets(group, form) or list(group.targets)
        return {"TargetHealthDescriptions": [
            {"Target": {"Id": i, "Port": p}, "HealthCheckPort": p,
             "TargetHealth": {"State": t.state, "Reason": t.reason or None}}
            for i, p in asked for t in [group.targets.get((i, p), unknown)]]}

    def _register_targets(self, form):
        group = self._group(form)
        for target in self._targets(group, form):
            if target[0] not in self._instances:
                raise InvalidTarget(f"The following targets are not in a running state: '{target[0]}'")
            self._register(group, *target)
        return {}

    def _deregister_targets(self, form):
        group = self._group(form)
        for target in self._targets(group, form):
            self._deregister(group, *target)
        return {}

    def _describe_groups(self, form):
        return {"TargetGroups": [{"TargetGroupName": self.groups[n].name, "TargetGroupArn": self.groups[n].arn}
                                 for n in list_of(form, "Names")]}

    def close(self):
        self._stop.set()
        self._thread.join()
        self._cloud.proxy.local.pop("elasticloadbalancing", None)


_ACTIONS = {
    "DescribeTargetHealth": Elb._describe_health,
    "RegisterTargets": Elb._register_targets,
    "DeregisterTargets": Elb._deregister_targets,
    "DescribeTargetGroups": Elb._describe_groups,
}
