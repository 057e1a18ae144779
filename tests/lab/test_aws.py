"""agent/net against moto as it checks signatures, on loopback: no instance, no root. tests/lab/aws-driver.c does the asking."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rig.moto import BUCKET, CHECKS_OFF, CHECKS_ON, POLICY, REGION, Moto

TOP = Path(__file__).parents[2]
DRIVER = TOP / "build/gcc/aws-driver"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}"""


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    server = Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.close()


@pytest.fixture
def aws(moto):
    """Calls the driver with moto checking signatures; what it prints becomes a dict of lists."""
    def call(*arguments, **environment):
        variables = {"AWS_ENDPOINT_URL": moto.url, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
                     **moto.keys, **environment}
        done = subprocess.run([DRIVER, *arguments], env=variables, stdout=subprocess.PIPE, text=True, timeout=30, check=False)
        assert done.returncode == 0, done
        answer = {}
        for line in done.stdout.splitlines():
            name, _, value = line.partition("=")
            answer.setdefault(name, []).append(value)
        return answer
    moto.check(CHECKS_ON)
    yield call
    moto.check(CHECKS_OFF)


def test_identity(aws):
    answer = aws("identity")
    assert answer["error"] == [""]
    assert answer["arn"][0].endswith(":user/tester")


REGIONS = ["us-east-1", "eu-central-1", "me-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1",
           "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1"]
SERVICES = {"s3": "s3", "autoscaling": "autoscaling", "sts": "sts", "sqs": "sqs", "sns": "sns", "elbv2": "elasticloadbalancing",
            "cloudwatch": "monitoring"}


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dualstack", [False, True])
def test_endpoints_are_those_of_botocore(fips, dualstack):
    """Every service of ours in every partition: botocore's rules decide what is right."""
    import botocore.session
    from botocore.endpoint_provider import EndpointProvider
    from botocore.exceptions import EndpointProviderError
    loader = botocore.session.get_session().get_component("data_loader")
    ours = subprocess.run([DRIVER, "endpoints", *REGIONS], stdout=subprocess.PIPE, text=True, timeout=30, check=True, env={
        "AWS_USE_FIPS_ENDPOINT": str(fips).lower(), "AWS_USE_DUALSTACK_ENDPOINT": str(dualstack).lower()}).stdout.splitlines()
    compared = 0
    for name, signing_name in SERVICES.items():
        rules = EndpointProvider(loader.load_service_model(name, "endpoint-rule-set-1"), loader.load_data("partitions"))
        for region in REGIONS:
            for bucket in ("bucket-1", "with.dots") if name == "s3" else ("-",):
                found = [line.rpartition(" ")[2] for line in ours if line.startswith(f"{signing_name} {region} {bucket} ")]
                try:
                    extra = {"Bucket": bucket} if name == "s3" else {}
                    expected = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, **extra).url
                except EndpointProviderError:
                    expected = "none"
                if found:  # a service that musterd talks to
                    assert (name, found) == (name, [expected])
                    compared += 1
    assert compared == len(ours) >= 5 * len(REGIONS)


def test_wrong_secret(aws):
    answer = aws("identity", AWS_SECRET_ACCESS_KEY="wrong")
    assert answer["result"] == ["-13"]
    assert "STS GetCallerIdentity: SignatureDoesNotMatch" in answer["error"][0]


def test_objects(aws):
    created = aws("put", BUCKET, "a/key.json", "hello", "create")
    assert created["result"] == ["0"], created
    etag = created["etag"][0]
    assert aws("put", BUCKET, "a/key.json", "again", "create")["result"] == ["3"]
    read = aws("get", BUCKET, "a/key.json")
    assert (read["body"], read["etag"], read["size"]) == (["hello"], [etag], ["5"])
    assert int(read["time"][0]) > 0
    assert aws("get", BUCKET, "a/key.json", etag)["result"] == ["1"]
    assert aws("range", BUCKET, "a/key.json", "1", "3")["body"] == ["ell"]
    assert aws("head", BUCKET, "a/key.json")["size"] == ["5"]
    assert aws("put", BUCKET, "a/key.json", "newer", etag)["result"] == ["0"]
    assert aws("put", BUCKET, "a/key.json", "lost", etag)["result"] == ["3"]
    assert aws("get", BUCKET, "a/none")["result"] == ["2"]
    assert aws("head", BUCKET, "a/none")["result"] == ["2"]
    assert aws("delete", BUCKET, "a/key.json")["result"] == ["0"]
    assert aws("get", BUCKET, "a/key.json")["result"] == ["2"]


def test_no_bucket(aws):
    answer = aws("get", "nowhere", "k")
    assert answer["error"] == ["s3://nowhere/k: there is no bucket 'nowhere'"]


