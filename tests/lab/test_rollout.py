"""Rollouts over a fleet of six, in stages of one, half and all, two changing at once. The witnesses are the load balancer's clients,
the director, and what `current` names on each instance, looked at all the while: never does a release run on more instances than
the stage that is open allows."""

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from rig import goapp
from rig.autoscaling import LAUNCHING, TERMINATING, Hook
from rig.balancer import URL, Balancer
from rig.director import Director
from rig.host import wait_for
from rig.operator import Muster
from rig.network import CLOUD_ADDRESS
from rig.prober import Load
from rig.web import Response, Server

GROUP = "prod"
FLEET = 6
PARALLEL = 2
STAGES = "1:2s,50%:1s,100%"
SHARES = [1, FLEET // 2, 100]  # the last one takes in who is launched meanwhile
HOOKS = (Hook("muster", LAUNCHING, heartbeat=60), Hook("muster-leave", TERMINATING, heartbeat=15))
AGENT = "settle_time = 200ms\nreport_interval = 2s\n"
LEAVE = "[leave]\nmetadata_interval = 1s\n"
HOOK_PORT = 8099
NOTIFY = f"[notify]\nwebhook = http://{CLOUD_ADDRESS}:{HOOK_PORT}/SECRET\ntopic = {{topic}}\n"
PATIENCE = 90
PREFIX = "depot/apps/api/groups/prod"


def _quick(text):
    return text.replace("interval: 1s", "interval: 200ms").replace("deadline: 30s", "deadline: 4s")


class Watch:
    """Looks, many times a second, at what `current` names everywhere, and keeps how many ran a version at once."""

    def __init__(self, fleet, version):
        self._fleet, self._version = fleet, version
        self.most, self.broken = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.1):
            # What leaves the group is stopped there, and stays on its disk, as it does where there is no power.
            running = [i.id for i in self._fleet.instances() if current_version(i) == self._version and i.running and
                       self._fleet.director.state(i.id) == "InService"]
            try:
                register = self._fleet.register()  # read afterwards: stages only grow
            except (BotoCoreError, ClientError):
                continue  # nobody knows
            self.most = max(self.most, len(running))
            if len(running) > (SHARES[register["stage"]] if register else 0):
                self.broken.append((running, register))

    def end(self):
        self._stop.set()
        self._thread.join()

    def stop(self):
        self.end()
        assert self.broken == []
        return self.most


def current_version(instance):
    try:
        return os.path.basename(os.readlink(instance.root / "var/lib/muster/apps/api/current")).rsplit("-", 1)[0]
    except OSError:
        return None


