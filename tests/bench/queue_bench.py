"""How soon a message is acted on: from SendMessage to the instance's first request for the new release's artifact. The depot is
looked at once in an hour otherwise, so only the message can have brought it about. In between: SQS's answer to the long poll, the
target, the release, and what has to be found out before a download begins; all of it from the lab's own cloud on this machine,
whose share is in it. And what it takes of a processor to wait like that."""

import json
import sys
import tempfile
import time
from pathlib import Path

import deployment
from instance import cpu, musterd_of

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

from rig.cloud import Cloud  # noqa: E402  (the path has to be there first)
from rig.host import wait_for  # noqa: E402
from rig.lab import Lab  # noqa: E402
from rig.operator import Muster  # noqa: E402

GOAL = 100  # ms
GROUP = "bench"
RUNS, RUNS_QUICK = 20, 3
REST = 2  # seconds between two runs: more than one look a second is not for messages' sake
POLL_USUAL = 30  # seconds, muster.conf(5); a shared queue does not make it longer
IDLE, IDLE_QUICK = 600, 60  # seconds
TARGET = f"depot/apps/api/groups/{GROUP}/target.json"
HINT = json.dumps({"muster": "changed", "app": "api", "group": GROUP})


class Bench:
    def __init__(self, lab, folder):
        self._folder = folder
        self.cloud = Cloud(lab)
        self._muster = Muster(lab.layers[0] / "usr/bin/muster")
        self._muster.prepare(self.cloud)
        self._sqs = self.cloud.client("sqs")
        self._url = self._sqs.create_queue(QueueName="bench")["QueueUrl"]
        self._instance = lab.instance()
        self.cloud.attach(self._instance)
        self._instance.boot()
        self.publish("0.0")
        self._configure("1h", "no")
        self.wait("0.0")

    def _configure(self, poll_interval, shared):
        self._muster.install(self._instance, GROUP, poll_interval=poll_interval,
                             agent=f"queue = bench\nqueue_shared = {shared}\nsettle_time = 0s\n")

    def publish(self, version):
        self._muster.publish(deployment.build(self._folder, version), version)
        self._muster.set_target(GROUP, version)

    def _status(self):
        answer = self._instance.run("muster", "status", "--json", check=False)
        return json.loads(answer.out) if answer.code == 0 else {"apps": []}

    def wait(self, version):
        def reached():
            status = self._status()
            return status["apps"] and status["apps"][0]["state"] == "good" and status["apps"][0]["version"] == version \
                and status["queue"]["state"] == "healthy"
        wait_for(reached, 60, f"{version} to be good", 0.2)

    def hint(self):
        return HINT

    def target(self):
        return self.cloud.read(self._muster.bucket, TARGET).decode()

    def wake(self, version, body):
        """Seconds from a message to the request for the artifact."""
        begun = time.monotonic()
        self.publish(version)
        message = body()
        wait_for(lambda: time.monotonic() - begun >= REST, 2 * REST, "the agent to be at rest", 0.1)
        sent = time.monotonic()
        self._sqs.send_message(QueueUrl=self._url, MessageBody=message)
        self.wait(version)
        return min(entry.at for entry in self.cloud.proxy.requests(client=self._instance.address, path="/artifacts/")
                   if entry.at > sent) - sent

    def idle(self, version, seconds):
        """Seconds of CPU in an hour of long polls and of polls of the depot."""
        self._configure(f"{POLL_USUAL}s", "yes")
        self._instance.run("systemctl", "restart", "musterd")
        self.wait(version)
        process = musterd_of(self._instance)
        begun, spent = time.monotonic(), cpu(process)
        wait_for(lambda: time.monotonic() - begun >= seconds, 2 * seconds, "the time to pass", 0.2)
        return (cpu(process) - spent) * 3600 / (time.monotonic() - begun)


def run(report, _, rounds):
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        lab.require_package()
        bench = Bench(lab, Path(folder))
        try:
            report.part("queue: a message, with the lab's cloud on the other side")
            runs, seconds = (RUNS, IDLE) if rounds > RUNS_QUICK else (RUNS_QUICK, IDLE_QUICK)
            hints = [bench.wake(f"1.{i}", bench.hint) for i in range(runs)]
            report.line("SendMessage to the request for the artifact", hints, "ms", goal=GOAL, factor=1000)
            targets = [bench.wake(f"2.{i}", bench.target) for i in range(runs)]
            report.line("the same, the message has the signed target", targets, "ms", goal=GOAL, factor=1000)
            report.line(f"CPU in an hour of long polls, polls every {POLL_USUAL} s", [bench.idle(f"2.{runs - 1}", seconds)],
                        goal=0.5)
        finally:
            bench.cloud.close()
