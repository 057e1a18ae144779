"""muster doctor: what it finds, permission by permission with the policies that README gives (moto decides), and on an instance
that has everything, and then lacks one thing after the other."""

import copy
import json
import re
import subprocess
from pathlib import Path

import pytest
from rig import faults
from rig.autoscaling import Hook
from rig.imds import not_there
from rig.moto import CHECKS_OFF, CHECKS_ON, REGION, Moto
from rig.operator import Muster

TOP = Path(__file__).parents[2]
BUCKET, GROUP = "example-deploys", "api-prod"  # as in README
CONFIGURATION = """[agent]
depot = s3://{bucket}/muster
group = {group}
instance_id = {instance}
queue = {group}
[aws]
endpoint_url = {url}
region = {region}
[app api]
"""


def readme_policies():
    """Every policy of README's chapter on EC2, as statements."""
    text = (TOP / "README.md").read_text().split("\n## On EC2\n")[1].split("\n## ")[0]
    blocks = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.S | re.M)]
    lists = [block if isinstance(block, list) else block.get("Statement", [block]) for block in blocks]
    return [statement for statements in lists for statement in statements]


def as_moto_has_it(statement):
    """moto knows neither aws:userid nor the resources of other services than S3, has a permission for each batch, and
    calls CloudWatch's by the name of its endpoint."""
    statement.pop("Condition", None)
    if "s3:" not in str(statement["Action"]):
        statement["Resource"] = "*"
    if statement["Action"] == "cloudwatch:DescribeAlarms":
        statement["Action"] = "monitoring:DescribeAlarms"
    if "sqs:" in str(statement["Action"]):
        statement["Action"] = [name for action in statement["Action"] for name in (action, f"{action}Batch")]


