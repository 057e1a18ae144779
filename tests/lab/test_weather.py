"""Every fault that AWS and the network between are known for, one after the other during a deployment of one instance: it
succeeds, or waits with the reason named and goes on by itself.

What stands elsewhere: artifacts that come broken, resume and change (test_depot.py); an answer to a put that was lost, a race for a
key (test_depot.py, test_cli_s3.py); throttling and lost answers of Auto Scaling, metadata down for a known instance
(test_launch.py); SQS out of reach and throttled (test_queue.py); what an operator set up wrong (test_newcomer.py)."""

import json

import pytest
from rig import faults
from rig.desk import Desk
from rig.errors import error_response
from rig.host import wait_for
from rig.imds import unreachable

APPSPEC = "version: 0.0\nos: linux\nunits:\n  - name: api.service\n    file: units/api.service\n"
UNIT = "[Service]\nExecStart=/bin/sleep 1000\n"
CONFIGURATION = """[agent]
depot = s3://{bucket}/x
group = prod
poll_interval = 1s
settle_time = 100ms
report_interval = 1s
{more}[app api]
"""


class Weather:
    """An instance that runs what its depot says, an operator who changes that, and the sky above."""

    def __init__(self, lab, cloud, folder):
        self.cloud, self.version = cloud, 0
        self.desk = Desk(folder, cloud)
        self.bucket = cloud.bucket()
        self.desk.environment["MUSTER_DEPOT"] = f"s3://{self.bucket}/x"
        self.desk.trust()
        (self.desk.app(appspec=APPSPEC) / "units/api.service").write_text(UNIT)
        self.instance = lab.instance()
        self.known = cloud.attach(self.instance)
        self.instance.put("/etc/muster/root.json", self.desk.folder / "root.json")
        self.configure()
        self.publish()
        self.instance.boot()
        self.wait()

    def configure(self, more=""):
        self.instance.put("/etc/muster/muster.conf", CONFIGURATION.format(bucket=self.bucket, more=more))

    def publish(self):
        """A version that there was not yet becomes the group's."""
        self.version += 1
        (self.desk.folder / "app/bin/api").write_text(f"program {self.version}\n" * 200)
        self.desk.publish(f"{self.version}.0")
        self.desk.set(f"{self.version}.0")

    def status(self):
        answer = self.instance.run("muster", "status", "--json", check=False)
        return json.loads(answer.out) if answer.code == 0 else {"apps": [], "reason": ""}

    def wait(self):
        wait_for(lambda: [(a["state"], a["version"]) for a in self.status()["apps"]] == [("good", f"{self.version}.0")], 60,
                 f"version {self.version}.0", 0.1)

    def wait_reason(self, text):
        """Until musterd, or the app, says so."""
        def said():
            status = self.status()
            reasons = [status["reason"], *(app[key] for app in status["apps"] for key in ("reason", "target_problem"))]
            return any(text in (reason or "") for reason in reasons)
        wait_for(said, 60, f"“{text}” to be said", 0.1)

    def messages(self, text):
        return [message for message in self.instance.messages("musterd.service") if text in message]


@pytest.fixture(scope="module")
def sky(lab, session_cloud, built, tmp_path_factory):
    lab.require_package()
    session_cloud.reset()
    made = Weather(lab, session_cloud, tmp_path_factory.mktemp("weather"))
    yield made
    lab.remove(made.instance)


@pytest.fixture
def weather(sky, cloud, request):
    """What the instance of all of these tests has to say is in the report of the one that failed."""
    request.node.instances = [sky.instance]
    return sky


def artifact(act, times=1):
    return {"act": act, "times": times, "method": "GET", "path": "/artifacts/"}


def anything(act, times):
    return {"act": act, "times": times, "service": "s3", "method": "GET"}


def report(act, times=1):
    return {"act": act, "times": times, "method": "PUT", "path": "/instances/"}


