"""muster, the command, on a depot in S3."""

import hashlib
import os
import re
import shlex

import pytest
from rig import faults
from rig.desk import CONFLICT, DENIED, INPUT, NOT_FOUND, UNREACHABLE, Desk

PUBLISH = ("publish", "app", "--app", "api", "--version", "2.0", "--key", "release.key")


@pytest.fixture
def remote(built, cloud, bucket, tmp_path):
    """A desk whose depot is in an empty bucket, under a prefix that must be encoded."""
    desk = Desk(tmp_path, cloud)
    desk.trust()
    desk.app()
    desk.bucket = bucket
    desk.environment["MUSTER_DEPOT"] = f"s3://{bucket}/our apps+more/ä"
    return desk


def test_whole_way(remote, cloud):
    (remote.folder / "app/bin/blob").write_bytes(os.urandom(5_000_000))
    remote.ok("root", "publish", "root.json")
    told = remote.json(*PUBLISH)
    assert told["published"] and told["artifacts"][0]["uploaded"]
    key = f"our apps+more/ä/apps/api/artifacts/{told['artifacts'][0]['sha256']}.tar.zst"
    assert hashlib.sha256(cloud.read(remote.bucket, key)).hexdigest() == told["artifacts"][0]["sha256"]
    assert "already" in remote.publish("2.0")
    assert "serial 1" in remote.set("2.0")
    assert "good" in remote.ok("verify", "--app", "api", "--version", "2.0")
    assert len(cloud.objects(remote.bucket, "our apps+more/ä/")) == 4
    (remote.folder / "app/bin/api").write_text("another\n")
    remote.fails(CONFLICT, "published already, with another content", *PUBLISH)


def test_rollout(remote, cloud):
    """Start, a pause, two who abort, and what comes of a conflict and of an answer that is lost."""
    remote.ok("root", "publish", "root.json")
    remote.ok(*PUBLISH)
    remote.set("2.0")
    (remote.folder / "app/bin/api").write_text("another\n")
    remote.publish("2.1")
    with cloud.fault(faults.lost_answer(), times=1, service="s3", method="PUT"):
        remote.ok("rollout", "start", "api", "prod", "--version", "2.1", "--id", "r-1", "--key", "target.key")
    told = remote.json("rollout", "status", "api", "prod")
    assert (told["state"], told["rollout"], told["version"], told["instances"]) == ("active", "r-1", "2.1", [])
    assert "paused in stage 1 of 3: hm, by ann" in remote.ok("rollout", "pause", "api", "prod", "--reason", "hm", "--by", "ann")
    remote.ok("rollout", "resume", "api", "prod")
    remote.fails(CONFLICT, "is under way", "rollout", "start", "api", "prod", "--version", "2.1", "--key", "target.key")
    remote.ok("rollout", "abort", "api", "prod")
    remote.fails(CONFLICT, "it is aborted", "rollout", "resume", "api", "prod")
    with cloud.fault(faults.access_denied(), service="s3", method="PUT"):
        remote.fails(DENIED, "AccessDenied", "target", "set", "--app", "api", "--group", "prod", "--version", "2.1", "--key",
                     "target.key")


def on_terminal(desk, *words):
    """What a command shows on standard error, where that is a terminal of 72 columns."""
    command = f"stty cols 72; exec {shlex.join(desk.command(*words))} >/dev/null"
    done = desk.cloud.run("script", "-qec", command, "/dev/null", env={**desk.environment, "TERM": "xterm"}, cwd=desk.folder)
    return done.stdout


def test_progress_on_a_terminal(remote, cloud):
    (remote.folder / "app/bin/blob").write_bytes(os.urandom(5_000_000))
    remote.ok("root", "publish", "root.json")
    remote.ok(*PUBLISH)
    with cloud.fault(faults.slow(4_000_000), service="s3"):  # so it takes long enough for a bar to be drawn
        shown = on_terminal(remote, "verify", "--app", "api", "--version", "2.0")
    assert re.search(r"\nany  \[=*>? *\] +\d+%", shown)  # a carriage return, but text is read line by line
    assert all(len(line) < 72 for line in re.split(r"\n|\033\[K", shown))
    assert shown.endswith("\n\033[K")


def test_wrong_bucket(remote):
    remote.fails(NOT_FOUND, "s3://no-such-bucket-here/.*bucket", *PUBLISH, "--depot", "s3://no-such-bucket-here/x")
    remote.fails(INPUT, "bucket", *PUBLISH, "--depot", "s3://No_Such_Bucket/x")


def test_no_credentials(remote):
    remote.fails(DENIED, "credentials", *PUBLISH, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})


