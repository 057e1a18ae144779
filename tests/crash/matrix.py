"""The matrix as a whole: finds the points by tracing each scenario once without a fault, tries them on several instances
side by side, and counts."""

import queue
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from attempt import Attempt
from point import Point, points_of
from rig.cloud import Cloud
from rig.lab import Lab
from scenario import SCENARIOS, prepare
from stand import LOGS, Stand

TENTH = 10
COMMAND = "tests/crash/run"
PROGRESS = 100  # points from one line of progress to the next


@dataclass
class Tally:
    """What became of the points, of which there are `wanted`."""
    wanted: int
    begin: float = field(default_factory=time.monotonic)
    done: int = 0
    tried: int = 0
    failed: list = field(default_factory=list)
    missed: list = field(default_factory=list)

    def count(self):
        """One more is done; now and then a line for whoever waits."""
        self.done += 1
        if self.done % PROGRESS == 0 and self.done < self.wanted:
            left = (time.monotonic() - self.begin) / self.done * (self.wanted - self.done)
            print(f"{self.done} of {self.wanted} points, {len(self.failed)} failed, {left / 60:.0f} minutes left", flush=True)


def _trace_once(stand, scenario):
    """The logs of both programs in a run without a fault."""
    stand.begin(scenario)
    stand.clear_logs()
    for program in LOGS:
        stand.plan(program)
    stand.start()
    wanted = scenario.fails or scenario.end
    stand.wait(lambda: (done := stand.last_deployment()) and done["to"]["version"] == wanted
               and done["outcome"] != "running", f"the end of {scenario.name}")
    stand.wait(lambda: not stand.staged() and not stand.unsettled(), "what is left to be gone")
    time.sleep(0.5)  # the report
    stand.stop()
    return {program: stand.log(program) for program in LOGS}


def trace(stand, scenario):
    """The points of a scenario: those of two runs, since how many reports there are depends on the time."""
    runs = [_trace_once(stand, scenario) for _ in range(2)]
    found = [[point for program in LOGS for point in points_of(scenario.name, program, logs[program]) if scenario.has(point)]
             for logs in runs]
    again = set(found[1])
    return [point for point in found[0] if point in again]


def choose(points, arguments):
    if arguments.points:
        return [Point.parse(name) for name in arguments.points]
    chosen = [point for point in points if arguments.only in point.name]
    return [point for point in chosen if point.number % TENTH == 0] if arguments.tenth else chosen


def _try(stand, point):
    """A recovery is killed at one of the calls that it made when it was not killed; it need not make them all again."""
    scenario = SCENARIOS[point.scenario]
    outcome = Attempt(stand, scenario, point).run()
    if point.action != "kill-twice" or not outcome.tried or outcome.problems or not outcome.recovery:
        return outcome
    second = 1 + point.number % outcome.recovery
    while second:
        outcome = Attempt(stand, scenario, point).run(second)
        second = 0 if outcome.tried or outcome.problems else second // 2
    return outcome


def _report(point, outcome, tally, guard):
    with guard:
        tally.tried += outcome.tried or bool(outcome.problems)
        if outcome.problems:
            tally.failed.append(point)
            print(f"FAILED {point.name}", *outcome.problems, sep="\n    ")
            print("    " + "\n    ".join(outcome.journal.splitlines()[-60:]))
            print(f"    again: {COMMAND} '{point.name}'", flush=True)
        elif not outcome.tried:
            tally.missed.append(point)
            print(f"not reached: {point.name}", flush=True)
        tally.count()


def _work(stand, todo, tally, guard, errors):
    try:
        while True:
            point = todo.get_nowait()
            _report(point, _try(stand, point), tally, guard)
    except queue.Empty:
        pass
    except BaseException as error:
        errors.append(error)


def _make_ready(stand):
    stand.boot()
    prepare(stand)


def _stands(lab, cloud, jobs):
    made = [Stand(lab, tempfile.mkdtemp(prefix=f"crash-{number}-", dir=lab.run.folder), cloud) for number in range(jobs)]
    with ThreadPoolExecutor(jobs) as threads:
        list(threads.map(_make_ready, made))
    return made


def _trace_all(stands):
    """Each stand traces some of the scenarios, one after the other."""
    scenarios = list(SCENARIOS.values())

    def trace_some(number):
        return {s.name: trace(stands[number], s) for s in scenarios[number::len(stands)]}
    with ThreadPoolExecutor(len(stands)) as threads:
        found = {name: points for some in threads.map(trace_some, range(len(stands))) for name, points in some.items()}
    return [point for scenario in scenarios for point in found[scenario.name]]


def _try_all(stands, points):
    todo, tally, guard, errors = queue.Queue(), Tally(len(points)), threading.Lock(), []
    for point in points:
        todo.put(point)
    workers = [threading.Thread(target=_work, args=(stand, todo, tally, guard, errors)) for stand in stands]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return tally


def run(arguments):
    """What the command does; its exit status."""
    start = time.monotonic()
    with Lab() as lab:
        lab.require_package()
        stands = _stands(lab, Cloud(lab), arguments.jobs)
        points = _trace_all(stands)
        chosen = choose(points, arguments)
        if arguments.list:
            print(*(point.name for point in chosen), sep="\n")
            return 0
        print(f"{len(points)} points in {len(SCENARIOS)} scenarios, {len(chosen)} of them chosen", flush=True)
        tally = _try_all(stands, chosen)
    print(f"{tally.tried} points tried of {len(points)} in {(time.monotonic() - start) / 60:.1f} minutes, "
          f"{len(tally.missed)} not reached")
    print(f"{tally.tried - len(tally.failed)} passed, {len(tally.failed)} failed")
    return 1 if tally.failed else 0