class Fleet:
    """Six instances behind a load balancer, all with the stable release."""

    def __init__(self, lab, cloud, folder):
        self.cloud, self._lab, self._folder = cloud, lab, folder
        self.balancer = Balancer(lab)
        self.director = Director(lab, cloud, self.balancer)
        self.muster = Muster(lab.layers[0] / "usr/bin/muster")
        self.muster.prepare(cloud)
        self.rollout = self.watch = None
        self.heard = []  # what the chat room did
        self.topic, self._mailbox = self._subscribe()
        self._hook = Server(cloud.netns, CLOUD_ADDRESS, HOOK_PORT, self._hear)
        self._versions = 0
        self.stable = self.publish()

    def _subscribe(self):
        """A topic, and a queue that gets what is published there."""
        sns, sqs = self.cloud.client("sns"), self.cloud.client("sqs")
        topic = sns.create_topic(Name="rollouts")["TopicArn"]
        mailbox = sqs.create_queue(QueueName="rollouts")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=mailbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return topic, mailbox

    def published(self):
        """The events of the rollout that came since the last look, with what their filter policies see."""
        events, sqs = {}, self.cloud.client("sqs")
        while True:
            came = sqs.receive_message(QueueUrl=self._mailbox, MaxNumberOfMessages=10).get("Messages", [])
            if not came:
                return events
            for message in came:
                sqs.delete_message(QueueUrl=self._mailbox, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                told = json.loads(body["Message"])["muster"]
                if told["rollout"] == self.rollout:
                    attributes = {name: value["Value"] for name, value in body["MessageAttributes"].items()}
                    events[told["id"].split("/")[-1]] = (body["Subject"], attributes)

    def _hear(self, request):
        self.heard.append(json.loads(request.body))
        return Response(200, b"ok", [])

    def told(self):
        """The events of the rollout that the chat room has heard of."""
        prefix = f"api/{GROUP}/{self.rollout}/"
        return {m["muster"]["id"].removeprefix(prefix) for m in self.heard if m["muster"]["id"].startswith(prefix)}

    def publish(self, **switches):
        self._versions += 1
        version = f"{self._versions}.0.0"
        self.muster.publish(goapp.build(self._folder, version, _quick, **switches), version)
        return version

    def launch(self):
        self.muster.set_target(GROUP, self.stable)
        template = self.muster.template(GROUP, poll_interval="1s", agent=AGENT, sections=LEAVE + NOTIFY.format(topic=self.topic))
        self.director.create_group(GROUP, template, HOOKS, desired=FLEET)
        self.director.wait_event("in_service", count=FLEET, timeout=PATIENCE)

    def instances(self):
        return list(self.director.instances.values())

    def status(self, instance):
        answer = instance.run("muster", "status", "--json", check=False)
        apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
        return apps[0] if apps else {}

    def named(self, instance_id):
        return self.director.instances[instance_id]

    def load(self):
        return Load(self._lab, URL, rate=100)

    def start(self, version, *options, stages=STAGES):
        """Begins a rollout; returns who watches it."""
        self.watch = watch = Watch(self, version)
        self.rollout = f"r-{version}"
        self.muster.rollout("start", GROUP, "--version", version, "--stages", stages, "--max-parallel", PARALLEL, "--id",
                            self.rollout, *options)
        return watch

    def end_watching(self):
        if self.watch:
            self.watch.end()

    def add_one(self):
        """A newcomer, in service."""
        before = {i.id for i in self.instances()}
        self.director.set_desired(GROUP, len(before) + 1)
        wait_for(lambda: len(self.instances()) > len(before), PATIENCE, "a newcomer")
        made = next(i for i in self.instances() if i.id not in before)
        self.director.wait_event("in_service", made.id, timeout=PATIENCE)
        return made

    def alarm(self, name, state, reason="the test"):
        self.cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)

    def make_alarms(self):
        for name in ALARMS:
            self.cloud.client("cloudwatch").put_metric_alarm(
                AlarmName=name, Namespace="api", MetricName=name, Statistic="Sum", Period=60, Threshold=5, EvaluationPeriods=1,
                ComparisonOperator="GreaterThanThreshold")
            self.alarm(name, "OK")

    def make_bad(self, instance_id):
        self.named(instance_id).run("touch", BAD)

    def heal(self):
        for instance in self.instances():
            if instance.running:
                instance.run("rm", "-f", BAD, check=False)

    def freeze(self, length):
        now = time.time()
        until = now + {"1h": 3600}[length]
        times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (now - 60, until)]
        self.muster.freeze(GROUP, *times, "the cup final")
        return times[0]

    def raw_register(self):
        key = f"{PREFIX}/rollouts/{self.rollout}.json"
        return self.cloud.read(self.muster.bucket, key) if key in self.cloud.objects(
            self.muster.bucket, f"{PREFIX}/rollouts/") else None

    def put_register(self, content):
        """Puts something in its place, or nothing; returns what was there."""
        before, s3 = self.raw_register(), self.cloud.client("s3")
        place = {"Bucket": self.muster.bucket, "Key": f"{PREFIX}/rollouts/{self.rollout}.json"}
        if content is None:
            s3.delete_object(**place)
        else:
            s3.put_object(Body=content, **place)
        return before

    def register(self):
        text = self.raw_register() if self.rollout else None
        return json.loads(text) if text else None

    def marks(self):
        """{"up-1": {instance…}, …}"""
        marks = {}
        prefix = f"{PREFIX}/rollouts/{self.rollout}/"
        for key in self.cloud.objects(self.muster.bucket, prefix):
            kind, instance = key[len(prefix):].removesuffix(".json").split("/")
            marks.setdefault(kind, set()).add(instance.split(":")[-1])
        return marks

    def wait_mark(self, mark):
        """The first instance that has made it."""
        return next(iter(wait_for(lambda: self.marks().get(mark), PATIENCE, f"a mark {mark}", 0.2)))

    def wait_register(self, holds, what="the register to get there"):
        def reached():
            register = self.register()
            return register and holds(register) and register
        return wait_for(reached, PATIENCE, what, 0.2)

    def wait_state(self, state):
        return self.wait_register(lambda register: register["state"] == state, f"the rollout to be {state}")

    def wait_all(self, version):
        """Until everybody serves it, and nobody does anything any more."""
        def reached():
            apps = [self.status(instance) for instance in self.instances()]
            return all(app.get("version") == version and app.get("state") == "good" for app in apps) and apps
        return wait_for(reached, PATIENCE, f"everybody to serve {version}", 0.5)

    def settle(self):
        """A plain target again."""
        self.heal()
        if not self.rollout:  # the test has seen to that
            return
        if self.register()["state"] != "complete":
            self.muster.rollout("abort", GROUP, "--reason", "the test is over", check=False)
            wait_for(lambda: self.register()["running"] == 0, PATIENCE, "everybody to be back")
            self.muster.set_target(GROUP, self.stable)
        else:
            self.muster.rollout("finish", GROUP)
        self.rollout = None

    def close(self):
        self._hook.close()
        self.director.close()
        self.balancer.close()


