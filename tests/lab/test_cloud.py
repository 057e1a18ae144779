"""The cloud of the lab: endpoints, signatures, faults, metadata, Auto Scaling on the wire. boto3 is the second opinion."""

import hashlib
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ResponseStreamingError
from rig import faults, host
from rig.autoscaling import Group, Hook
from rig.cloud import ACCOUNT, REGION
from rig.imds import Metadata, MetadataService
from rig.names import dns_answer
from rig.sigv4 import Key
from rig.web import Server


@pytest.fixture
def s3(cloud):
    return cloud.client_of(cloud.operator, "s3")


def refused(status, code):
    def matches(error):
        answer = error.response
        return answer["Error"]["Code"] == code and answer["ResponseMetadata"]["HTTPStatusCode"] == status
    return pytest.raises(ClientError, check=matches)


def test_put_get_and_conditions(s3, bucket):
    body = b"x" * 3_000_000
    etag = s3.put_object(Bucket=bucket, Key="a b+ü/key", Body=body, IfNoneMatch="*")["ETag"]
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="a b+ü/key", Body=b"y", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="a b+ü/key", Body=b"y", IfMatch='"0"')
    with refused(304, "304"):
        s3.get_object(Bucket=bucket, Key="a b+ü/key", IfNoneMatch=etag)
    got = s3.get_object(Bucket=bucket, Key="a b+ü/key", Range="bytes=0-9", IfMatch=etag)
    assert got["Body"].read() == b"x" * 10 and got["ContentRange"] == "bytes 0-9/3000000"
    assert [c["Key"] for c in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b+ü/key"]
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="other")


def test_conditional_put_has_one_winner(cloud, bucket):
    won = []

    def race(number):
        try:
            cloud.client_of(cloud.operator, "s3").put_object(Bucket=bucket, Key="k", Body=str(number), IfNoneMatch="*")
            won.append(number)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and cloud.read(bucket, "k") == str(won[0]).encode()


def test_signatures_are_checked(cloud, bucket):
    wrong = Key(cloud.operator.access_key, "not the secret")
    with refused(403, "SignatureDoesNotMatch"):
        cloud.client_of(wrong, "s3").list_objects_v2(Bucket=bucket)
    with refused(403, "InvalidAccessKeyId"):
        cloud.client_of(Key("AKIANOBODY", "x"), "s3").list_objects_v2(Bucket=bucket)
    with refused(403, "InvalidClientTokenId"):
        cloud.client_of(Key("AKIANOBODY", "x"), "autoscaling").describe_auto_scaling_groups()
    assert "MissingAuthenticationToken" in cloud.get("http://10.0.0.2/some/key")[2].decode()


def test_session_tokens_are_checked_and_expire(cloud, bucket):
    given = cloud.role_credentials("i-1", lasts=100)
    key = Key(given["AccessKeyId"], given["SecretAccessKey"], given["Token"])
    cloud.client_of(key, "s3").list_objects_v2(Bucket=bucket)
    with refused(400, "InvalidToken"):
        cloud.client_of(Key(key.access_key, key.secret, "other"), "s3").list_objects_v2(Bucket=bucket)
    assert cloud.client_of(key, "sts").get_caller_identity()["UserId"].endswith(":i-1")
    cloud.proxy.keys[key.access_key].expires = cloud.proxy.now() - 1
    with refused(400, "ExpiredToken"):
        cloud.client_of(key, "s3").list_objects_v2(Bucket=bucket)


def test_clock_skew(cloud, s3, bucket):
    cloud.set_clock(3600)
    with refused(403, "RequestTimeTooSkewed"):
        s3.list_objects_v2(Bucket=bucket)
    fresh = cloud.client_of(cloud.operator, "autoscaling")
    with pytest.raises(ClientError, match="Signature expired"):
        fresh.describe_auto_scaling_groups()


def test_region_of_a_bucket(cloud, s3, bucket):
    """boto3 follows to the region that it is told, where our one endpoint then refuses the other region's scope."""
    cloud.proxy.bucket_regions[bucket] = "us-west-2"
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="k")
    assert [e.status for e in cloud.proxy.requests(service="s3")][0] == 301


