"""EC2 Auto Scaling as a value: groups, their instances and hooks, and what time and calls make of them.

Nothing here knows of a network, a container or a clock: whoever holds it passes the time (seconds, monotonic) into
tick() and into every call, and carries out the effects that come back. So the whole state machine is tested without
booting anything.

An instance goes through phases. Each begins with a state of its name, waits in `:Wait` while hooks of its transition
are open, goes on through `:Proceed`, and ends in a steady state:

    Pending              InService           launch hooks
    Warmed:Pending       Warmed:Stopped …    launch hooks (termination hooks when it comes back by reuse-on-scale-in)
    Terminating          Terminated          termination hooks
    Warmed:Terminating   Warmed:Terminated   termination hooks
    EnteringStandby      Standby             none
    Detaching            Detached            none
"""

import uuid
from dataclasses import dataclass, field

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
CONTINUE, ABANDON = "CONTINUE", "ABANDON"

HEARTBEAT_MIN, HEARTBEAT_MAX, HEARTBEAT_DEFAULT = 30, 7200, 3600
GLOBAL_MAX = 172800
HOOKS_MAX = 50
INSTANCES_MAX = 50  # of one DescribeAutoScalingInstances

_HOOKS_OF = {"Pending": LAUNCHING, "Warmed:Pending": LAUNCHING, "Terminating": TERMINATING,
             "Warmed:Terminating": TERMINATING}
_LEAVING = ("Terminating", "Warmed:Terminating", "Detaching")
_GONE = ("Terminated", "Warmed:Terminated", "Detached")


class ValidationError(Exception):
    """Answered with status 400, code ValidationError and this text."""


@dataclass
class Hook:
    name: str
    transition: str = LAUNCHING
    heartbeat: float = HEARTBEAT_DEFAULT
    default_result: str = ABANDON
    target: str = None  # ARN of a queue or topic
    role: str = None
    metadata: str = None

    @property
    def global_timeout(self):
        return min(GLOBAL_MAX, 100 * self.heartbeat)


@dataclass
class Action:
    """A hook that one instance waits for."""
    hook: Hook
    token: str
    deadline: float
    global_deadline: float
    result: str = None


@dataclass
class WarmPool:
    size: int
    state: str = "Stopped"  # Stopped, Running, Hibernated
    reuse_on_scale_in: bool = False


@dataclass
class Member:
    """An instance of a group."""
    id: str
    group: object
    state: str = "Pending"
    phase: str = "Pending"
    target: str = "InService"  # meta-data/autoscaling/target-lifecycle-state
    origin: str = "EC2"
    destination: str = "AutoScalingGroup"
    health: str = "Healthy"
    due: float = None  # when the state changes on its own
    in_service_at: float = None
    abandoned: bool = False
    keep_after_abandon: bool = False
    protected: bool = False
    actions: dict = field(default_factory=dict)  # hook name -> Action
    history: list = field(default_factory=list)  # (time, state)

    @property
    def waiting(self):
        return self.state.endswith(":Wait")


@dataclass
class Effect:
    """Something for the holder to do or to write down."""
    kind: str  # launch, start, stop, terminate, state, hook, result
    member: Member
    detail: dict = field(default_factory=dict)


@dataclass
class Group:
    name: str
    desired: int = 0
    minimum: int = 0
    maximum: int = 100
    hooks: dict = field(default_factory=dict)
    warm_pool: WarmPool = None
    members: dict = field(default_factory=dict)  # id -> Member
    suspended: set = field(default_factory=set)  # Launch, Terminate, ReplaceUnhealthy
    grace: float = 0
    retain_on_abandon: bool = False  # InstanceLifecyclePolicy, TerminateHookAbandon=retain
    tags: dict = field(default_factory=dict)
    target_groups: list = field(default_factory=list)
    # How long Auto Scaling takes to notice that EC2 has launched an instance, and to go on after a hook. A fast boot
    # can beat the first one: completing the action then fails, as it does on AWS.
    begin_delay: float = 0.3
    proceed_delay: float = 0.1

    def serving(self):
        """The instances that count towards the desired capacity."""
        return [m for m in self.members.values()
                if m.phase == "Pending" and m.state not in _GONE or m.state == "InService"]

    def warmed(self):
        return [m for m in self.members.values() if m.state.startswith("Warmed:") and m.phase == "Warmed:Pending"]


