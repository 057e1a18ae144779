"""The state machine of Auto Scaling against what AWS documents, with a clock of the test's own and nothing booted."""

import itertools

import pytest
from rig import autoscaling
from rig.autoscaling import ABANDON, CONTINUE, LAUNCHING, TERMINATING, AutoScaling, Group, Hook, ValidationError, WarmPool


class World:
    """A machine, its clock and what it asked for."""

    def __init__(self):
        numbers = itertools.count(1)
        self.machine = AutoScaling(lambda: f"i-{next(numbers)}")
        self.now = 0.0
        self.effects = []

    def group(self, *hooks, **settings):
        group = Group("g", hooks={h.name: h for h in hooks}, begin_delay=1, proceed_delay=1, **settings)
        return self.machine.create_group(group)

    def run(self, seconds):
        end = self.now + seconds
        while True:
            self.machine.tick(self.now)
            self.effects += self.machine.take_effects()
            if self.now >= end:
                return
            self.now += 0.5

    def states(self, instance_id):
        return [e.detail["state"] for e in self.effects if e.kind == "state" and e.member.id == instance_id]

    def kinds(self, kind):
        return [e.member.id for e in self.effects if e.kind == kind]

    def complete(self, instance_id, result=CONTINUE, hook="launch"):
        self.machine.complete("g", hook, result, self.now, instance_id=instance_id)

    def state(self, instance_id):
        member = self.machine.member(instance_id)
        return member and member.state


@pytest.fixture
def world():
    return World()


LAUNCH = Hook("launch", LAUNCHING, heartbeat=30)
LEAVE = Hook("leave", TERMINATING, heartbeat=30)


def test_no_hooks(world):
    world.group(desired=2)
    world.run(5)
    assert world.states("i-1") == ["Pending", "InService"]
    assert world.kinds("launch") == ["i-1", "i-2"]


def test_launch_waits_for_the_hook(world):
    world.group(LAUNCH, desired=1)
    world.run(20)
    assert world.state("i-1") == "Pending:Wait"
    world.complete("i-1")
    world.run(3)
    assert world.states("i-1") == ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]


def test_a_fast_boot_beats_the_hook(world):
    world.group(LAUNCH, desired=1)
    world.run(0)
    assert world.state("i-1") == "Pending"
    with pytest.raises(ValidationError, match="^No active Lifecycle Action found with instance ID i-1$"):
        world.complete("i-1")