def test_payload_digest_is_checked(cloud, bucket):
    """What moto does not do: the body must be the one whose digest was signed."""
    from rig import sigv4
    from rig.web import Request
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    import email.message
    import time
    signed = AWSRequest("PUT", f"http://10.0.0.2/{bucket}/k%20+", data=b"one", headers={"Host": "10.0.0.2"})
    S3SigV4Auth(Credentials(cloud.operator.access_key, cloud.operator.secret), "s3", REGION).add_auth(signed)
    headers = email.message.Message()
    for name, value in signed.headers.items():
        headers[name] = value
    request = Request("PUT", f"/{bucket}/k%20+", headers, b"one", "", False)
    assert sigv4.check(request, cloud.proxy.keys, time.time(), REGION).identity == "operator"
    request.body = b"two"
    with pytest.raises(sigv4.Refused, match="XAmzContentSHA256Mismatch"):
        sigv4.check(request, cloud.proxy.keys, time.time(), REGION)


@pytest.mark.parametrize("fault, status, code", [
    (faults.slow_down(), 503, "SlowDown"), (faults.internal_error(), 500, "InternalError"),
    (faults.conflict(), 409, "ConditionalRequestConflict"),
    (faults.access_denied(), 403, "AccessDenied"), (faults.expired_token(), 400, "ExpiredToken")])
def test_faults_that_refuse(cloud, s3, bucket, fault, status, code):
    with cloud.fault(fault, times=1, method="PUT", path="^/[^/]+/k$") as injected:
        with refused(status, code):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert injected.hits == 1
    assert [e.status for e in cloud.proxy.requests(method="PUT")] == [status, 200]


