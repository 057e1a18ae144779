"""One point tried: from the scenario's beginning, through the fault, to the end, with everything looked at on the way."""

import time
import traceback
from dataclasses import dataclass, field

import verdict
from point import calls_in
from places import INSTALLED
from rig.host import LabError, wait_for

OWN_WAY = 200  # of so many points that a fault of the instance ends a deployment at, one is left to musterd's own next try
LOOKS = 50  # how often something may go away while it is looked at
QUIET = 60  # how long what is left of a deployment may take to go away: it goes gently, on a machine that may be busy


@dataclass
class Outcome:
    """problems: what is wrong; tried: whether the point was reached; recovery: the calls of musterd's recovery."""
    tried: bool = False
    problems: list = field(default_factory=list)
    recovery: int = 0
    journal: str = ""


def steady(look):
    """What a look at the disk finds. musterd is at work: where a file goes away under it, it looks again."""
    for _ in range(LOOKS):
        try:
            return look()
        except FileNotFoundError as error:
            gone = error
    return [f"it never keeps still: {gone}"]


class Attempt:
    def __init__(self, stand, scenario, point):
        self.stand, self.scenario, self.point = stand, scenario, point
        self.retries = 0
        self.problems = []

    def run(self, recovery_kill=0):
        """recovery_kill: at which call of the recovery musterd is killed again; 0 for never."""
        begin = time.time()
        outcome = Outcome()
        try:
            self._begin()
            outcome.tried = self._meet(self.point.program)
            if outcome.tried and self.point.action.startswith("kill") and self._musterd_ends():
                outcome.recovery, outcome.tried = self._recover(recovery_kill)
            if outcome.tried:
                self._wait_settled()
                self._look_at_the_end()
        except LabError as error:
            self.problems.append(str(error).splitlines()[0])
        except Exception:  # of the look itself: this point is not passed, the others are still to be tried
            self.problems += traceback.format_exc().splitlines()
        outcome.problems = self.problems
        if self.problems:
            outcome.journal = self.stand.tail(begin)
        return outcome

    def _begin(self):
        stand, point = self.stand, self.point
        stand.begin(self.scenario)
        stand.clear_logs()
        stand.plan_nothing()
        stand.plan("musterd")
        action = "kill" if point.action == "kill-twice" else point.action
        stand.plan(point.program, point.call, point.path, point.nth, action)
        stand.start()

    def _met(self, program):
        return "\ninject " in self.stand.log(program)

    def _meet(self, program):
        """Waits until the fault was injected; False if everything ended well without it."""
        self.stand.wait(lambda: self._met(program) or self._settled(), "the point, or the end of the deployment")
        self.stand.plan_nothing()  # for the next unpacker
        if not self._met(program):
            time.sleep(0.3)  # what comes after the end: the report, the removal of what is left
        return self._met(program)

    def _musterd_ends(self):
        return self.point.program == "musterd" and self.point.action != "kill-process"

    def _recover(self, kill_at):
        """musterd was killed: what lies on the disk now is what a power cut would leave. It is started again, and
        perhaps killed again. Gives how many calls its recovery made, and whether it was killed as planned."""
        stand = self.stand
        stand.wait(stand.ended, "musterd's end")
        self._check("after the kill", self._look_between())
        stand.wait_stopped()
        stand.clear_logs()
        stand.plan_nothing()
        if kill_at:
            stand.plan("musterd", "any", "*", kill_at, "kill")
        else:
            stand.plan("musterd")
        stand.start()
        if not kill_at:
            self._wait_settled()
            return len(calls_in(stand.log("musterd"))), True
        if not self._meet("musterd"):
            return 0, False
        stand.wait(stand.ended, "musterd's second end")
        self._check("after the second kill", self._look_between())
        stand.wait_stopped()
        stand.plan_nothing()
        stand.start()
        return 0, True

    def _settled(self):
        """Whether the deployment has come to the end that the scenario knows. After a fault of the instance, which
        musterd tries again after ten seconds, the next target says so at once, but for some that are left to that."""
        stand, scenario = self.stand, self.scenario
        deployment = stand.last_deployment()
        if not deployment or deployment["outcome"] == "running" or deployment["to"]["version"] != self._wanted():
            return False
        if deployment["outcome"] == "succeeded":
            return not scenario.fails
        if scenario.fails and deployment["fault"] == "release":
            return deployment["outcome"] == "rolled-back"
        tried_all = self.retries + 1 == len(scenario.targets)
        if deployment["serial"] != stand.serial or tried_all or self._goes_its_own_way(deployment):
            return False
        if deployment["fault"] != "host":
            self.problems.append(f"the {deployment['fault']} is blamed: {deployment['reason']}")
        self.retries += 1
        self._check("after the failure", self._look_between())
        stand.use_target(scenario.targets[self.retries])
        return False

    def _goes_its_own_way(self, deployment):
        return self.point.number % OWN_WAY == 0 and deployment["fault"] == "host"

    def _look_between(self):
        """What holds at any moment."""
        return steady(self._holds)

    def _holds(self):
        problems = verdict.check_current(self.stand, self.scenario.versions)
        if self.scenario.launching:
            problems += verdict.check_launch_between(self.stand, self.scenario.end)
        if self.scenario.balanced:
            problems += verdict.check_traffic_between(self.stand)
        if self.scenario.end in INSTALLED:
            problems += verdict.check_files_between(self.stand, self.scenario.versions)
        return problems

    def _wanted(self):
        return self.scenario.fails or self.scenario.end

    def _wait_settled(self):
        self.stand.wait(self._settled, "the deployment to converge")

    def _check(self, when, problems):
        self.problems += [f"{when}: {problem}" for problem in problems]

    def _look_at_the_end(self):
        stand, end = self.stand, self.scenario.end
        if self.point.action == "kill-process":
            stand.restart()  # what the child was writing is tidied by musterd's next start
        try:
            wait_for(lambda: not steady(self._unsettled), QUIET, "the end", 0.1)
        except LabError:
            self._check("at the end", steady(self._unsettled))
        self._check("at the end", verdict.check_current(stand, {end}))
        self._check("at the end", steady(lambda: verdict.check_releases(stand)))
        if self._unwritten():  # a disk that failed took it; musterd's next start makes good for it
            stand.restart()
            try:
                wait_for(lambda: not self._unwritten(), QUIET, "what was not written", 0.1)
            except LabError:
                self._check("after another start", self._unwritten())

    def _unsettled(self):
        """What is not yet as it is to be in the end."""
        stand, end = self.stand, self.scenario.end
        launch = verdict.check_launch(stand) if self.scenario.launching else []
        launch += verdict.check_traffic(stand) if self.scenario.balanced else []
        files = verdict.check_files(stand, end) if end in INSTALLED else []
        return [*verdict.check_report(stand, end), *verdict.check_good(stand, end), *verdict.check_rest(stand), *launch, *files]

    def _unwritten(self):
        """What is written after the end, and only told of in the journal when it cannot be."""
        launch = verdict.check_launch_record(self.stand) if self.scenario.launching else []
        return verdict.check_history(self.stand) + launch