def test_second_completion_is_refused(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    token = world.machine.member("i-1").actions["launch"].token
    world.machine.complete("g", "launch", CONTINUE, world.now, token=token)
    with pytest.raises(ValidationError, match=f"^No active Lifecycle Action found with token {token}$"):
        world.machine.complete("g", "launch", CONTINUE, world.now, token=token)


def test_unknown_hook_and_group(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    with pytest.raises(ValidationError, match="No active Lifecycle Action found with instance ID i-1"):
        world.complete("i-1", hook="other")
    with pytest.raises(ValidationError, match="AutoScalingGroup name not found"):
        world.machine.complete("other", "launch", CONTINUE, world.now, instance_id="i-1")


def test_several_hooks_wait_at_once_and_all_must_continue(world):
    world.group(LAUNCH, Hook("second", LAUNCHING), desired=1)
    world.run(3)
    world.complete("i-1", hook="second")
    world.run(3)
    assert world.state("i-1") == "Pending:Wait"
    world.complete("i-1")
    world.run(3)
    assert world.state("i-1") == "InService"


def test_abandoned_launch_is_replaced(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    world.complete("i-1", ABANDON)
    world.run(2)
    assert world.state("i-1") is None
    assert world.states("i-1") == ["Pending", "Pending:Wait", "Terminating", "Terminated"]
    assert world.kinds("terminate") == ["i-1"]
    assert world.kinds("launch") == ["i-1", "i-2"]


def test_heartbeat_times_out_into_the_default_result(world):
    world.group(LAUNCH, desired=1)
    world.run(30)
    assert world.state("i-1") == "Pending:Wait"
    world.run(2)
    assert "Terminating" in world.states("i-1")


def test_default_continue(world):
    world.group(Hook("launch", LAUNCHING, heartbeat=30, default_result=CONTINUE), desired=1)
    world.run(34)
    assert world.state("i-1") == "InService"


def test_heartbeat_restarts_the_timer_until_the_global_timeout(world):
    world.group(LAUNCH, desired=1)
    for _ in range(149):
        world.run(20)
        world.machine.heartbeat("g", "launch", world.now, instance_id="i-1")
    assert world.state("i-1") == "Pending:Wait"
    world.run(25)
    assert world.now < 3010 and "Terminating" in world.states("i-1")


def test_global_timeout_is_the_smaller_of_48_hours_and_100_heartbeats():
    assert Hook("h", heartbeat=30).global_timeout == 3000
    assert Hook("h", heartbeat=7200).global_timeout == 172800


def test_terminating_waits_and_both_results_terminate(world):
    for result in (CONTINUE, ABANDON):
        world = World()
        world.group(LEAVE, desired=1)
        world.run(3)
        world.machine.terminate("i-1", world.now, decrement=True)
        world.run(3)
        assert world.state("i-1") == "Terminating:Wait"
        assert world.machine.member("i-1").target == "Terminated"
        world.complete("i-1", result, hook="leave")
        world.run(3)
        assert world.states("i-1")[2:] == ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"]


def test_abandon_skips_the_other_termination_hooks(world):
    world.group(LEAVE, Hook("other", TERMINATING), desired=1)
    world.run(3)
    world.machine.terminate("i-1", world.now, decrement=True)
    world.run(3)
    world.complete("i-1", ABANDON, hook="leave")
    world.run(3)
    assert world.state("i-1") is None


def test_abandoned_termination_can_be_retained(world):
    world.group(LEAVE, desired=1, retain_on_abandon=True)
    world.run(3)
    world.machine.terminate("i-1", world.now, decrement=True)
    world.run(3)
    world.complete("i-1", ABANDON, hook="leave")
    world.run(50)
    assert world.state("i-1") == "Terminating:Retained"


def test_unhealthy_is_replaced(world):
    world.group(desired=1)
    world.run(3)
    world.machine.set_health("i-1", "Unhealthy", world.now)
    world.run(5)
    assert world.state("i-1") is None and world.state("i-2") == "InService"


def test_health_respects_the_grace_period(world):
    world.group(desired=1, grace=60)
    world.run(3)
    world.machine.set_health("i-1", "Unhealthy", world.now)
    world.run(3)
    assert world.state("i-1") == "InService"
    world.machine.set_health("i-1", "Unhealthy", world.now, respect_grace=False)
    world.run(3)
    assert world.state("i-1") is None


def test_target_state_says_where_it_goes_not_where_it_is(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    assert world.machine.member("i-1").target == "InService"


def test_scale_in_takes_what_does_not_serve_yet_first(world):
    group = world.group(LAUNCH, desired=1)
    world.run(3)
    world.complete("i-1")
    world.run(3)
    world.machine.set_desired("g", 2)
    world.run(3)
    assert world.state("i-2") == "Pending:Wait"
    world.machine.set_desired("g", 1)
    world.run(5)
    assert list(group.members) == ["i-1"]


def test_suspended_launch(world):
    group = world.group(desired=1)
    group.suspended.add("Launch")
    world.run(5)
    assert not group.members


def test_standby_and_back_runs_the_launch_hooks_again(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    world.complete("i-1")
    world.run(3)
    world.machine.enter_standby("g", ["i-1"], True, world.now)
    world.run(3)
    assert world.state("i-1") == "Standby"
    world.machine.exit_standby("g", ["i-1"], world.now)
    world.run(3)
    assert world.state("i-1") == "Pending:Wait"


def test_standby_must_not_break_the_minimum(world):
    world.group(desired=1, minimum=1)
    world.run(3)
    with pytest.raises(ValidationError, match="min-size=1"):
        world.machine.enter_standby("g", ["i-1"], True, world.now)


def test_detached_instance_is_forgotten_and_not_terminated(world):
    world.group(desired=1)
    world.run(3)
    world.machine.detach("g", ["i-1"], True, world.now)
    assert world.machine.member("i-1").target == "Detached"
    world.run(3)
    assert world.states("i-1")[2:] == ["Detaching", "Detached"]
    assert world.state("i-1") is None and not world.kinds("terminate")


def test_attached_instance_launches_once_more(world):
    world.group(desired=1)
    world.run(3)
    with pytest.raises(ValidationError, match="already part of AutoScalingGroup:g"):
        world.machine.attach("g", "i-1", world.now)
    world.machine.detach("g", ["i-1"], True, world.now)
    world.run(3)
    world.machine.put_hook("g", LAUNCH)
    world.machine.attach("g", "i-1", world.now)
    world.run(3)
    assert world.state("i-1") == "Pending:Wait" and world.machine.group("g").desired == 1
    world.complete("i-1")
    world.run(3)
    assert world.state("i-1") == "InService" and world.kinds("launch") == ["i-1"]


def test_warm_pool_fires_launch_hooks_twice(world):
    group = world.group(LAUNCH, desired=0, warm_pool=WarmPool(1))
    world.run(3)
    assert world.state("i-1") == "Warmed:Pending:Wait"
    assert world.machine.member("i-1").target == "Warmed:Stopped"
    world.complete("i-1")
    world.run(3)
    assert world.state("i-1") == "Warmed:Stopped" and world.kinds("stop") == ["i-1"]
    group.warm_pool.size = 0
    world.machine.set_desired("g", 1)
    world.run(3)
    assert world.state("i-1") == "Pending:Wait" and world.kinds("start") == ["i-1"]
    assert world.machine.member("i-1").origin == "WarmPool"
    assert world.machine.member("i-1").target == "InService"


def test_reuse_on_scale_in_runs_termination_hooks_at_warmed_pending(world):
    world.group(LEAVE, desired=1, warm_pool=WarmPool(0, "Running", reuse_on_scale_in=True))
    world.run(3)
    world.machine.set_desired("g", 0)
    world.run(3)
    assert world.state("i-1") == "Warmed:Pending:Wait"
    world.complete("i-1", hook="leave")
    world.run(3)
    assert world.state("i-1") == "Warmed:Running" and not world.kinds("terminate")


def test_completion_checks_its_arguments(world):
    world.group(LAUNCH, desired=1)
    world.run(3)
    with pytest.raises(ValidationError):
        world.complete("i-1", "MAYBE")
    with pytest.raises(ValidationError):
        world.machine.complete("g", "launch", CONTINUE, world.now)


def test_fifty_hooks_at_most(world):
    world.group()
    for number in range(autoscaling.HOOKS_MAX):
        world.machine.put_hook("g", Hook(f"h{number}"))
    with pytest.raises(ValidationError):
        world.machine.put_hook("g", Hook("one-more"))