class Patient:
    """An instance of nobody's but moto's, whose user has README's policies or less."""

    def __init__(self, moto, folder):
        self.moto, self.folder = moto, folder
        moto.check(CHECKS_OFF)
        keys = moto.user("instance")
        user_id = moto.client("iam").get_user(UserName="instance")["User"]["UserId"]
        s3 = moto.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.report = f"muster/apps/api/groups/{GROUP}/instances/{user_id}.json"
        s3.put_object(Bucket=BUCKET, Key=self.report, Body=b"{\"the\": \"report\"}")
        moto.client("sqs").create_queue(QueueName=GROUP)
        scaling = moto.client("autoscaling")
        scaling.create_launch_configuration(LaunchConfigurationName="c", ImageId="ami-12c6146b", InstanceType="t2.micro")
        scaling.create_auto_scaling_group(AutoScalingGroupName=GROUP, LaunchConfigurationName="c", MinSize=1, MaxSize=1,
                                          AvailabilityZones=[f"{REGION}a"])
        scaling.put_lifecycle_hook(LifecycleHookName="muster", AutoScalingGroupName=GROUP, HeartbeatTimeout=300,
                                   LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING")
        self.instance = scaling.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
        (folder / "environment").write_text("AWS_EC2_METADATA_DISABLED=true\n" +
                                            "".join(f"{name}={value}\n" for name, value in keys.items()))
        (folder / "muster.conf").write_text(CONFIGURATION.format(bucket=BUCKET, group=GROUP, instance=self.instance,
                                                                 url=moto.url, region=REGION))

    def examine(self, statements):
        """What doctor says with these statements: check -> its verdicts."""
        for statement in statements:
            as_moto_has_it(statement)
        self.moto.check(CHECKS_OFF)
        self.moto.allow("instance", json.dumps({"Version": "2012-10-17", "Statement": statements}).replace("${aws:userid}", "*"))
        self.moto.check(CHECKS_ON)
        done = subprocess.run([TOP / "build/gcc/muster", "doctor", "--json", "--config", self.folder / "muster.conf",
                               "--environment", self.folder / "environment"], capture_output=True, text=True, timeout=60)
        self.moto.check(CHECKS_OFF)
        assert done.stderr == "" and done.returncode == 1  # this machine is no instance: no root, no package
        found = {}
        for check in json.loads(done.stdout)["checks"]:
            found.setdefault(check["check"], []).append(check)
        return found


@pytest.fixture(scope="module")
def patient(tmp_path_factory, built):
    moto = Moto(tmp_path_factory.mktemp("moto"))
    yield Patient(moto, tmp_path_factory.mktemp("patient"))
    moto.close()


NEEDED = {
    "s3:ListBucket": "s3:ListBucket",
    "s3:GetObject": "s3:GetObject",
    "s3:PutObject": "s3:PutObject",
    "sqs:GetQueueUrl": "sqs:GetQueueUrl",
    "sqs:DeleteMessage": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
    "autoscaling:DescribeAutoScalingInstances": "DescribeAutoScalingInstances",
    "autoscaling:DescribeLifecycleHooks": "DescribeLifecycleHooks",
    "autoscaling:RecordLifecycleActionHeartbeat": "RecordLifecycleActionHeartbeat",
    "autoscaling:CompleteLifecycleAction": "CompleteLifecycleAction",
}


def without(statements, action):
    """The statements but for one action."""
    left = copy.deepcopy(statements)
    for statement in left:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [a for a in actions if a != action]
    return [statement for statement in left if statement["Action"]]


def test_policies_of_readme_suffice(patient):
    found = patient.examine(readme_policies())
    for check in NEEDED.values():
        assert {c["verdict"] for c in found[check]} <= {"ok", "warning"}, found[check]
    assert found["DescribeAlarms"][0]["verdict"] == "ok"
    assert found["credentials"][0]["text"] == "from the environment"
    assert found["clock"][0]["verdict"] == "ok"
    assert patient.moto.client("s3").get_object(Bucket=BUCKET, Key=patient.report)["Body"].read() == b'{"the": "report"}'


@pytest.mark.parametrize("action", NEEDED)
def test_one_permission_less(patient, action):
    """The line of that permission fails, and says to allow it."""
    statements = without(readme_policies(), action)
    found = patient.examine(statements)
    failed = [c for checks in found.values() for c in checks if c["verdict"] == "failed" and c["check"] == NEEDED[action]]
    assert failed, found
    assert re.search("allow", failed[0]["advice"]) and re.search("AccessDenied|not authorized", failed[0]["text"])
    others = {c["check"] for checks in found.values() for c in checks if c["verdict"] == "failed"} - {NEEDED[action]}
    assert others <= {"trust root", "systemd", "unpacker"}, found


def test_no_bucket_and_no_keys(patient):
    (patient.folder / "environment").write_text("AWS_EC2_METADATA_DISABLED=true\nAWS_MAX_ATTEMPTS=1\n")
    found = patient.examine(readme_policies())
    assert "no AWS credentials" in found["credentials"][0]["text"]
    assert found["credentials"][0]["verdict"] == "failed"


@pytest.fixture
def muster(lab, cloud):
    lab.require_package()
    made = Muster(lab.layers[0] / "usr/bin/muster")
    made.prepare(cloud)
    return made


def examine(instance, *options):
    done = instance.run("muster", "doctor", *options, check=False)
    return done.code, done.out


def test_on_an_instance(director, cloud, muster):
    """Nothing is wrong where everything is there, whether musterd runs or not; and what is taken away is named."""
    director.create_group(GROUP, muster.template(GROUP), [Hook("muster", heartbeat=600)], desired=1)
    director.wait_event("pending_wait")
    instance = next(iter(director.instances.values()))
    instance.wait_message("looks after 1 app", unit="musterd.service")
    code, said = examine(instance)
    assert code == 0 and "\nfailed" not in said and said.endswith("nothing is wrong\n"), said
    for line in ("metadata", "clock", "identity", "s3:PutObject", "launch hook", "disk", "unpacker", "trust root"):
        assert re.search(f"^ok +{line} ", said, re.M), said
    assert "\033" not in said and ", from http://169.254.169.254" in said and "from the instance's role" in said
    instance.run("systemctl", "stop", "musterd")
    before = {key: cloud.read(muster.bucket, key) for key in cloud.objects(muster.bucket)}
    code, said = examine(instance, "--quiet")
    assert code == 0 and re.fullmatch(r"warning +musterd +musterd does not run.*\n +-> systemctl start musterd.*\n", said), said
    assert {key: cloud.read(muster.bucket, key) for key in cloud.objects(muster.bucket)} == before
    assert not director.find("result", instance.id)
    cloud.set_clock(3600)
    with cloud.fault(faults.access_denied(), method="GET", path="/root/"), \
            cloud.fault(faults.access_denied(), method="PUT", path="/failures/"), \
            cloud.fault(faults.access_denied(), method="PUT", path="/rollouts/"), \
            cloud.fault(faults.access_denied(), action="CompleteLifecycleAction"), \
            cloud.fault(faults.reset(), service="sts"):
        code, said = examine(instance, "--quiet")
    assert code == 1
    assert re.search(r"failed +clock +3\d\d\d s behind S3's\n +-> set it", said), said
    assert re.search(r"failed +s3:GetObject .*\n +-> allow s3:GetObject on arn:aws:s3:::.*/depot/root/\*", said), said
    assert re.search(r"failed +s3:PutObject .*\n +-> allow s3:PutObject on .*/groups/\*/failures/\*/", said), said
    assert re.search(r"failed +s3:PutObject .*\n +-> allow s3:PutObject on .*/groups/\*/rollouts/\*.json", said), said
    assert re.search(r"failed +CompleteLifecycleAction .*AccessDenied.*\n +-> allow it on the Auto Scaling group", said), said
    assert re.search(r"warning +sts:GetCallerIdentity .*\n +-> make a way to STS", said), said
    cloud.set_clock(0)
    cloud.metadata.fault = not_there
    instance.run("mv", "/etc/muster/root.json", "/etc/muster/root.gone")
    code, said = examine(instance)
    assert code == 1
    assert re.search(r"^warning +metadata +http://169.254.169.254: .*403", said, re.M), said
    assert re.search(r"^failed +credentials ", said, re.M) and re.search(r"^failed +trust root ", said, re.M), said