def test_large_file(aws, tmp_path):
    """More than curl sends without asking first (Expect: 100-continue)."""
    data = os.urandom(3 * 1024 * 1024)
    (tmp_path / "file").write_bytes(data)
    answer = aws("put-file", BUCKET, "large", tmp_path / "file")
    assert answer["result"] == ["0"], answer
    assert aws("head", BUCKET, "large")["size"] == [str(len(data))]


def test_listing_is_paged(aws):
    for name in ["l/a", "l/b", "l/c/1", "l/c/2", "l/d", "m"]:
        assert aws("put", BUCKET, name, "x")["result"] == ["0"]
    assert aws("list", BUCKET, "l/")["key"] == ["l/a", "l/b", "l/c/1", "l/c/2", "l/d"]
    listed = aws("list", BUCKET, "l/", "/")
    assert listed["key"] == ["l/a", "l/b", "l/d"]
    assert listed["prefix"] == ["l/c/"]


def test_odd_keys_without_checks(aws, moto):
    """moto checks signatures of escaped keys wrongly (botocore's as well), so this is about the keys alone; that they are
    signed right is the unit tests' business."""
    moto.check(CHECKS_OFF)
    keys = ["o/a b", "o/a+b", "o/é/鍵", "o/p%20q", "o/x//y", "o/~!*'()&=?#"]
    for key in keys:
        assert aws("put", BUCKET, key, key)["result"] == ["0"]
        assert aws("get", BUCKET, key)["body"] == [key]
    assert aws("list", BUCKET, "o/")["key"] == sorted(keys, key=str.encode)
    moto.client("s3").head_object(Bucket=BUCKET, Key="o/a+b")


def test_session_token(aws, moto):
    moto.check(CHECKS_OFF)
    role = moto.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    moto.client("iam").put_role_policy(RoleName="role", PolicyName="all", PolicyDocument=POLICY)
    session = moto.client("sts").assume_role(RoleArn=role, RoleSessionName="i-1")["Credentials"]
    moto.check(CHECKS_ON)
    keys = {"AWS_ACCESS_KEY_ID": session["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"]}
    answer = aws("identity", AWS_SESSION_TOKEN=session["SessionToken"], **keys)
    assert answer["arn"][0].endswith(":assumed-role/role/i-1"), answer
    assert aws("identity", **keys)["result"] == ["-13"]


