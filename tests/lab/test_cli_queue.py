"""muster queue: which queues of their own instances have left behind, and their removal."""

import json
import time

import pytest
from rig import faults
from rig.cloud import ACCOUNT, REGION
from rig.desk import DENIED, UNREACHABLE, USAGE, Desk
from rig.web import Response

ALIVE, GONE, TALKS = "i-0aaaaaaaaaaaaaaa1", "i-0bbbbbbbbbbbbbbb2", "i-0ccccccccccccccc3"
NOW = ("--older-than", "0")


class Fleet:
    """A depot, a topic, and the queues of instances, of which Auto Scaling knows one."""

    def __init__(self, cloud, bucket, desk):
        self.cloud, self.bucket, self.desk = cloud, bucket, desk
        self.sqs, self.sns = cloud.client("sqs"), cloud.client("sns")
        self.depot = desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/depot"
        self.topic = self.sns.create_topic(Name=f"topic-{bucket}")["TopicArn"]

    def queue(self, instance, group="prod", depot=None, **tags):
        name = f"muster-{group}-{instance}-{self.bucket[-8:]}"
        known = {"muster:depot": depot or self.depot, "muster:group": group, "muster:instance": instance,
                 "muster:topic": self.topic, "muster:report": f"apps/api/groups/{group}/instances/{instance}.json"}
        self.sqs.create_queue(QueueName=name, tags={**known, **tags})
        self.subscribe(name)
        return name

    def subscribe(self, name):
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
                           Attributes={"RawMessageDelivery": "true"})

    def report(self, instance, reported):
        body = json.dumps({"app": "api", "reported": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(reported))})
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=f"depot/apps/api/groups/prod/instances/{instance}.json",
                                           Body=body)

    def queues(self):
        urls = self.sqs.list_queues(QueueNamePrefix="muster-").get("QueueUrls", [])
        return {url.rsplit("/", 1)[1] for url in urls if url.endswith(self.bucket[-8:])}

    def subscribed(self):
        found = self.sns.list_subscriptions_by_topic(TopicArn=self.topic)["Subscriptions"]
        return {subscription["Endpoint"].rsplit(":", 1)[1] for subscription in found}


def in_group(request):
    """DescribeAutoScalingInstances."""
    asked = [value for name, value in request.form.items() if name.startswith("InstanceIds.")]
    members = "".join(f"<member><InstanceId>{i}</InstanceId><AutoScalingGroupName>prod</AutoScalingGroupName>"
                      "<LifecycleState>InService</LifecycleState></member>" for i in asked if i == ALIVE)
    body = "<R><DescribeAutoScalingInstancesResult><AutoScalingInstances>" \
           f"{members}</AutoScalingInstances></DescribeAutoScalingInstancesResult></R>"
    return Response(200, body.encode(), [("Content-Type", "text/xml")])


@pytest.fixture
def fleet(built, cloud, bucket, tmp_path):
    cloud.proxy.local["autoscaling"] = in_group
    yield Fleet(cloud, bucket, Desk(tmp_path, cloud))
    del cloud.proxy.local["autoscaling"]


def test_list(fleet):
    assert "no instance of this depot" in fleet.desk.ok("queue", "list")
    names = [fleet.queue(i) for i in (ALIVE, GONE, TALKS)]
    fleet.queue("i-0ddddddddddddddd4", depot="s3://another")
    fleet.sqs.create_queue(QueueName=f"muster-no-tags-{fleet.bucket[-8:]}")
    fleet.report(TALKS, time.time() - 60)
    fleet.report(GONE, time.time() - 7200)
    found = {queue["queue"]: queue for queue in fleet.desk.json("queue", "list")["queues"]}
    assert [found[name]["state"] for name in names] == ["in its group", "new", "reports"]
    assert len(found) == 3
    gone = fleet.desk.json("queue", "list", "--older-than", "1ms")["queues"]
    assert {queue["instance"] for queue in gone if queue["state"] == "gone"} == {GONE, TALKS}
    assert names[1] in fleet.desk.ok("queue", "list", "--group", "prod")
    assert fleet.desk.json("queue", "list", "--group", "staging") == {"queues": []}


def test_gc(fleet):
    kept, gone, staging = fleet.queue(ALIVE), fleet.queue(GONE), fleet.queue(TALKS, group="staging")
    foreign = fleet.queue("i-0ddddddddddddddd4", depot="s3://another")
    fleet.subscribe(f"muster-prod-deleted-{fleet.bucket[-8:]}")
    everything = fleet.queues()
    dry = fleet.desk.json("queue", "gc", *NOW)
    assert dry["dry_run"] and {queue["queue"] for queue in dry["gone"]} == {gone, staging} and dry["removed"] == []
    assert len(dry["subscriptions"]) == 1
    text = fleet.desk.ok("queue", "gc", *NOW)
    assert gone in text and "2 of 3 queues are of instances that are gone; --yes removes them" in text
    assert fleet.queues() == everything and len(fleet.subscribed()) == 5
    assert "nothing to remove" in fleet.desk.ok("queue", "gc", "--group", "prod", "--older-than", "1h", "--limit", "0")

    assert f"{gone} is removed" in fleet.desk.ok("queue", "gc", "--group", "prod", "--yes", *NOW)
    assert fleet.queues() == everything - {gone}
    done = fleet.desk.json("queue", "gc", "--yes", *NOW)
    assert done["removed"] == [staging] and not done["dry_run"] and done["failed"] == 0
    assert fleet.queues() == {kept, foreign} == fleet.subscribed()
    assert "nothing to remove: 1 queue," in fleet.desk.ok("queue", "gc", "--yes", *NOW)


def test_limit(fleet):
    for number in range(4):
        fleet.queue(f"i-0eeeeeeeeeeeeeee{number}")
    assert len(fleet.desk.json("queue", "gc", "--yes", "--limit", "3", *NOW)["removed"]) == 3
    assert len(fleet.queues()) == 1 == len(fleet.subscribed())


def test_refused(fleet):
    """What cannot be removed is said, and the rest goes."""
    names = {fleet.queue(GONE), fleet.queue(TALKS)}
    with fleet.cloud.fault(faults.access_denied(), times=1, service="sqs", action="DeleteQueue"):
        done = fleet.desk.run("queue", "gc", "--yes", *NOW)
    assert done.returncode == DENIED and done.stderr.count("\n") == 1 and "AccessDenied" in done.stderr
    assert len(fleet.queues() & names) == 1
    with fleet.cloud.fault(faults.access_denied(), service="sqs", action="ListQueues"):
        fleet.desk.fails(DENIED, "SQS ListQueues: AccessDenied", "queue", "gc", "--yes", *NOW)
    with fleet.cloud.fault(faults.access_denied(), service="autoscaling"):
        fleet.desk.fails(DENIED, "DescribeAutoScalingInstances: AccessDenied", "queue", "gc", "--yes", *NOW)
    assert len(fleet.queues() & names) == 1
    fleet.subscribe(f"muster-prod-deleted-{fleet.bucket[-8:]}")
    with fleet.cloud.fault(faults.access_denied(), service="sns", action="Unsubscribe"):
        fleet.desk.fails(DENIED, "SNS Unsubscribe: AccessDenied", "queue", "gc", "--yes")
    fleet.desk.fails(UNREACHABLE, "Connection refused", "queue", "list", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    fleet.desk.fails(USAGE, "no depot", "queue", "list", env={"MUSTER_DEPOT": None})
    fleet.desk.fails(USAGE, "older-than", "queue", "gc", "--older-than", "soon")