@pytest.fixture(scope="module")
def whole(lab, session_cloud, tmp_path_factory):
    lab.require_package()
    session_cloud.reset()
    made = Fleet(lab, session_cloud, tmp_path_factory.mktemp("rollouts"))
    made.launch()
    yield made
    made.close()


@pytest.fixture
def fleet(whole, cloud, request):
    request.node.director = whole.director
    whole.wait_all(whole.stable)
    yield whole
    whole.end_watching()
    whole.settle()


BAD = "/srv/bad"  # an instance with this file is one on which a candidate does not stay healthy


ALARMS = ("api-5xx", "api is slow")
GATED = ("--alarm", ALARMS[0], "--alarm", ALARMS[1])


def test_good_candidate(fleet):
    """Stage after stage, its alarms are quiet, no request is lost, and the chat room hears of it."""
    candidate = fleet.publish()
    fleet.make_alarms()
    load = fleet.load()
    watch = fleet.start(candidate, *GATED)
    fleet.wait_state("complete")
    fleet.wait_all(candidate)
    assert watch.stop() == FLEET
    assert load.stop()["failed"] == 0
    assert fleet.register()["alarms"] == "quiet"
    marks = fleet.marks()
    assert len(marks["good-1"]) == FLEET and {m for m in marks if not m.startswith("told-")} == {"up-1", "good-1"}
    wait_for(lambda: all((app["rollout"]["role"], app["rollout"]["state"]) == ("member", "complete")
                         for app in map(fleet.status, fleet.instances())), PATIENCE, "all to know that it is complete")
    fleet.stable = candidate
    wait_for(lambda: fleet.told() == {"started", "stage-2", "stage-3", "complete"}, PATIENCE, "the chat room to hear of all")
    assert all(m["text"].startswith(f"api in {GROUP}: ") for m in fleet.heard)
    published = fleet.published()
    assert set(published) == fleet.told()
    subject, attributes = published["complete"]
    assert subject.startswith(f"api in {GROUP}: rollout {fleet.rollout} to {candidate} is complete")
    assert attributes == {"app": "api", "group": GROUP, "event": "complete"}
    assert not any("SECRET" in instance.run("journalctl", "-u", "musterd").out for instance in fleet.instances())


