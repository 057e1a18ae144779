"""musterd and its queue: the depot is looked at once in an hour and at the start, so whatever happens after that, a message has
brought about."""

import json
import random

import pytest
from rig import faults, goapp
from rig.host import wait_for
from rig.operator import Muster

GROUP = "prod"
TARGET = "depot/apps/api/groups/prod/target.json"
FAILING = "MESSAGE_ID=c22614bd5c7347b59998c1d01b4fab39"
NOT_UNDERSTOOD = "MESSAGE_ID=c745976df87145638970a68cae69623d"
HINT = json.dumps({"muster": "changed", "app": "api", "group": GROUP})


@pytest.fixture
def muster(lab, cloud):
    lab.require_package()
    made = Muster(lab.layers[0] / "usr/bin/muster")
    made.prepare(cloud)
    return made


class Woken:
    """An instance with version 1.0.0 in service, and the queue that it watches."""

    def __init__(self, cloud, muster, instance, folder):
        self.cloud, self.muster, self.instance, self._folder = cloud, muster, instance, folder
        self.sqs = cloud.client("sqs")
        self.name = f"queue-{instance.id}"
        self.url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        cloud.attach(instance)
        instance.boot()

    def start(self, shared="no", agent=None):
        self.publish("1.0.0")
        self.configure(agent or f"queue = {self.name}\nqueue_shared = {shared}\n")
        self.wait("1.0.0")

    def configure(self, agent):
        self.muster.install(self.instance, GROUP, poll_interval="1h", agent=agent)

    def publish(self, version):
        self.muster.publish(goapp.build(self._folder, version), version)
        self.muster.set_target(GROUP, version)

    def send(self, body):
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def status(self):
        return json.loads(self.instance.run("muster", "status", "--json").out)

    def wait(self, version, seconds=60):
        def reached():
            apps = self.status()["apps"]
            return apps and apps[0]["state"] == "good" and apps[0]["version"] == version
        wait_for(reached, seconds, f"version {version}")

    def wait_state(self, state):
        wait_for(lambda: (self.status()["queue"] or {}).get("state") == state, 90, f"the queue to be {state}")

    def left(self):
        """How many messages are still there, delivered or not."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def entries(self, message_id):
        return self.instance.run("journalctl", "-u", "musterd", "-o", "cat", message_id).out.splitlines()


@pytest.fixture
def woken(cloud, muster, new_instance, tmp_path):
    return Woken(cloud, muster, new_instance(), tmp_path)


def object_event(bucket, key=TARGET):
    return {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                         "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "0A"}}}]}


def from_sns(message):
    return {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:prod",
            "Message": json.dumps(message), "SignatureVersion": "1", "Signature": "Zm9yZ2Vk"}


def from_eventbridge(source, kind, detail):
    return {"version": "0", "id": "x", "detail-type": kind, "source": source, "detail": detail}


def test_hint(woken):
    woken.start()
    woken.publish("2.0.0")
    woken.send(HINT)
    woken.wait("2.0.0")
    wait_for(lambda: woken.left() == 0, 30, "the message to be removed")
    queue = woken.status()["queue"]
    assert (queue["state"], queue["shared"], queue["received"], queue["removed"]) == ("healthy", False, 1, 1)
    assert f"queue     {woken.name}: healthy" in woken.instance.run("muster", "status").out


def test_events_of_s3(woken):
    """The same news in every shape in which AWS delivers it."""
    woken.start()
    bucket = woken.muster.bucket
    events = [object_event(bucket), from_sns(object_event(bucket)),
              from_eventbridge("aws.s3", "Object Created", {"bucket": {"name": bucket}, "object": {"key": TARGET}})]
    for number, event in enumerate(events, 2):
        woken.publish(f"{number}.0.0")
        woken.send(event)
        woken.wait(f"{number}.0.0")
    wait_for(lambda: woken.left() == 0, 30, "the messages to be removed")


def test_signed_target(woken):
    """A message can carry the target itself, when the depot cannot be read."""
    woken.start()
    old = woken.cloud.read(woken.muster.bucket, TARGET).decode()
    woken.publish("2.0.0")
    new = woken.cloud.read(woken.muster.bucket, TARGET).decode()
    with woken.cloud.fault(faults.access_denied(), service="s3", path="target.json$"):
        woken.send(new)
        wait_for(lambda: woken.status()["apps"][0]["serial"] == 2, 30, "the target to be accepted")
    woken.send(old)  # somebody plays it again
    woken.send(new.replace('"sig":"', '"sig":"AAAA'))
    woken.send(HINT)
    woken.wait("2.0.0")
    wait_for(lambda: woken.left() == 1, 30, "all but the forged one to be removed")
    assert woken.status()["apps"][0]["serial"] == 2
    assert len(woken.entries(NOT_UNDERSTOOD)) == 1


def test_shared_queue(woken):
    """What is for others goes back at once, for somebody else to receive."""
    woken.start(shared="yes")
    other = json.dumps({"muster": "changed", "app": "api", "group": "staging"})
    woken.send(other)
    wait_for(lambda: woken.status()["queue"]["given_back"] > 0, 30, "it to be given back")
    woken.instance.run("systemctl", "stop", "musterd")

    def received():
        answer = woken.sqs.receive_message(QueueUrl=woken.url, WaitTimeSeconds=1)
        return [message["Body"] for message in answer.get("Messages", [])] == [other]
    wait_for(received, 90, "it to be there again")


def test_out_of_reach(woken):
    """A network without SQS: a deployment as ever, and one line."""
    with woken.cloud.fault(faults.reset(), service="sqs"):
        woken.start()
        woken.wait_state("failing")
        assert len(woken.entries(FAILING)) == 1
        woken.publish("2.0.0")
        woken.instance.run("busctl", "call", "org.muster.Agent1", "/org/muster/Agent1", "org.muster.Agent1", "Poll")
        woken.wait("2.0.0")
        assert len(woken.entries(FAILING)) == 1
    woken.wait_state("healthy")
    woken.publish("3.0.0")
    woken.send(HINT)
    woken.wait("3.0.0")


def test_no_permission_to_remove(woken):
    """Messages come again, which is said once and does no harm."""
    woken.start()
    with woken.cloud.fault(faults.access_denied(), service="sqs", action="DeleteMessageBatch") as fault:
        woken.send(HINT)
        woken.send(HINT)
        wait_for(lambda: fault.hits > 0, 30, "musterd to try")
        wait_for(lambda: "AccessDenied" in woken.status()["queue"]["reason"], 30, "the reason")
        assert woken.status()["queue"]["state"] == "healthy"
    assert len(woken.entries(FAILING)) == 1


def bodies_of_all_shapes(bucket, count):
    """(those that are understood, the others), mixed well, every fiftieth of them as large as can be."""
    lifecycle = {"LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "AutoScalingGroupName": "other",
                 "LifecycleHookName": "h", "EC2InstanceId": "i-other", "LifecycleActionToken": "t"}
    good = [HINT, json.dumps({"muster": "changed", "app": "other"}), json.dumps(object_event(bucket)),
            json.dumps(object_event("foreign")), json.dumps(from_sns(lifecycle)),
            json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
            json.dumps({"AutoScalingGroupName": "other", "Event": "autoscaling:TEST_NOTIFICATION"}),
            json.dumps(from_eventbridge("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", lifecycle)),
            json.dumps(from_sns(from_eventbridge("aws.s3", "Object Created",
                                                 {"bucket": {"name": bucket}, "object": {"key": TARGET}})))]
    bad = ["no JSON at all", "[" * 5000, json.dumps({"payloadType": "x", "payload": ""}),
           json.dumps(from_eventbridge("aws.health", "x", {}))]
    mix = random.Random(4)
    bodies = [mix.choice(good + bad) for _ in range(count - count // 50)] + ["x" * (256 * 1024)] * (count // 50)
    mix.shuffle(bodies)
    return bodies, sum(body not in good for body in bodies)


def send_all(woken, bodies):
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start:start + 10])]
        for entry in ([entries] if sum(len(e["MessageBody"]) for e in entries) < 200_000 else [[e] for e in entries]):
            woken.sqs.send_message_batch(QueueUrl=woken.url, Entries=entry)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_flood(woken, count):
    """Messages of every shape, the good one last: it is acted on, and memory stays what it was."""
    woken.start()
    bodies, bad = bodies_of_all_shapes(woken.muster.bucket, count)
    send_all(woken, bodies)
    woken.publish("2.0.0")
    woken.send(HINT)
    woken.wait("2.0.0", seconds=60 + count / 10)
    wait_for(lambda: woken.left() == bad, 60 + count / 10, f"all but the {bad} that cannot be understood to be removed")
    assert woken.status()["queue"]["received"] >= count
    assert len(woken.entries(NOT_UNDERSTOOD)) <= 12 + count / 500
    peak = int(woken.instance.sh("sed -n 's/^VmHWM:[^0-9]*//p' /proc/$(systemctl show -P MainPID musterd)/status").out.split()[0])
    assert peak < 64 * 1024


class Topic:
    """An SNS topic, and what is subscribed to it."""

    def __init__(self, cloud, name):
        self._name, self._sns = name, cloud.client("sns")
        self.arn = self._sns.create_topic(Name=name)["TopicArn"]

    def make(self):
        """Once more, under the same name."""
        assert self._sns.create_topic(Name=self._name)["TopicArn"] == self.arn

    def remove(self):
        self.remove_subscription()
        self._sns.delete_topic(TopicArn=self.arn)

    def publish(self, message):
        self._sns.publish(TopicArn=self.arn, Message=message)

    def subscriptions(self):
        return self._sns.list_subscriptions_by_topic(TopicArn=self.arn)["Subscriptions"]

    def remove_subscription(self):
        for subscription in self.subscriptions():
            self._sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def own_queues(woken):
    return woken.sqs.list_queues(QueueNamePrefix=f"muster-{GROUP}-{woken.instance.id}").get("QueueUrls", [])


def doctor(woken):
    checks = json.loads(woken.instance.run("muster", "doctor", "--json", check=False).out)["checks"]
    return {check["check"]: check for check in checks}


def test_own_queue(woken):
    """musterd makes its queue, finds it after a restart, makes it again when somebody has removed it, and removes it when its
    configuration has none any more."""
    topic = Topic(woken.cloud, "api-prod")
    woken.start(agent=f"queue = own\nqueue_topic = {topic.arn}\n")
    woken.wait_state("healthy")
    [url] = own_queues(woken)
    found = woken.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    [statement] = json.loads(found["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic.arn}}
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert found["MessageRetentionPeriod"] == "3600"
    tags = woken.sqs.list_queue_tags(QueueUrl=url)["Tags"]
    assert tags["muster:instance"] == woken.instance.id
    assert woken.cloud.read(woken.muster.bucket, "depot/" + tags["muster:report"])
    [subscription] = topic.subscriptions()
    assert subscription["Endpoint"] == found["QueueArn"]

    found = doctor(woken)
    assert (found["sqs:DeleteMessage"]["verdict"], found["sqs:ChangeMessageVisibility"]["verdict"]) == ("ok", "ok")
    assert found["sqs:DeleteMessage"]["text"] == url.rsplit("/", 1)[1]
    with woken.cloud.fault(faults.access_denied(), service="sqs", action="ChangeMessageVisibilityBatch"):
        assert doctor(woken)["sqs:ChangeMessageVisibility"]["verdict"] == "failed"

    woken.publish("2.0.0")
    topic.publish(HINT)
    woken.wait("2.0.0")
    queue = woken.status()["queue"]
    assert (queue["shared"], queue["topic"], queue["received"]) == (False, topic.arn, 1)

    woken.instance.run("systemctl", "restart", "musterd")
    woken.wait_state("healthy")
    assert own_queues(woken) == [url] and topic.subscriptions() == [subscription]

    woken.sqs.delete_queue(QueueUrl=url)
    topic.remove_subscription()
    wait_for(lambda: own_queues(woken) == [url] and topic.subscriptions(), 90, "the queue to be there again")
    woken.wait_state("healthy")
    woken.publish("3.0.0")
    topic.publish(json.dumps(object_event(woken.muster.bucket)))
    woken.wait("3.0.0")

    # A queue that answers is of no use without its topic, which is said as long as it lasts.
    woken.sqs.delete_queue(QueueUrl=url)
    topic.remove()
    woken.wait_state("failing")
    wait_for(lambda: "NotFound" in woken.status()["queue"]["reason"], 60, "the topic to be missed")
    topic.make()
    woken.wait_state("healthy")

    # Another queue in its place, which others look at as well: what is theirs goes back.
    woken.configure(f"queue = {woken.name}\nqueue_shared = yes\n")
    woken.instance.run("systemctl", "reload", "musterd")
    wait_for(lambda: not own_queues(woken) and not topic.subscriptions(), 60, "all of it to be removed")
    woken.send({"muster": "changed", "app": "api", "group": "staging"})
    wait_for(lambda: woken.status()["queue"]["given_back"] > 0, 60, "it to be given back")
    assert (woken.status()["queue"]["removed"], woken.left()) == (0, 1)
    woken.configure("")
    woken.instance.run("systemctl", "reload", "musterd")
    wait_for(lambda: woken.status()["queue"] is None, 30, "no queue to be watched")


def test_own_queue_refused(woken):
    """Without the permissions it is one line, and a deployment as ever; with them, all is well a moment later."""
    topic = Topic(woken.cloud, "api-refused")
    with woken.cloud.fault(faults.access_denied(), service="sns"):
        woken.start(agent=f"queue = own\nqueue_topic = {topic.arn}\n")
        wait_for(lambda: "AccessDenied" in woken.status()["queue"]["reason"], 30, "the reason")
        assert len(woken.entries(FAILING)) == 1
        assert woken.status()["queue"]["state"] == "failing"
    woken.wait_state("healthy")
    woken.publish("2.0.0")
    topic.publish(HINT)
    woken.wait("2.0.0")
