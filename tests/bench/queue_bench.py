"""How soon a message is acted on: from SendMessage to the instance's first request for the new release's artifact. The depot is
looked at once in an hour otherwise, so only the message can have brought it about. In between: SQS's answer to the long poll, the
target, the release, and what has to be found out before a download begins; all of it from the lab's own cloud on this machine,
whose share is in it."""

import json
import sys
import tempfile
import time
from pathlib import Path

import deployment

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))

from rig.cloud import Cloud  # noqa: E402  (the path has to be there first)
from rig.host import wait_for  # noqa: E402
from rig.lab import Lab  # noqa: E402
from rig.operator import Muster  # noqa: E402

GOAL = 100  # ms
GROUP = "bench"
RUNS, RUNS_QUICK = 20, 3
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
        self._muster.install(self._instance, GROUP, poll_interval="1h",
                             agent="queue = bench\nqueue_shared = no\nsettle_time = 0s\n")
        self.wait("0.0")

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

    def wake(self, version):
        self.publish(version)
        sent = time.monotonic()
        self._sqs.send_message(QueueUrl=self._url, MessageBody=HINT)
        self.wait(version)
        return min(entry.at for entry in self.cloud.proxy.requests(client=self._instance.address, path="/artifacts/")
                   if entry.at > sent) - sent


def run(report, _, rounds):
    with Lab(say=lambda _: None) as lab, tempfile.TemporaryDirectory(dir=TOP / "build") as folder:
        lab.require_package()
        bench = Bench(lab, Path(folder))
        try:
            report.part("queue: a message, with the lab's cloud on the other side")
            found = [bench.wake(f"1.{i}") for i in range(RUNS if rounds > RUNS_QUICK else RUNS_QUICK)]
            report.line("SendMessage to the request for the artifact", found, "ms", goal=GOAL, factor=1000)
        finally:
            bench.cloud.close()