def test_alarms(fleet):
    """What nobody knows of an alarm holds the stage, which says so, until it is promoted; one that rings aborts."""
    candidate = fleet.publish()
    fleet.make_alarms()
    fleet.alarm(ALARMS[0], "INSUFFICIENT_DATA", "no traffic")
    watch = fleet.start(candidate, *GATED, stages="1:0s,50%:0s,100%")
    held = "stage 1 of 3: healthy, held (alarm api-5xx is in INSUFFICIENT_DATA: no traffic)"
    wait_for(lambda: held in fleet.muster.rollout("status", GROUP).stdout, PATIENCE, "the stage to be held", 0.5)
    waiting = next(i for i in fleet.instances() if current_version(i) == fleet.stable)
    assert held in fleet.muster.why(GROUP, waiting.id)
    wait_for(lambda: held in waiting.run("muster", "why").out, PATIENCE, "an instance to have looked as well", 0.5)
    fleet.muster.rollout("promote", GROUP)
    wait_for(lambda: len(fleet.marks()["good-1"]) == FLEET // 2, PATIENCE, "half of them")
    fleet.alarm(ALARMS[1], "ALARM", "too many errors")
    fleet.muster.rollout("promote", GROUP, check=False)  # so that somebody looks at once, if nobody has yet
    assert fleet.wait_state("aborted")["reason"] == "alarm api is slow is in ALARM: too many errors"
    fleet.wait_all(fleet.stable)
    assert watch.stop() == FLEET // 2


def test_bad_at_the_canary(fleet):
    """One instance tries it, and all stay as they are. It is not tried again, and its report says why."""
    candidate = fleet.publish(FAIL_HEALTH="1")
    watch = fleet.start(candidate)
    register = fleet.wait_state("aborted")
    assert register["failures"] == 1 and "1 instance failed, 0 may" in register["reason"]
    fleet.wait_all(fleet.stable)
    assert watch.stop() == 1
    marks = fleet.marks()
    assert len(marks["failed-1"]) == 1 and "good-1" not in marks
    failed = fleet.named(marks["failed-1"].pop())
    assert fleet.status(failed)["rollout"]["role"] == "failed"
    assert "/healthz" in fleet.status(failed)["last_failure"]["reason"]
    told = fleet.muster.rollout("status", GROUP).stdout
    assert f"\n{failed.id}: {candidate} failed at " in told and "/healthz" in told.split(" failed at ")[1].split("\n\n")[0]


def test_fails_in_its_bake(fleet):
    """The canary was good, and is not any more: it says so, and goes back from its own disk."""
    candidate = fleet.publish(FAIL_IF=BAD)
    watch = fleet.start(candidate, stages="1:10m,50%:1s,100%")
    canary = fleet.wait_mark("good-1")
    fleet.make_bad(canary)
    fleet.wait_state("aborted")
    fleet.wait_all(fleet.stable)
    assert watch.stop() == 1
    wait_for(lambda: fleet.marks().get("back-1") == {canary}, PATIENCE, "the canary to say that it is back")
    assert fleet.marks()["sick-1"] == {canary}


def test_by_hand_with_comings_and_goings(fleet):
    """Stages are promoted by hand. A newcomer takes the stable release; a canary that is scaled in makes way for another one;
    a pause lets nobody begin; and an operator aborts it half-way."""
    candidate = fleet.publish()
    load = fleet.load()
    watch = fleet.start(candidate, "--promote", "manual", stages="1:0s,50%:0s,100%")
    first = fleet.wait_mark("good-1")
    newcomer = fleet.add_one()
    assert fleet.status(newcomer)["version"] == fleet.stable
    fleet.director.terminate(first)
    fleet.director.wait_event("terminated", first)
    wait_for(lambda: fleet.marks()["good-1"] - {first}, PATIENCE, "another canary")
    fleet.muster.rollout("pause", GROUP, "--reason", "lunch")
    fleet.wait_state("paused")
    assert len(fleet.marks()["good-1"]) == 2
    fleet.muster.rollout("resume", GROUP)
    fleet.muster.rollout("promote", GROUP)
    wait_for(lambda: len(fleet.marks()["good-1"]) == 1 + FLEET // 2, PATIENCE, "half of them")
    fleet.muster.rollout("abort", GROUP, "--reason", "enough")
    fleet.wait_all(fleet.stable)
    assert watch.stop() == FLEET // 2
    assert load.stop()["failed"] == 0
    wait_for(lambda: len(fleet.marks().get("back-1", ())) >= FLEET // 2, PATIENCE, "all to say that they are back")


def test_operators(fleet):
    """Manual stages: of two who promote one wins; a pause holds what would go on; one in line says why; a watcher's status is the
    rollout's."""
    candidate = fleet.publish()
    watch = fleet.start(candidate, "--promote", "manual", stages="1:0s,50%:0s,100%")
    with ThreadPoolExecutor() as pool:
        watcher = pool.submit(fleet.muster.rollout, "status", GROUP, "--watch", check=False)
        fleet.wait_register(lambda register: register["stage"] == 0 and register["members"] == 1)
        waiting = next(i for i in fleet.instances() if current_version(i) == fleet.stable)
        told = wait_for(lambda: (line := fleet.muster.why(GROUP, waiting.id)) and "waits to be promoted" in line and line,
                        PATIENCE, "the stage to be healthy", 0.5)
        assert told.startswith(f"{waiting.id} ") and f"; rollout {fleet.rollout} is active: stage 1 of 3: healthy" in told
        assert fleet.rollout in waiting.run("muster", "why").out
        assert f"rollout {fleet.rollout} to {candidate} is active" in waiting.run("muster", "status").out
        fleet.muster.rollout("pause", GROUP, "--reason", "looking", "--by", "ann")
        promoting = [pool.submit(fleet.muster.rollout, "promote", GROUP, check=False) for _ in range(2)]
        assert sorted(done.result().returncode for done in promoting) == [0, 6]
        register = fleet.register()
        assert (register["stage"], register["state"], register["promoted"], register["reason"]) == (0, "paused", True, "looking")
        fleet.muster.rollout("resume", GROUP)
        fleet.wait_register(lambda register: register["stage"] == 1 and register.get("full"))
        fleet.muster.rollout("promote", GROUP, "--stage", "2")
        assert fleet.wait_state("complete")["by"]
        assert watch.stop() == FLEET
        end = watcher.result()
    assert end.returncode == 0 and end.stdout.endswith(f"{fleet.rollout} is complete; make it permanent: muster rollout finish "
                                                       f"api {GROUP}\n")
    fleet.wait_all(candidate)
    fleet.stable = candidate


@pytest.mark.long
def test_bad_at_half(fleet):
    """The canary stays healthy, others do not; it goes back with them."""
    candidate = fleet.publish(FAIL_IF=BAD)
    watch = fleet.start(candidate, stages="1:5s,50%:1s,100%")
    canary = fleet.wait_mark("good-1")
    for instance in fleet.instances():
        if instance.id != canary:
            fleet.make_bad(instance.id)
    fleet.wait_state("aborted")
    fleet.wait_all(fleet.stable)
    assert watch.stop() <= FLEET // 2
    assert fleet.marks()["failed-1"] and fleet.marks()["good-1"] == {canary}
    wait_for(lambda: fleet.marks().get("back-1") == {canary}, PATIENCE, "the canary to be back")


@pytest.mark.long
def test_pin_in_the_middle(fleet):
    """A pin goes over the rollout: all are at its release, two at a time."""
    candidate = fleet.publish()
    watch = fleet.start(candidate, "--promote", "manual", stages="1:0s,50%:0s,100%")
    fleet.wait_mark("good-1")
    fleet.muster.rollout("promote", GROUP)
    wait_for(lambda: len(fleet.marks()["good-1"]) == FLEET // 2, PATIENCE, "half of them")
    watch.stop()
    fleet.muster.pin(GROUP, fleet.stable, "the cup final")
    fleet.wait_all(fleet.stable)
    fleet.muster.unpin(GROUP)
    fleet.rollout = None  # whose register nobody follows any more


@pytest.mark.long
def test_freeze_in_the_middle(fleet):
    """Nobody begins while the group is frozen; aborts are never frozen."""
    candidate = fleet.publish()
    watch = fleet.start(candidate, stages="1:5s,50%:1s,100%")
    canary = fleet.wait_mark("good-1")
    begins = fleet.freeze("1h")
    time.sleep(15)  # three times what the bake takes
    assert fleet.register()["stage"] == 0 and fleet.marks()["good-1"] == {canary}
    fleet.muster.rollout("abort", GROUP, "--reason", "not today")
    fleet.wait_all(fleet.stable)
    assert watch.stop() == 1
    fleet.muster.thaw(GROUP, begins)


@pytest.mark.long
@pytest.mark.parametrize("content", [None, b"", b"rubbish", b'{"id": "r-1"}'], ids=["none", "empty", "rubbish", "half"])
def test_register_lost(fleet, content):
    """Everybody stays as he is, newcomers take the stable release, nobody makes a second one; with the first one back it goes on."""
    candidate = fleet.publish()
    fleet.start(candidate, "--promote", "manual", stages="1:0s,50%:0s,100%").stop()
    canary = fleet.wait_mark("good-1")
    wait_for(lambda: not fleet.register().get("places"), PATIENCE, "the canary's place to end")
    before = fleet.put_register(content)
    state = "missing" if content is None else "unreadable"
    wait_for(lambda: {fleet.status(i)["rollout"]["state"] for i in fleet.instances()} == {state}, PATIENCE,
             f"all to say that it is {state}")
    newcomer = fleet.add_one()
    assert {i.id: fleet.status(i)["version"] for i in fleet.instances()} == {
        i.id: candidate if i.id == canary else fleet.stable for i in fleet.instances()}
    assert fleet.status(newcomer)["rollout"]["state"] == state
    assert fleet.raw_register() == content
    fleet.put_register(before)
    fleet.director.terminate(newcomer.id)
    fleet.director.wait_event("terminated", newcomer.id)
    fleet.muster.rollout("abort", GROUP, "--reason", "seen enough")
    fleet.wait_all(fleet.stable)


@pytest.mark.long
def test_launched_at_each_stage(fleet):
    """A newcomer takes the stable release, and the candidate with the last stage; once that is complete it begins with the candidate."""
    candidate = fleet.publish()
    load = fleet.load()
    watch = fleet.start(candidate, "--promote", "manual", stages="1:0s,50%:0s,100%")
    made = []
    for stage in (0, 1):
        fleet.wait_register(lambda register, stage=stage: register["stage"] == stage and register.get("full"))
        made.append(fleet.add_one())
        assert fleet.status(made[-1])["version"] == fleet.stable
        fleet.muster.rollout("promote", GROUP)
    fleet.wait_state("complete")
    fleet.wait_all(candidate)
    made.append(fleet.add_one())
    first = fleet.named(made[-1].id).run("muster", "history", "api", "--json").out
    assert [d["version"] for d in json.loads(first)["deployments"]] == [candidate]
    assert watch.stop() == FLEET + len(made)
    assert load.stop()["failed"] == 0
    for instance in made:
        fleet.director.terminate(instance.id)
        fleet.director.wait_event("terminated", instance.id)
    fleet.stable = candidate


@pytest.mark.long
def test_agents_restarted_at_random(fleet):
    """Whatever they were about."""
    candidate = fleet.publish()
    load = fleet.load()
    watch = fleet.start(candidate)
    chance = random.Random(7)
    while fleet.register()["state"] == "active":
        chance.choice(fleet.instances()).run("systemctl", "restart", "musterd", check=False)
        time.sleep(chance.random())
    fleet.wait_state("complete")
    fleet.wait_all(candidate)
    assert watch.stop() == FLEET
    assert load.stop()["failed"] == 0
    fleet.stable = candidate


@pytest.mark.long
def test_canary_killed_in_the_middle(fleet):
    """Its place is given up after its deadline and the margin, and it is not charged."""
    candidate = fleet.publish()
    watch = fleet.start(candidate, "--progress-deadline", "30s", "--min-healthy-time", "10s")
    place = wait_for(lambda: fleet.register().get("places"), PATIENCE, "a place")
    canary = place[0]["instance"].split(":")[-1]
    wait_for(lambda: current_version(fleet.named(canary)) == candidate, PATIENCE, "the canary to switch")
    fleet.named(canary).pull_plug()
    wait_for(lambda: fleet.marks().get("good-1"), 240, "another canary")
    assert fleet.register()["failures"] == 0 and canary not in fleet.marks()["good-1"]
    fleet.muster.rollout("abort", GROUP, "--reason", "seen enough")
    watch.stop()
    served = len(fleet.director.find("in_service"))
    fleet.director.terminate(canary, decrement=False)
    fleet.director.wait_event("terminated", canary)
    fleet.director.wait_event("in_service", count=served + 1, timeout=PATIENCE)
    fleet.wait_all(fleet.stable)