class AutoScaling:
    """new_id() -> the id of an instance to launch."""

    def __init__(self, new_id):
        self.groups = {}
        self._new_id = new_id
        self._effects = []

    def take_effects(self):
        effects, self._effects = self._effects, []
        return effects

    def _emit(self, kind, member, **detail):
        self._effects.append(Effect(kind, member, detail))

    # Look-ups

    def group(self, name):
        if name not in self.groups:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return self.groups[name]

    def member(self, instance_id):
        """The instance of that id in whatever group, or None."""
        return next((g.members[instance_id] for g in self.groups.values() if instance_id in g.members), None)

    # What an operator does

    def create_group(self, group):
        if group.name in self.groups:
            raise ValidationError(f"AutoScalingGroup by this name already exists - A group with the name "
                                  f"{group.name} already exists")
        self.groups[group.name] = group
        return group

    def put_hook(self, group_name, hook):
        group = self.group(group_name)
        if hook.name not in group.hooks and len(group.hooks) >= HOOKS_MAX:
            raise ValidationError(f"You have reached the limit of {HOOKS_MAX} lifecycle hooks for this group")
        group.hooks[hook.name] = hook

    def set_desired(self, group_name, desired):
        group = self.group(group_name)
        if not group.minimum <= desired <= group.maximum:
            side, limit = ("below min", group.minimum) if desired < group.minimum else ("above max", group.maximum)
            raise ValidationError(f"New SetDesiredCapacity value {desired} is {side} value {limit} for the "
                                  "AutoScalingGroup.")
        group.desired = desired

    def terminate(self, instance_id, now, decrement=False):
        member = self._known(instance_id)
        if decrement:
            member.group.desired -= 1
        self._leave(member, now)

    def set_health(self, instance_id, status, now, respect_grace=True):
        if status not in ("Healthy", "Unhealthy"):
            raise ValidationError(f"1 validation error detected: Value '{status}' at 'healthStatus' failed to satisfy "
                                  "constraint: Member must satisfy regular expression pattern: Healthy|Unhealthy")
        member = self._known(instance_id)
        grace_ends = (member.in_service_at or now) + member.group.grace
        if status == "Unhealthy" and respect_grace and member.group.grace and now < grace_ends:
            return
        member.health = status

    def enter_standby(self, group_name, instance_ids, decrement, now):
        group = self.group(group_name)
        members = [self._known(i) for i in instance_ids]
        for member in members:
            if member.state != "InService":
                raise ValidationError(f"The instance {member.id} is not in InService or Standby.")
        if decrement and group.desired - len(members) < group.minimum:
            raise ValidationError(f"AutoScalingGroup {group.name} has min-size={group.minimum}, max-size="
                                  f"{group.maximum}, and desired-size={group.desired}. To place into standby "
                                  f"{len(members)} instance(s), please update the AutoScalingGroup sizes "
                                  "appropriately.")
        for member in members:
            group.desired -= 1 if decrement else 0
            self._begin(member, "EnteringStandby", "Standby", now)

    def exit_standby(self, group_name, instance_ids, now):
        group = self.group(group_name)
        members = [self._known(i) for i in instance_ids]
        for member in members:
            if member.state != "Standby":
                raise ValidationError(f"The instance {member.id} is not in Standby.")
        for member in members:
            group.desired += 1
            self._begin(member, "Pending", "InService", now)

    def detach(self, group_name, instance_ids, decrement, now):
        group = self.group(group_name)
        for member in [self._known(i) for i in instance_ids]:
            group.desired -= 1 if decrement else 0
            self._begin(member, "Detaching", "Detached", now)

    def attach(self, group_name, instance_id, now):
        """An instance that runs in no group becomes one of this, by its launch hooks."""
        group, member = self.group(group_name), self.member(instance_id)
        if member:
            raise ValidationError(f"The instances [{instance_id}] are already part of AutoScalingGroup:{member.group.name}.")
        group.desired += 1
        group.members[instance_id] = member = Member(instance_id, group)
        self._begin(member, "Pending", "InService", now)

    def _known(self, instance_id):
        member = self.member(instance_id)
        if member is None:
            raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
        return member

    # What an instance does

    def _find_action(self, group_name, hook_name, token, instance_id):
        group = self.group(group_name)
        if token is None and instance_id is None:
            raise ValidationError("Either lifecycleActionToken or instanceId must be specified")
        for member in group.members.values():
            action = member.actions.get(hook_name)
            if action is None or action.result is not None or not member.waiting:
                continue
            if action.token == token if token is not None else member.id == instance_id:
                return member, action
        said = f"token {token}" if token is not None else f"instance ID {instance_id}"
        raise ValidationError(f"No active Lifecycle Action found with {said}")

    def complete(self, group_name, hook_name, result, now, token=None, instance_id=None):
        if result not in (CONTINUE, ABANDON):
            raise ValidationError("Lifecycle action result must be one of: CONTINUE, ABANDON")
        member, action = self._find_action(group_name, hook_name, token, instance_id)
        self._conclude(member, action, result, now, "completed")

    def heartbeat(self, group_name, hook_name, now, token=None, instance_id=None):
        member, action = self._find_action(group_name, hook_name, token, instance_id)
        action.deadline = now + action.hook.heartbeat
        self._emit("heartbeat", member, hook=hook_name)

    # The machine

    def _set_state(self, member, state, now):
        member.state = state
        member.history.append((now, state))
        self._emit("state", member, state=state)

    def _launch(self, group, now, to_pool):
        member = Member(self._new_id(), group)
        group.members[member.id] = member
        self._emit("launch", member)
        if to_pool:
            member.destination = "WarmPool"
            self._begin(member, "Warmed:Pending", f"Warmed:{group.warm_pool.state}", now)
        else:
            self._begin(member, "Pending", "InService", now)

    def _begin(self, member, phase, target, now):
        member.phase, member.target = phase, target
        member.actions = {}
        member.due = now + member.group.begin_delay
        self._set_state(member, phase, now)

    def _leave(self, member, now):
        """Scale-in, replacement or abandonment: to its end, or back into the pool."""
        if member.phase in _LEAVING or member.state in _GONE:
            return
        warmed = member.state.startswith("Warmed:")
        pool = member.group.warm_pool
        if pool and pool.reuse_on_scale_in and member.state == "InService" and member.health == "Healthy":
            member.origin, member.destination = "AutoScalingGroup", "WarmPool"
            self._begin(member, "Warmed:Pending", f"Warmed:{pool.state}", now)
            return
        member.origin, member.destination = "WarmPool" if warmed else "AutoScalingGroup", "EC2"
        self._begin(member, "Warmed:Terminating" if warmed else "Terminating",
                    "Warmed:Terminated" if warmed else "Terminated", now)

    def _transition(self, member):
        returning = member.phase == "Warmed:Pending" and member.origin == "AutoScalingGroup"
        return TERMINATING if returning else _HOOKS_OF.get(member.phase)

    def _open_hooks(self, member, now):
        hooks = [h for h in member.group.hooks.values() if h.transition == self._transition(member)]
        for hook in hooks:
            action = Action(hook, str(uuid.uuid4()), now + hook.heartbeat, now + hook.global_timeout)
            member.actions[hook.name] = action
        if not hooks:
            self._arrive(member, now)
            return
        member.due = None
        self._set_state(member, f"{member.phase}:Wait", now)
        for action in member.actions.values():
            self._emit("hook", member, hook=action.hook, token=action.token, origin=member.origin,
                       destination=member.destination)

    def _conclude(self, member, action, result, now, why):
        action.result = result
        self._emit("result", member, hook=action.hook.name, result=result, why=why)
        if result == ABANDON:
            for other in member.actions.values():
                other.result = other.result or ABANDON
            self._abandoned(member, now)
        elif all(a.result for a in member.actions.values()):
            self._proceed(member, now)

    def _abandoned(self, member, now):
        member.abandoned = True
        if self._transition(member) == LAUNCHING:
            self._leave(member, now)
        elif member.group.retain_on_abandon:
            self._set_state(member, f"{member.phase}:Retained", now)
        else:
            self._proceed(member, now)

    def _proceed(self, member, now):
        self._set_state(member, f"{member.phase}:Proceed", now)
        member.due = now + member.group.proceed_delay

    def _arrive(self, member, now):
        member.due = None
        member.actions = {}
        self._set_state(member, member.target, now)
        if member.state == "InService":
            member.in_service_at = now
        elif member.state in _GONE:
            del member.group.members[member.id]
            if member.state != "Detached":  # whose instance goes on, without a group
                self._emit("terminate", member)
        elif member.state in ("Warmed:Stopped", "Warmed:Hibernated"):
            self._emit("stop", member)

    def _take_from_pool(self, group, now):
        """Brings a prepared instance of the warm pool into service; False when there is none."""
        ready = next((m for m in group.warmed() if m.state == m.target), None)
        if ready is None:
            return False
        ready.origin, ready.destination = "WarmPool", "AutoScalingGroup"
        stopped = ready.state in ("Warmed:Stopped", "Warmed:Hibernated")
        self._begin(ready, "Pending", "InService", now)
        if stopped:
            self._emit("start", ready)
        return True

    def _balance(self, group, now):
        serving = group.serving()
        if "Launch" not in group.suspended:
            for _ in range(group.desired - len(serving)):
                if not self._take_from_pool(group, now):
                    self._launch(group, now, to_pool=False)
            pool = group.warm_pool
            for _ in range(pool.size - len(group.warmed()) if pool else 0):
                self._launch(group, now, to_pool=True)
        if "Terminate" not in group.suspended:
            surplus = sorted((m for m in serving if not m.protected), key=lambda m: m.state == "InService")
            for member in surplus[:max(0, len(serving) - group.desired)]:
                self._leave(member, now)

    def _expire(self, member, now):
        for action in list(member.actions.values()):
            if member.waiting and action.result is None and now >= min(action.deadline, action.global_deadline):
                self._conclude(member, action, action.hook.default_result, now, "timed out")

    def _step(self, member, now):
        if member.waiting:
            self._expire(member, now)
        elif member.due is not None and now >= member.due:
            if member.state.endswith(":Proceed"):
                self._arrive(member, now)
            else:
                self._open_hooks(member, now)
        unhealthy = member.health == "Unhealthy" and member.state == "InService"
        if unhealthy and "ReplaceUnhealthy" not in member.group.suspended:
            self._leave(member, now)

    def tick(self, now):
        """What has become due by now happens."""
        for group in list(self.groups.values()):
            for member in list(group.members.values()):
                self._step(member, now)
            self._balance(group, now)