def test_bad_credentials(remote, cloud):
    line = remote.fails(DENIED, "SignatureDoesNotMatch|InvalidAccessKeyId|not allowed|denied", *PUBLISH,
                        env={"AWS_SECRET_ACCESS_KEY": "wrong-secret-wrong-secret"})
    assert "wrong-secret" not in line and cloud.operator.secret not in line
    with cloud.fault(faults.access_denied(), service="s3"):
        remote.fails(DENIED, "AccessDenied", *PUBLISH)


def test_unreachable(remote):
    remote.fails(UNREACHABLE, "does not resolve", *PUBLISH, env={"AWS_ENDPOINT_URL": "http://nowhere.example"})
    remote.fails(UNREACHABLE, "Connection refused", *PUBLISH, env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})


def test_slow_down_is_waited_for(remote, cloud):
    with cloud.fault(faults.slow_down(), times=2, service="s3", method="PUT"):
        remote.publish("2.0")
    assert "good" in remote.ok("verify", "--app", "api", "--version", "2.0")


def test_lost_answer(remote, cloud):
    """The release was written, but the answer did not come: it is ours all the same."""
    with cloud.fault(faults.conflict(), times=1, service="s3", method="PUT", path="/releases/"):
        remote.publish("2.0")
    with cloud.fault(faults.conflict(), times=1, service="s3", method="PUT", path="/groups/"):
        remote.set("2.0")


def test_missing_things(remote):
    remote.publish("2.0")
    remote.fails(NOT_FOUND, "api has no version 9.9 in s3://", "target", "set", "--app", "api", "--group", "prod",
                 "--version", "9.9", "--key", "target.key")
    remote.fails(NOT_FOUND, "api has no target for the group prod in s3://", "target", "show", "--app", "api", "--group",
                 "prod")


def test_two_who_set_a_target(remote):
    remote.publish("2.0")
    remote.set("2.0")
    remote.fails(CONFLICT, "has serial 1, not 0", "target", "set", "--app", "api", "--group", "prod", "--version", "2.0",
                 "--key", "target.key", "--expect-serial", "0", "--env", "A=1")


def test_bucket_with_demands(remote, cloud):
    """What the bucket's policy wants is said by option or by configuration; without it the line says what to look at."""
    remote.fails(INPUT, "twelve digits", *PUBLISH, "--aws", "s3_bucket_owner=me")
    remote.fails(INPUT, "--aws is \"?'?s3_ssee=x", *PUBLISH, "--aws", "s3_ssee=x")
    remote.fails(INPUT, "expected default, AES256, aws:kms", *PUBLISH, "--aws", "s3_sse=rot13")
    encrypted = faults.demands(x_amz_server_side_encryption="aws:kms", x_amz_expected_bucket_owner="123456789012",
                               x_amz_server_side_encryption_aws_kms_key_id="alias/deploys")
    with cloud.fault(encrypted, service="s3", method="PUT"), \
            cloud.fault(faults.demands(x_amz_expected_bucket_owner="123456789012"), service="s3"):
        remote.fails(DENIED, "not allowed", *PUBLISH)
        remote.fails(DENIED, "s3:PutObject, or what the bucket's policy demands", *PUBLISH, "--aws",
                     "s3_bucket_owner=123456789012")
        (remote.folder / "muster.conf").write_text("[aws]\ns3_sse = aws:kms\ns3_sse_kms_key_id = alias/deploys\n")
        remote.publish("2.0", "--aws", "s3_bucket_owner=123456789012")
    with cloud.fault(faults.demands(x_amz_request_payer="requester"), service="s3"):
        remote.set("2.0", "--aws", "s3_requester_pays=yes")
    with cloud.fault(faults.locked(), service="s3", method="GET"):
        remote.fails(DENIED, "needs kms:Decrypt for it", "verify", "--app", "api", "--version", "2.0")


def test_versioned_bucket(remote, cloud):
    """What was deleted is not there, however many versions of it are kept, and can be written again."""
    s3 = cloud.client("s3")
    s3.put_bucket_versioning(Bucket=remote.bucket, VersioningConfiguration={"Status": "Enabled"})
    remote.publish("2.0")
    remote.set("2.0")
    release = next(key for key in cloud.objects(remote.bucket) if key.endswith("/releases/2.0.json"))
    s3.delete_object(Bucket=remote.bucket, Key=release)
    remote.fails(NOT_FOUND, "api has no version 2.0", "verify", "--app", "api", "--version", "2.0")
    remote.publish("2.0")
    assert "serial 2" in remote.set("2.0", "--env", "A=1")


def test_directory_bucket(remote):
    remote.fails(INPUT, "fast--euc1-az1--x-s3' is a directory bucket", *PUBLISH, "--depot", "s3://fast--euc1-az1--x-s3/x")


def test_secrets_are_not_talked_of(remote, cloud):
    done = remote.run("-v", *PUBLISH)
    pem = "".join((remote.folder / "release.key").read_text().splitlines()[1:-1])
    assert done.returncode == 0
    for secret in (pem, cloud.operator.secret):
        assert secret not in done.stdout + done.stderr
