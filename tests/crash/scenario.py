"""The stories that are interrupted: the first deployment of an instance that its Auto Scaling group holds, an update, an update
that fails and is undone, a target that goes back to a release whose tree is still there, an update of an instance that is taken
out of its load balancer for it, and an update and a failure of releases that install files outside of their folder."""

import re
from dataclasses import dataclass

from places import PLACE

FILES = rf":.*(/{PLACE}|/apps/api/files/)"  # the places, and the journal
# What changes owners, modes and access control lists. Elsewhere it comes right before a call that is a point itself.
RIGHTS = r"/(fchown|fchownat|fchmod|fchmodat|fsetxattr|fremovexattr)/"
SEAL = "/fchown"  # a tree gets its owner


@dataclass(frozen=True)
class Scenario:
    name: str
    before: str  # what the disk holds at the beginning: a name for Stand.restore()
    target: str  # the target that sets it going: a name for Stand.use_target()
    again: str  # the same with the next serial: what an operator signs after a fault of the instance
    start: str  # the version that serves at the beginning, None for none
    end: str  # and at the end
    fails: str = None  # the version that fails, by its own fault
    launching: bool = False  # the instance is held by its group until it is deployed
    balanced: bool = False  # it is in a target group, which it leaves for the deployment
    only: str = ""  # a regular expression: of its points, those whose name has it; what else it does others do too
    rights: str = "^$"  # the same, of those that are of RIGHTS

    def has(self, point):
        return re.search(self.only, point.name) and (not re.search(RIGHTS, point.name) or re.search(self.rights, point.name))

    @property
    def targets(self):
        """One for each try, in the order of their serials: the first and what is signed after a fault of the instance."""
        return self.target, self.again, f"{self.again}-2"

    @property
    def versions(self):
        """What `current` may name at any moment."""
        return {self.start, self.end, self.fails or self.end}


SCENARIOS = {s.name: s for s in (
    Scenario("first", "empty", "first", "first-again", None, "1.0.0", launching=True),
    Scenario("update", "one", "update", "update-again", "1.0.0", "2.0.0", rights=SEAL),
    Scenario("failed", "one", "failed", "failed-again", "1.0.0", "1.0.0", fails="3.0.0"),
    Scenario("back", "two", "back", "back-again", "2.0.0", "1.0.0"),
    # musterd ends at each moment that it has written down.
    Scenario("traffic", "one", "traffic", "traffic-again", "1.0.0", "4.0.0", balanced=True,
             only=r"/musterd/rename[^/]*/\d+/kill(-twice)?:.*/record(-copy)?\.json$"),
    Scenario("files", "files", "files", "files-again", "5.0.0", "6.0.0", only=FILES, rights=FILES),
    Scenario("files-failed", "files", "files-failed", "files-failed-again", "5.0.0", "5.0.0", fails="7.0.0", only=FILES,
             rights=FILES),
)}

# In the order of their serials.
TARGETS = [("files-before", "5.0.0")] + [(name, s.fails or s.end) for s in SCENARIOS.values() for name in s.targets]


def prepare(stand):
    """Publishes the releases, signs the targets, and keeps what the disk holds before each story."""
    stand.publish("1.0.0")
    stand.publish("2.0.0", extra=True)
    stand.publish("3.0.0", extra=True, bad=True)
    stand.publish("4.0.0", balanced=True)
    stand.publish("5.0.0")
    stand.publish("6.0.0")
    stand.publish("7.0.0", bad=True)
    for name, version in TARGETS:
        stand.sign_target(name, version)
    stand.plan_nothing()
    stand.save("empty")
    if stand.launch:
        stand.upload()
    for name, target, version in (("files", "files-before", "5.0.0"), ("one", "first", "1.0.0"), ("two", "update", "2.0.0")):
        if name == "one":
            stand.restore("empty")
        elif name == "files":
            stand.put_theirs()
        stand.use_target(target)
        stand.start()
        stand.wait(lambda version=version: stand.good_version() == version and not stand.deploying(),
                   f"release {version} to be there")
        stand.wait(lambda: not stand.staged() and not stand.unsettled(), "what is left to be gone")
        stand.stop()
        stand.save(name)
