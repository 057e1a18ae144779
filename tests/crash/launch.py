"""The cloud's part in the story of an instance that is launched: a depot in S3, and a group that holds the instance in
Pending:Wait until its lifecycle action is completed."""

import json
import threading
import time

from rig.autoscaling import AutoScaling, Group, Hook
from rig.cloud import ACCOUNT, ZONE
from rig.query_api import QueryApi

GROUP = "prod"
REPORTS = "depot/apps/api/groups/site/instances/"


class Launch:
    """Of one instance, which is attached to the cloud; before its boot."""

    def __init__(self, cloud, instance):
        self._cloud, self._instance = cloud, instance
        self._s3 = cloud.client("s3")
        self._bucket = cloud.bucket()
        self._guard = threading.RLock()
        self._results = []
        self.begin()
        cloud.attach(instance, tags={"aws:autoscaling:groupName": GROUP})
        answers = cloud.proxy.local.setdefault("autoscaling", _ByInstance())
        answers.launches[instance.address] = self

    @property
    def depot(self):
        return f"s3://{self._bucket}/depot"

    def begin(self):
        """The instance is launched: the group does not know it any more from an earlier time, nor is anything reported."""
        for key in self._cloud.objects(self._bucket, REPORTS):
            self._s3.delete_object(Bucket=self._bucket, Key=key)
        with self._guard:
            self._machine = AutoScaling(lambda: self._instance.id)
            self._machine.create_group(Group(GROUP, desired=1, hooks={"muster": Hook("muster")}, begin_delay=0))
            self._api = QueryApi(self._machine, self._guard, ZONE, ACCOUNT)
            self._results = []
            self._tick()

    def _tick(self):
        with self._guard:
            for _ in range(2):  # launched, and held
                self._machine.tick(time.monotonic())
            self._results += [e.detail["result"] for e in self._machine.take_effects() if e.kind == "result"]

    def answer(self, request):
        self._tick()
        return self._api.answer(request)

    def put(self, path, top):
        self._s3.put_object(Bucket=self._bucket, Key=f"depot/{path.relative_to(top)}", Body=path.read_bytes())

    def report(self):
        keys = self._cloud.objects(self._bucket, REPORTS)
        return json.loads(self._cloud.read(self._bucket, keys[0])) if keys else {}

    @property
    def results(self):
        """How the lifecycle action was completed: every answer that the group took."""
        self._tick()
        with self._guard:
            return list(self._results)

    @property
    def state(self):
        """The instance's state in its group."""
        self._tick()
        with self._guard:
            member = self._machine.member(self._instance.id)
            return member and member.state


class _ByInstance:
    """Auto Scaling for several instances, each in a world of its own."""

    def __init__(self):
        self.launches = {}

    def __call__(self, request):
        return self.launches[request.client].answer(request)