FAULTS = {
    "wrong region": anything(faults.wrong_region("us-west-2"), 1),
    "a bucket of a minute ago": anything(faults.redirect("https://s3.eu-central-1.amazonaws.com/"), 1),
    "slow down": anything(faults.slow_down(), 4),
    "throttling": anything(faults.throttling(), 4),
    "internal error": anything(faults.internal_error(), 4),
    "connection reset": anything(faults.reset(), 4),
    "connection reset in the artifact": artifact(faults.reset(), 2),
    "truncated document": anything(faults.truncated(20), 3),
    "truncated artifact": artifact(faults.truncated(100), 2),
    "slow artifact": artifact(faults.slow(600)),
    "late answers": anything(faults.late(0.7), 3),
    "corrupted artifact": artifact(faults.corrupted(50)),
    "conflict on the report": report(faults.conflict(), 2),
    "precondition of the report": report(faults.error(412, "PreconditionFailed"), 2),
    "lost answer to the report": report(faults.lost_answer(), 2),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_passing(weather, cloud, fault):
    """It succeeds although something went wrong on the way, and was hit by it."""
    weather.publish()
    with cloud.fault(**FAULTS[fault]) as injected:
        wait_for(lambda: injected.hits == FAULTS[fault]["times"], 60, f"all of “{fault}”", 0.05)
        weather.wait()


def test_clock(weather, cloud):
    """An hour wrong: each service's requests are corrected by its answer, and stay so."""
    cloud.set_clock(-3600)
    weather.publish()
    weather.wait()
    refused = [e for e in cloud.proxy.requests(service="s3", client=weather.instance.address) if e.status == 403]
    assert 1 <= len(refused) <= 4, refused


def test_credentials_that_expire_in_the_middle(weather, cloud):
    """The keys that fetched the release are no good any more as the artifact is asked for: new ones are fetched once."""
    weather.known.credentials = lambda: cloud.role_credentials(weather.instance.id)

    def expire(request, forward):
        for key in cloud.proxy.keys.values():
            if key.identity and key.identity.endswith(weather.instance.id):
                key.expires = cloud.proxy.now() - 1
        return error_response(request, 400, "ExpiredToken", "The provided token has expired.")
    weather.publish()
    with cloud.fault(expire, times=1, method="GET", path="/artifacts/") as injected:
        weather.wait()
    assert injected.hits == 1


def test_storm(weather, cloud):
    """S3 refuses everything for as long as it likes: it is said why, requests become fewer, and it goes on by itself."""
    weather.publish()
    with cloud.fault(faults.slow_down(), service="s3") as storm:
        weather.wait_reason("SlowDown")
        asked = storm.hits
    assert asked < 100
    weather.wait()


def test_metadata_down(weather, cloud):
    """Those who have credentials use them; who starts anew says what is missing, and goes on when it is there."""
    cloud.metadata.fault = unreachable
    weather.publish()
    weather.wait()
    weather.instance.run("systemctl", "restart", "musterd")
    weather.wait_reason("instance metadata")
    cloud.metadata.fault = None
    weather.publish()
    weather.wait()


def test_names_not_there_yet(weather):
    """As at boot, before the network is up: no name resolves."""
    instance = weather.instance
    resolver = instance.get("/etc/resolv.conf")
    instance.put("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    weather.instance.run("systemctl", "restart", "musterd")
    weather.publish()
    weather.wait_reason("does not resolve")
    instance.put("/etc/resolv.conf", resolver)
    weather.wait()


def test_nothing_but_s3(weather, cloud):
    """A VPC whose only way out is S3's gateway endpoint: SQS, STS and Auto Scaling cost one line each, and no deployment."""
    services = ("SQS", "STS", "launch: Auto Scaling")

    def count(text):
        return len(weather.messages(text))
    before = {text: count(text) for text in (*services, "looks after 1 app")}
    with cloud.fault(faults.reset(), service="sqs"), cloud.fault(faults.reset(), service="sts"), \
            cloud.fault(faults.reset(), service="autoscaling"):
        weather.configure(more="queue = prod\n")
        weather.instance.run("systemctl", "reload", "musterd")
        wait_for(lambda: count("looks after 1 app") > before["looks after 1 app"], 60, "musterd to look after the app")
        for _ in range(2):
            weather.publish()
            weather.wait()
        wait_for(lambda: all(count(service) > before[service] for service in services), 30, "a line about each")
        said = {service: weather.messages(service)[before[service]:] for service in services}
    assert all(len(lines) == 1 for lines in said.values()), said
    weather.configure()
    weather.instance.run("systemctl", "reload", "musterd")


VOID = "192.0.2.1"  # whose packets end nowhere, without a word
ROLE = "AROALABLABLABLABLAB00"


@pytest.mark.long
def test_nothing_but_s3_and_no_answer(weather, cloud):
    """The same where the others' packets are dropped: nothing waits for them, the report has its name without STS, and an
    instance that its group holds, and cannot tell, is an alarm."""
    instance = weather.instance
    hosts = instance.get("/etc/hosts")
    names = " ".join(f"{service}.eu-central-1.amazonaws.com" for service in ("sqs", "sts", "autoscaling"))
    instance.put("/etc/hosts", hosts.decode() + f"{VOID} {names}\n")
    instance.sh(f"ip neigh replace {VOID} lladdr 02:00:00:00:00:01 dev host0 nud permanent; ip route replace {VOID} dev host0")
    weather.known.target_lifecycle_state = "InService"
    weather.configure(more=f"queue = prod\nrole_id = {ROLE}\n")
    instance.run("systemctl", "restart", "musterd")
    for _ in range(2):
        weather.publish()
        weather.wait()
    reports = "x/apps/api/groups/prod/instances/"
    wait_for(lambda: f"{reports}{ROLE}:{instance.id}.json" in cloud.objects(weather.bucket, reports), 30, "the report")
    wait_for(lambda: weather.status()["launch"]["alarm"], 150, "the alarm")
    assert "BUT THE GROUP COULD NOT BE TOLD" in instance.run("muster", "status").out
    assert [u["what"] for u in weather.status()["undelivered"]] == ["lifecycle action"]
    assert len(weather.messages("nor be told that it is ready")) == 1
    assert weather.status()["queue"]["state"] == "failing"
    instance.put("/etc/hosts", hosts)
    wait_for(lambda: not weather.status()["launch"]["alarm"], 150, "the alarm to be over")
    weather.known.target_lifecycle_state = None
    weather.configure()
    instance.run("systemctl", "restart", "musterd")
    weather.publish()
    weather.wait()
