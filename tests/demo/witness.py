"""What the lab itself sees of an instance, without asking muster: which release `current` names, and what the app answers
when somebody knocks."""

import http.client
import os
import threading
import time
from dataclasses import dataclass, field

from rig import host

INTERVAL = 0.05
APP_PORT = 8080
HEALTHY_ANSWERS = 2  # in a row
_CURRENT = "var/lib/muster/apps/api/current"


@dataclass
class Seen:
    """One instance, over time. Times are CLOCK_MONOTONIC."""
    deployed: list = field(default_factory=list)  # (time, version): current began to name it
    healthy: list = field(default_factory=list)  # (time, version): it answered /healthz well, twice
    gone: bool = False
    good_answers: int = 0
    answering: str = None  # the version of the last answers

    def first(self, times, version, after=0.0):
        return next((at for at, seen in times if seen == version and at >= after), None)


def current_version(instance):
    """The version in the name of the release that current names (<version>-<12 digits of its digest>)."""
    try:
        return os.path.basename(os.readlink(instance.root / _CURRENT)).rsplit("-", 1)[0]
    except OSError:
        return None


def _health(address):
    """(whether /healthz says 200, the version that answered); (False, None) when nobody does."""
    connection = http.client.HTTPConnection(address, APP_PORT, timeout=1)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 200, answer.headers.get("X-Version")
    except (OSError, http.client.HTTPException):
        return False, None
    finally:
        connection.close()


class Witness:
    """Looks at every instance of a director, all the time, from the cloud's network."""

    def __init__(self, director):
        self._director = director
        self.seen = {}  # instance id -> Seen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)
        self._thread.start()

    def _watch(self):
        host.enter_network(self._director.lab.network.cloud)
        while not self._stop.wait(INTERVAL):
            for instance_id, instance in list(self._director.instances.items()):
                self._look(self.seen.setdefault(instance_id, Seen()), instance)

    def _look(self, seen, instance):
        version = current_version(instance)
        if version and (not seen.deployed or seen.deployed[-1][1] != version):
            seen.deployed.append((time.monotonic(), version))
        good, answering = _health(instance.address)
        seen.good_answers = seen.good_answers + 1 if good and answering == seen.answering else int(good)
        seen.answering = answering
        if seen.good_answers == HEALTHY_ANSWERS:
            seen.healthy.append((time.monotonic(), answering))

    def deployed(self, instance_id, version, after=0.0):
        seen = self.seen.get(instance_id)
        return seen and seen.first(seen.deployed, version, after)

    def healthy(self, instance_id, version, after=0.0):
        seen = self.seen.get(instance_id)
        return seen and seen.first(seen.healthy, version, after)

    def close(self):
        self._stop.set()
        self._thread.join()