def test_autoscaling(aws, moto):
    moto.check(CHECKS_OFF)
    autoscaling = moto.client("autoscaling")
    autoscaling.create_launch_configuration(LaunchConfigurationName="c", ImageId="ami-12c6146b", InstanceType="t2.micro")
    autoscaling.create_auto_scaling_group(AutoScalingGroupName="g-1", LaunchConfigurationName="c", MinSize=1, MaxSize=1,
                                          AvailabilityZones=[f"{REGION}a"])
    autoscaling.put_lifecycle_hook(LifecycleHookName="muster", AutoScalingGroupName="g-1", HeartbeatTimeout=300,
                                   LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING")
    instance = autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
    moto.check(CHECKS_ON)
    assert aws("instances", instance, "i-0123")["instance"] == [f"{instance} g-1 InService 1"]
    hooks = aws("hooks", "g-1")
    assert hooks["hook"] == ["muster 1 300"], hooks


def test_no_credentials(aws):
    answer = aws("identity", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert answer["error"] == ["STS GetCallerIdentity: no AWS credentials: looked in the environment (AWS_ACCESS_KEY_ID is not "
                               "set), a web identity (AWS_WEB_IDENTITY_TOKEN_FILE is not set), the profile (there is no profile "
                               "default), the container's endpoint (none is set), the instance's role (instance metadata is "
                               "turned off (AWS_EC2_METADATA_DISABLED))"]


ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.fixture
def home(aws, moto, tmp_path):
    """A home with ~/.aws, and a role that may be assumed. Asks the driver and botocore who the credentials there are."""
    moto.check(CHECKS_OFF)
    iam = moto.client("iam")
    if "deployer" not in [role["RoleName"] for role in iam.list_roles()["Roles"]]:
        iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=TRUST.replace('"Principal": "*"', '"Principal": {"AWS": "*"}'))
        policy = iam.create_policy(PolicyName="everything", PolicyDocument=POLICY)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName="deployer", PolicyArn=policy)
    moto.check(CHECKS_ON)

    def who(config="", credentials="", **environment):
        (tmp_path / ".aws").mkdir(exist_ok=True)
        fill = {"@KEYS@": "aws_access_key_id = {AWS_ACCESS_KEY_ID}\naws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n"
                .format(**moto.keys), "@ROLE@": ROLE, "@HOME@": str(tmp_path)}
        for name, text in (("config", config), ("credentials", credentials)):
            for mark, value in fill.items():
                text = text.replace(mark, value)
            (tmp_path / ".aws" / name).write_text(text)
        variables = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path), **environment}
        answer = aws("identity", **variables)
        assert answer["error"] == [""], answer
        theirs = subprocess.run([sys.executable, "-c", "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"],
                                env={"AWS_ENDPOINT_URL": moto.url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
                                     "AWS_EC2_METADATA_DISABLED": "true", "PATH": os.environ["PATH"],
                                     **{name: value for name, value in variables.items() if value}},
                                stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.strip()
        return answer["arn"][0], theirs
    return who


STATIC = "[default]\n@KEYS@"
ASSUMED = "[profile ci]\nrole_arn = @ROLE@\nsource_profile = default\nrole_session_name = ci\n"


@pytest.mark.parametrize("config, credentials, profile, expected", [
    ("", STATIC, "", ":user/tester"),
    (STATIC, "", "", ":user/tester"),
    ("[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n", STATIC, "", ":user/tester"),
    (ASSUMED, STATIC, "ci", ":assumed-role/deployer/ci"),
    (ASSUMED + "[profile next]\nrole_arn = @ROLE@\nsource_profile = ci\nrole_session_name = next\n", STATIC, "next",
     ":assumed-role/deployer/next"),
    ("[default]\nrole_arn = @ROLE@\nsource_profile = default\nrole_session_name = own\n@KEYS@", "", "",
     ":assumed-role/deployer/own"),
    ("[default]\ncredential_process = cat '@HOME@/keys.json'\n", "", "", ":user/tester"),
], ids=["credentials", "config", "credentials-win", "role", "two-roles", "own-keys", "process"])
def test_profiles(home, moto, tmp_path, config, credentials, profile, expected):
    """The credentials are whose botocore takes them to be."""
    (tmp_path / "keys.json").write_text(json.dumps({"Version": 1, "AccessKeyId": moto.keys["AWS_ACCESS_KEY_ID"],
                                                    "SecretAccessKey": moto.keys["AWS_SECRET_ACCESS_KEY"]}))
    ours, theirs = home(config, credentials, **({"AWS_PROFILE": profile} if profile else {}))
    assert ours.endswith(expected)
    assert ours == theirs


def test_environment_comes_first(home, moto):
    config = "[profile env]\nrole_arn = @ROLE@\ncredential_source = Environment\nrole_session_name = env\n"
    ours, theirs = home(config, "", AWS_PROFILE="env", **moto.keys)
    assert ours.endswith(":user/tester")
    assert ours == theirs


def test_web_identity(home, moto, tmp_path):
    (tmp_path / "token").write_text("a.b.c\n")
    moto.check(CHECKS_OFF)  # it wants a signature of those who have nothing to sign with, too
    ours, theirs = home(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"), AWS_ROLE_ARN=ROLE, AWS_ROLE_SESSION_NAME="web")
    assert ours.endswith(":assumed-role/deployer/web")
    assert ours == theirs


def test_instance_metadata(aws, moto):
    """Credentials and region from the metadata service that moto plays, which knows one role."""
    moto.check(CHECKS_OFF)
    answer = aws("identity", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_REGION="", AWS_EC2_METADATA_DISABLED="",
                 AWS_EC2_METADATA_SERVICE_ENDPOINT=moto.url)
    assert answer["result"] == ["0"], answer


def test_queue(aws, moto):
    """Messages are received, given back, received again and removed."""
    sqs = moto.client("sqs")
    moto.check(CHECKS_OFF)
    url = sqs.create_queue(QueueName="prod")["QueueUrl"]
    for text in ("one", 'two "quoted" \u00fc\n'):
        sqs.send_message(QueueUrl=url, MessageBody=text)
    moto.check(CHECKS_ON)
    assert aws("queue-url", "prod")["url"] == [url]
    first = aws("receive", url, "0")
    assert sorted(first["body"]) == ["one", 'two "quoted" \u00fc']
    assert "body" not in aws("receive", url, "0")
    assert aws("give-back", url, *first["receipt"])["error"] == [""]
    again = aws("receive", url, "1")
    assert sorted(again["body"]) == sorted(first["body"])
    assert aws("remove", url, *again["receipt"])["error"] == [""]
    assert "body" not in aws("receive", url, "0")


def test_queue_that_is_not_there(aws, moto):
    answer = aws("queue-url", "none")
    assert answer["result"] == ["-2"]
    assert "SQS GetQueueUrl" in answer["error"][0]
    answer = aws("receive", f"{moto.url}/123456789012/none", "0")
    assert answer["result"] == ["-2"]
    assert "SQS ReceiveMessage" in answer["error"][0]
