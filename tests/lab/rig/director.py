"""Auto Scaling with real instances: carries out what the state machine decides, keeps the load balancer in step, tells
hooks' targets, and writes down what happened when. Its log is the witness that tests question, not muster's word."""

import json
import threading
import time
import traceback
from dataclasses import dataclass, field

from . import host
from .autoscaling import AutoScaling, Group
from .cloud import ACCOUNT, ZONE
from .host import LabError
from .query_api import QueryApi

TICK = 0.05
_STATE_EVENTS = {"Pending:Wait": "pending_wait", "InService": "in_service"}


@dataclass
class Event:
    at: float  # CLOCK_MONOTONIC
    kind: str  # launched, booting, state, in_service, pending_wait, heartbeat, result, terminated, failed
    instance: str
    detail: dict = field(default_factory=dict)


@dataclass
class Template:
    """A launch template. prepare(instance) may do what it likes to the instance before its first boot."""
    files: dict = field(default_factory=dict)  # path -> content
    user_data: str = None
    prepare: object = None
    state_disk: str = None
    tags: dict = field(default_factory=dict)


class Director:
    def __init__(self, lab, cloud, balancer=None):
        self.lab, self.cloud, self.balancer = lab, cloud, balancer
        self.events = []
        self.instances = {}  # id -> Instance, while it exists
        self.retired = {}  # id -> Instance, switched off: its journal can still be read
        self._templates = {}
        self._guard = threading.RLock()
        self._machine = AutoScaling(lab.new_id)
        self._api = QueryApi(self._machine, self._guard, ZONE, ACCOUNT)
        self._jobs = []
        self._stop = threading.Event()
        cloud.proxy.local["autoscaling"] = self._api.answer
        self._thread = threading.Thread(target=self._loop, name="director", daemon=True)
        self._thread.start()

    # What a test does

    def create_group(self, name, template=None, hooks=(), **settings):
        """A group; settings are the fields of autoscaling.Group (desired, warm_pool, grace …)."""
        with self._guard:
            self._templates[name] = template or Template()
            group = self._machine.create_group(Group(name, hooks={h.name: h for h in hooks}, **settings))
        return group

    def change_group(self, name, change):
        """change(group) may do to it (autoscaling.Group) what an operator may."""
        with self._guard:
            change(self._machine.group(name))

    def set_desired(self, name, desired):
        with self._guard:
            self._machine.set_desired(name, desired)

    def terminate(self, instance_id, decrement=True):
        with self._guard:
            self._machine.terminate(instance_id, time.monotonic(), decrement)

    def enter_standby(self, instance_id, decrement=True):
        with self._guard:
            group = self._machine.member(instance_id).group
            self._machine.enter_standby(group.name, [instance_id], decrement, time.monotonic())

    def exit_standby(self, instance_id):
        with self._guard:
            group = self._machine.member(instance_id).group
            self._machine.exit_standby(group.name, [instance_id], time.monotonic())

    def detach(self, instance_id, decrement=True):
        with self._guard:
            group = self._machine.member(instance_id).group
            self._machine.detach(group.name, [instance_id], decrement, time.monotonic())

    def attach(self, name, instance_id):
        with self._guard:
            self._machine.attach(name, instance_id, time.monotonic())
            member, metadata = self._machine.member(instance_id), self.metadata(instance_id)
        metadata.target_lifecycle_state = lambda: member.target
        metadata.tags = {**metadata.tags, "aws:autoscaling:groupName": name}

    def set_state(self, instance_id, state, target=None):
        """A state that no operator can bring about: Auto Scaling says so from now on, and nothing else happens."""
        with self._guard:
            member = self._machine.member(instance_id)
            member.state, member.due = state, None
            member.target = target or member.target

    def metadata(self, instance_id):
        """What the instance metadata say to it (imds.Metadata)."""
        return self.cloud.metadata.instances[self.instances[instance_id].address]

    def set_health(self, instance_id, status):
        with self._guard:
            self._machine.set_health(instance_id, status, time.monotonic(), respect_grace=False)

    def complete(self, instance_id, hook, result="CONTINUE"):
        """Completes a lifecycle action as an operator would, on behalf of the instance."""
        with self._guard:
            group = self._machine.member(instance_id).group
            self._machine.complete(group.name, hook, result, time.monotonic(), instance_id=instance_id)

    def set_template(self, name, template):
        """Launches after this use another template."""
        with self._guard:
            self._templates[name] = template

    def members(self, name):
        """The group's instances (autoscaling.Member)."""
        with self._guard:
            return list(self._machine.group(name).members.values())

    def state(self, instance_id):
        """The lifecycle state, or None when Auto Scaling no longer knows the instance."""
        with self._guard:
            member = self._machine.member(instance_id)
            return member.state if member else None

    def wait_state(self, instance_id, state, timeout=60):
        return self.wait_event("state", instance_id, timeout, state=state)

    def find(self, kind, instance_id=None, **detail):
        """Events of a kind, of an instance, with details."""
        return [e for e in list(self.events) if e.kind == kind and instance_id in (None, e.instance)
                and all(e.detail.get(k) == v for k, v in detail.items())]

    def wait_event(self, kind, instance_id=None, timeout=60, count=1, **detail):
        """Waits for an event (for `count` of them) and returns the last of them."""
        what = " ".join(["event", kind, instance_id or "", *(f"{k}={v}" for k, v in detail.items())])

        def seen():
            self.raise_failure()
            found = self.find(kind, instance_id, **detail)
            return found[count - 1] if len(found) >= count else None
        return host.wait_for(seen, timeout, what, interval=0.02)

    def raise_failure(self):
        failed = next((e for e in self.events if e.kind == "failed"), None)
        if failed:
            raise LabError(f"the director failed at {failed.instance}: {failed.detail['reason']}")

    # What goes on

    def _loop(self):
        while not self._stop.wait(TICK):
            with self._guard:
                self._machine.tick(time.monotonic())
                effects = self._machine.take_effects()
            for effect in effects:
                self._carry_out(effect)

    def note(self, kind, instance_id, at=None, **detail):
        """Writes an event down. Others who watch (the prober, the demo) may do so too."""
        event = Event(at or time.monotonic(), kind, instance_id, detail)
        self.events.append(event)
        return event

    def _carry_out(self, effect):
        member = effect.member
        if effect.kind == "state":
            self._state_changed(member, effect.detail["state"])
        elif effect.kind == "hook":
            self._job(member.id, self._tell, member, effect.detail)
        elif effect.kind in ("launch", "start", "stop", "terminate"):
            work = {"launch": self._launch, "start": self._start, "stop": self._switch_off,
                    "terminate": self._terminate}[effect.kind]
            self._job(member.id, work, member)
        else:
            self.note(effect.kind, member.id, **effect.detail)

    def _state_changed(self, member, state):
        instance = self.instances.get(member.id)
        if self.balancer and instance:
            if state == "InService":
                self.balancer.add(instance)
            elif member.phase != "Pending":
                self.balancer.drain(instance)
        self.note("state", member.id, state=state, group=member.group.name)
        if state in _STATE_EVENTS:
            self.note(_STATE_EVENTS[state], member.id)

    def _job(self, instance_id, work, *arguments):
        """What takes time runs beside the loop, in order for each instance."""
        def body(before):
            if before:
                before.join()
            try:
                work(*arguments)
            except Exception as error:
                self.note("failed", instance_id, reason=f"{error}\n{traceback.format_exc()}")
        before = next((t for i, t in reversed(self._jobs) if i == instance_id), None)
        thread = threading.Thread(target=body, args=(before,), daemon=True)
        self._jobs.append((instance_id, thread))
        thread.start()

    def _launch(self, member):
        self.note("launched", member.id, group=member.group.name)
        template = self._templates[member.group.name]
        instance = self.lab.instance(member.id)
        self.instances[member.id] = instance
        tags = {"aws:autoscaling:groupName": member.group.name, **member.group.tags, **template.tags}
        self.cloud.attach(instance, tags=tags, target_lifecycle_state=lambda: member.target,
                          user_data=template.user_data)
        if template.state_disk:
            instance.use_state_disk(template.state_disk)
        for path, content in template.files.items():
            instance.put(path, content)
        if template.user_data:
            instance.user_data(template.user_data)
        if template.prepare:
            template.prepare(instance)
        instance.boot(wait=False)
        self.note("booting", member.id)

    def _start(self, member):
        instance = self.instances[member.id]
        if instance.running:  # it hibernates
            instance.wake()
            self.note("awake", member.id)
            return
        instance.boot(wait=False)
        self.note("booting", member.id)

    def _switch_off(self, member):
        if member.state == "Warmed:Hibernated":
            self.instances[member.id].hibernate()
        else:
            self.instances[member.id].power_off()
        self.note("stopped", member.id)

    def _terminate(self, member):
        instance = self.instances[member.id]
        if self.balancer:
            self.balancer.remove(instance)
        instance.power_off()
        self.retired[member.id] = self.instances.pop(member.id)
        self.cloud.metadata.instances.pop(instance.address, None)
        self.note("terminated", member.id, abandoned=member.abandoned)

    def _tell(self, member, detail):
        """The message to the hook's target, as Auto Scaling sends it."""
        hook = detail["hook"]
        if not hook.target:
            return
        message = {"LifecycleHookName": hook.name, "AccountId": ACCOUNT, "RequestId": detail["token"],
                   "LifecycleTransition": hook.transition, "AutoScalingGroupName": member.group.name,
                   "Service": "AWS Auto Scaling", "Time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                   "EC2InstanceId": member.id, "LifecycleActionToken": detail["token"],
                   "Origin": detail["origin"], "Destination": detail["destination"]}
        if hook.metadata:
            message["NotificationMetadata"] = hook.metadata
        kind, name = hook.target.split(":")[2], hook.target.rsplit(":", 1)[1]
        if kind == "sqs":
            sqs = self.cloud.client("sqs")
            sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=json.dumps(message))
        else:
            self.cloud.client("sns").publish(TopicArn=hook.target, Message=json.dumps(message))

    def close(self):
        """Ends it and switches every instance off, without ceremony."""
        self._stop.set()
        self._thread.join()
        for _, thread in list(self._jobs):
            thread.join(60)
        self.cloud.proxy.local.pop("autoscaling", None)
        for instance in [*self.instances.values(), *self.retired.values()]:
            if self.balancer:
                self.balancer.remove(instance)
            self.cloud.metadata.instances.pop(instance.address, None)
            self.lab.remove(instance)

