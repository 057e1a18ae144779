"""Power cuts: the power is pulled at random moments of a deployment, with the state and the unit files on a journalled
ext4 that then has what was synced and nothing else; some are cut again while they recover."""

import random
import tempfile
import time

import verdict
from rig import host
from rig.host import LabError, wait_for
from rig.lab import Lab
from scenario import SCENARIOS, prepare
from stand import STATE, UNITS, Stand

CUTS = 50
DEPLOYMENT = 1.2  # seconds: a little longer than one takes
COMMAND = "tests/crash/power"


class PowerStand(Stand):
    """Without a tracer: musterd as the package starts it."""

    def _before_boot(self):
        self.instance.use_state_disk("64M")
        units = self.path(f"{STATE}/units")
        host.run("cp", "-a", self.path(UNITS), units)
        self._bind()

    def _bind(self):
        host.run("mount", "--bind", self.path(f"{STATE}/units"), self.path(UNITS))

    def _install(self):
        pass

    def cut(self):
        """The power fails, and with it goes all that was not synced."""
        self.instance.pull_plug()
        host.run("umount", self.path(UNITS))
        self._bind()


def _look_after_boot(stand, scenario):
    """What serves after a boot in which musterd has no configuration, so that nothing acts but what was there: a release
    that had passed its checks before the cut."""
    stand.instance.put("/etc/muster/muster.conf", "")
    good = stand.good_version()
    problems = verdict.check_current(stand, scenario.versions)
    stand.instance.boot()
    wait_for(lambda: stand.units()[1]["api.service"], 10, "the app to serve")
    current = verdict.current_version(stand)
    if good not in scenario.versions or current != good:
        problems.append(f"release {current} was started, {good} had passed its checks")
    return [f"after the cut: {problem}" for problem in problems + verdict.check_current(stand, {good})]


def _try(stand, scenario, moments):
    """Whether the last cut was in the middle of the deployment, by the record on the disk, and what is wrong."""
    stand.restore(scenario.before)
    stand.use_target(scenario.target)
    host.run("sync", "-f", stand.path(STATE))  # what it begins with is on the disk
    stand.start()
    for moment in moments[:-1]:
        time.sleep(moment)
        stand.cut()
        stand.instance.boot()
    time.sleep(moments[-1])
    stand.cut()
    hit = stand.deploying()
    problems = _look_after_boot(stand, scenario)
    stand.configure()

    def at_the_end():
        return [*verdict.check_report(stand, scenario.end), *verdict.check_rest(stand)]
    stand.wait(lambda: stand.good_version() == scenario.end and not stand.deploying(), "the deployment to converge", 60)
    try:
        wait_for(lambda: not at_the_end(), 10, "the end", 0.1)
    except LabError:
        problems += at_the_end()
    return hit, problems + verdict.check_current(stand, {scenario.end}) + verdict.check_releases(stand)


def _moments(seed, number):
    """When the power fails, in seconds after a start of musterd; the third of three cuts comes twice."""
    chance = random.Random(f"{seed}/{number}")
    return [chance.uniform(0, DEPLOYMENT) for _ in range(2 if number % 3 == 2 else 1)]


def _report(seed, number, moments, problems, journal):
    print(f"FAILED power cut {number}, after {', '.join(f'{moment:.3f} s' for moment in moments)}",
          *problems, *journal.splitlines()[-60:], f"again: {COMMAND} --seed {seed} --only {number}", sep="\n    ", flush=True)


def run(arguments):
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    numbers = [arguments.only] if arguments.only is not None else range(arguments.cuts)
    print(f"seed {seed}", flush=True)
    failed = hits = 0
    with Lab() as lab:
        lab.require_package()
        stand = PowerStand(lab, tempfile.mkdtemp(prefix="power-", dir=lab.run.folder))
        stand.boot()
        prepare(stand)
        for number in numbers:
            moments, begin = _moments(seed, number), time.time()
            try:
                hit, problems = _try(stand, SCENARIOS["update"], moments)
                hits += hit
            except LabError as error:
                problems = [str(error).splitlines()[0]]
            if problems:
                failed += 1
                _report(seed, number, moments, problems, stand.tail(begin))
    print(f"{hits} of {len(numbers)} power cuts were in the middle of the deployment")
    print(f"{len(numbers) - failed} passed, {failed} failed")
    return 1 if failed else 0
