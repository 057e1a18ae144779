"""The chapters of the story that are told of rollouts: one instance first, the others when it has proved itself."""

import time

from rig.host import LabError

BAKE = 3  # seconds for which the canary must be healthy before anybody follows


class Canary:
    """story: what waits, sees and tells; see story.py."""

    def __init__(self, story):
        self._story = story

    def goes_ahead(self, fleet, version):
        """A good version: the canary runs it, bakes, and the rest follow."""
        story = self._story
        asked = time.monotonic()
        story.agent.start_rollout("prod", version, f"1:{BAKE}s,100%")
        first, began = self._first(fleet, version, asked)
        story.saw("canary", first, version, began)
        moments = sorted((story.serves(instance, version, asked), instance) for instance in fleet)
        for at, instance in moments:
            story.saw("updated", instance, version, at)
        self._waited(fleet, first, version, began)
        story.wait(lambda: story.agent.rollout_state("prod") == "complete", "the rollout to be complete")
        story.agent.finish_rollout("prod")

    def is_the_only_one(self, fleet, stable, version):
        """A bad version: the canary goes back, and nobody else ever has it."""
        story = self._story
        asked = time.monotonic()
        story.agent.start_rollout("prod", version, f"1:{BAKE}s,100%")
        first, began = self._first(fleet, version, asked)
        story.saw("canary", first, version, began)
        back, reason = story.goes_back(first, stable, version, asked)
        story.saw("rolled_back", first, stable, back, reason)
        story.wait(lambda: story.agent.rollout_state("prod") == "aborted", "the rollout to be aborted")
        for instance in fleet:
            if instance != first:
                if story.witness.deployed(instance, version):
                    raise LabError(f"{instance} had {version}, which its canary could not run")
                story.saw("spared", instance, version, time.monotonic())

    def _first(self, fleet, version, asked):
        """(the canary, when it began)."""
        story = self._story
        story.wait(lambda: any(story.witness.deployed(i, version, asked) for i in fleet), f"a canary of {version}")
        began, first = min((at, i) for i in fleet if (at := story.witness.deployed(i, version, asked)))
        return first, began

    def _waited(self, fleet, first, version, began):
        """The one thing that a canary is for."""
        for instance in fleet:
            if instance != first and self._story.witness.deployed(instance, version) < began + BAKE:
                raise LabError(f"{instance} took {version} before its canary had been healthy for {BAKE} s")