def test_faults_that_spoil(cloud, s3, bucket):
    body = bytes(range(256)) * 4
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    with cloud.fault(faults.truncated(100), method="GET"):
        with pytest.raises((ResponseStreamingError, HTTPClientError, Exception), match="IncompleteRead|bytes read"):
            s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    with cloud.fault(faults.corrupted(3), method="GET"):
        with pytest.raises(Exception, match="checksum"):
            assert hashlib.sha256(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == hashlib.sha256(body)
    with cloud.fault(faults.reset(), method="GET"):
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            s3.get_object(Bucket=bucket, Key="k")
    with cloud.fault(faults.lost_answer(), method="PUT"):
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            s3.put_object(Bucket=bucket, Key="acted", Body=b"x")
    assert cloud.objects(bucket) == ["acted", "k"]


def test_other_services(cloud):
    sqs, sns = cloud.client_of(cloud.operator, "sqs"), cloud.client_of(cloud.operator, "sns")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:q")
    sns.publish(TopicArn=topic, Message="hello")
    assert "hello" in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"][0]["Body"]
    with cloud.fault(faults.throttling(), service="sqs", action="ReceiveMessage"):
        with refused(400, "Throttling"):
            sqs.receive_message(QueueUrl=url)


def test_auto_scaling_on_the_wire(cloud, director):
    """The answers as botocore's service model reads them; no capacity, so nothing boots."""
    director.create_group("wire", hooks=[Hook("launch", heartbeat=60, metadata="m")], tags={"team": "a"})
    client = cloud.client_of(cloud.operator, "autoscaling")
    group = client.describe_auto_scaling_groups(AutoScalingGroupNames=["wire"])["AutoScalingGroups"][0]
    assert group["DesiredCapacity"] == 0 and group["Tags"][0]["Key"] == "team" and group["Instances"] == []
    hook = client.describe_lifecycle_hooks(AutoScalingGroupName="wire")["LifecycleHooks"][0]
    assert (hook["HeartbeatTimeout"], hook["GlobalTimeout"], hook["DefaultResult"]) == (60, 6000, "ABANDON")
    assert client.describe_auto_scaling_instances(InstanceIds=["i-unknown"])["AutoScalingInstances"] == []
    with refused(400, "ValidationError"):
        client.complete_lifecycle_action(AutoScalingGroupName="wire", LifecycleHookName="launch",
                                         LifecycleActionResult="CONTINUE", InstanceId="i-1")
    with refused(400, "ValidationError"):
        client.describe_auto_scaling_instances(InstanceIds=[f"i-{n}" for n in range(51)])
    with refused(400, "ValidationError"):
        client.put_lifecycle_hook(AutoScalingGroupName="wire", LifecycleHookName="short", HeartbeatTimeout=29,
                                  LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING")
    assert isinstance(director._machine.group("wire"), Group)


def test_metadata_wants_a_token(cloud, new_instance):
    instance = new_instance()
    known = cloud.attach(instance, tags={"aws:autoscaling:groupName": "prod"})
    instance.boot()

    def ask(*arguments):
        return instance.run("curl", "-s", "-m", "5", "-w", "%{http_code}", *arguments).out

    base = "http://169.254.169.254/latest"
    put = ["-X", "PUT", f"{base}/api/token", "-H"]
    ttl = "X-aws-ec2-metadata-token-ttl-seconds"
    assert ask(f"{base}/meta-data/instance-id") == "401"
    assert ask(*put, f"{ttl}: 0") == ask(*put, f"{ttl}: 21601") == ask(*put, f"{ttl}: x") == "400"
    assert ask(*put, f"{ttl}: 60", "-H", "X-Forwarded-For: 1.2.3.4") == "403"
    token = ask(*put, f"{ttl}: 2")[:-3]
    header = ["-H", f"X-aws-ec2-metadata-token: {token}"]
    assert ask(*header, f"{base}/meta-data/instance-id") == instance.id + "200"
    assert ask(*header, f"{base}/meta-data/placement/region") == REGION + "200"
    assert ask(*header, f"{base}/meta-data/tags/instance/aws:autoscaling:groupName") == "prod200"
    assert ask(*header, f"{base}/meta-data/iam/security-credentials/") == "muster-instance200"
    assert '"AccessKeyId"' in ask(*header, f"{base}/meta-data/iam/security-credentials/muster-instance")
    assert ask(*header, f"{base}/meta-data/spot/instance-action") == "404"
    known.spot_action = {"action": "terminate", "time": "2030-01-01T00:00:00Z"}
    assert '"terminate"' in ask(*header, f"{base}/meta-data/spot/instance-action")
    assert f'"accountId": "{ACCOUNT}"' in ask(*header, f"{base}/dynamic/instance-identity/document")
    host.wait_for(lambda: ask(*header, f"{base}/meta-data/instance-id") == "401", 5, "the token to end")


def test_metadata_in_an_ipv6_only_subnet(lab, built):
    """Nobody says so: where only IPv6 leads to the metadata, that is where they are asked for."""
    netns = f"{lab.network.cloud}-ipv6"
    host.run("ip", "netns", "add", netns)
    service = MetadataService()
    service.instances["fd00:ec2::254"] = Metadata("i-0123456789abcdef0", "", REGION, "", ACCOUNT)
    driver = Path(__file__).parents[2] / "build/gcc/aws-driver"
    try:
        for command in ("link set lo up", "address add fd00:ec2::254/128 dev lo nodad", "link add host0 type veth peer name host1",
                        "address add fd09::2/64 dev host0 nodad", "link set host0 up", "link set host1 up", "route add default via fd09::1"):
            host.run("ip", "-n", netns, *command.split())
        server = Server(netns, "fd00:ec2::254", 80, service.answer)
        answer = host.run("ip", "netns", "exec", netns, driver, "metadata", "meta-data/instance-id").stdout
        endpoints = host.run("ip", "netns", "exec", netns, driver, "endpoints", REGION).stdout
        server.close()
    finally:
        host.run("ip", "netns", "delete", netns)
    assert answer.splitlines() == ["value=i-0123456789abcdef0", "endpoint=http://[fd00:ec2::254]", "result=0", "error="]
    assert f"https://autoscaling.{REGION}.api.aws" in endpoints and f"https://bucket-1.s3.dualstack.{REGION}." in endpoints


def test_names_and_tls(cloud, new_instance, bucket):
    """An instance reaches S3 by its own name and trusts it, virtual-hosted buckets as well."""
    instance = new_instance()
    cloud.attach(instance)
    instance.boot()
    for name in (f"{bucket}.s3.{REGION}.amazonaws.com", f"s3.{REGION}.amazonaws.com",
                 f"autoscaling.{REGION}.amazonaws.com"):
        answer = instance.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"https://{name}/")
        assert answer.out == "403", answer
    assert instance.run("curl", "-s", "https://example.org/", check=False).code == 6  # no such name


def test_names_of_nobody_else():
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1"
    assert dns_answer(question, "10.0.0.2")[3] & 15 == 3
