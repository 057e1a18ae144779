"""The judge of `make demo`, judged: with a shell script in muster's place that behaves, and with ones that cheat."""

import io
import sys
import tarfile

import pytest
from rig import host
from rig.cloud import INSTANCE_ROLE, REGION
from rig.director import Template
from rig.host import LabError
from rig.lab import Lab

sys.path.append(str(host.TOOL.parent / "demo"))

from story import BAD, EVENTS, Story  # noqa: E402
from teller import Teller  # noqa: E402

_AGENT = """#!/bin/sh
# GROUP BUCKET CHEAT
set -u
imds=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 600' $imds/api/token)
get() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/$1"; }
id=$(get meta-data/instance-id)
group=$(get meta-data/tags/instance/aws:autoscaling:groupName)
get meta-data/iam/security-credentials/ROLE >/run/credentials.json
field() { sed -n 's/.*"'$1'": "\\([^"]*\\)".*/\\1/p' /run/credentials.json; }
call() {
        service=$1; shift
        curl -sf --aws-sigv4 "aws:amz:REGION:$service" --user "$(field AccessKeyId):$(field SecretAccessKey)" \\
                -H "X-Amz-Security-Token: $(field Token)" "$@"
}
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
fetch() { call s3 -H "x-amz-content-sha256: $empty" "https://s3.REGION.amazonaws.com/BUCKET/$1"; }
complete() {
        until call autoscaling https://autoscaling.REGION.amazonaws.com/ -d "Action=CompleteLifecycleAction&"\\
"Version=2011-01-01&AutoScalingGroupName=$group&InstanceId=$id&LifecycleHookName=muster&LifecycleActionResult=$1"
        do sleep 0.1; done
}
app=/var/lib/muster/apps/api
mkdir -p $app/releases /run/agent
release() { echo "$app/releases/$1-000000000000"; }
bring_up() {
        ln -sfn "releases/$1-000000000000" $app/new && mv -T $app/new $app/current
        cp $app/current/units/api.service /etc/systemd/system/ && systemctl daemon-reload
        if systemctl -q is-active api; then systemctl RELOAD api; else systemctl start api; fi
}
healthy() {
        good=0
        for attempt in 1 2 3 4 5 6 7 8 9 10 11 12; do
                curl -sfi http://127.0.0.1:8080/healthz >/run/answer && grep -q "X-Version: $1" /run/answer &&
                        good=$((good + 1))
                [ $good -lt 4 ] || return 0
                sleep 0.25
        done
        echo "/healthz of $1 did not become healthy" >/run/agent/failed-$1
        return 1
}
[ CHEAT != early ] || complete CONTINUE
have=
while sleep 0.2; do
        want=$(fetch targets/$group) || continue
        if [ "$want" = "$have" ] || [ -e /run/agent/failed-$want ]; then continue; fi
        mkdir -p "$(release $want)" && fetch releases/$want.tar.gz | tar -xz -C "$(release $want)" || continue
        [ "$have" ] || [ CHEAT = early ] || first=yes
        bring_up $want
        if healthy $want; then
                have=$want
                echo $want >/run/agent/good
                [ -z "${first:-}" ] || complete CONTINUE
        elif [ "$have" ] && [ CHEAT != keep ]; then
                bring_up $have
        elif [ -z "$have" ]; then
                systemctl stop api
                rm $app/current
                complete ABANDON
        fi
        first=
done
"""


class StandIn:
    """The same as muster.Muster, from shell."""

    def __init__(self, cheat="no", reload="reload"):
        self._cheat, self._reload = cheat, reload
        self._s3 = self._bucket = None

    def prepare(self, cloud):
        self._s3, self._bucket = cloud.client("s3"), cloud.bucket()

    def publish(self, folder, version):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            archive.add(folder, ".")
        self._s3.put_object(Bucket=self._bucket, Key=f"releases/{version}.tar.gz", Body=data.getvalue())

    def set_target(self, group, version):
        self._s3.put_object(Bucket=self._bucket, Key=f"targets/{group}", Body=version.encode())

    def template(self, group):
        script = _AGENT
        for name, value in (("ROLE", INSTANCE_ROLE), ("REGION", REGION), ("BUCKET", self._bucket),
                            ("CHEAT", self._cheat), ("RELOAD", self._reload)):
            script = script.replace(name, value)
        return Template(files={"/usr/local/bin/agent": script},
                        user_data="#!/bin/sh\nsystemd-run --unit=agent sh /usr/local/bin/agent\n")

    @staticmethod
    def is_good(instance, version):
        return instance.run("cat", "/run/agent/good", check=False).text == version

    @staticmethod
    def reason(instance, version):
        return instance.run("cat", f"/run/agent/failed-{version}", check=False).text or None


def play(agent):
    """Returns the story's result, what is missing in it and what it was told as."""
    told = io.StringIO()
    with Lab() as lab:
        story = Story(lab, agent, Teller(told), rollouts=False)
        try:
            story.tell()
            result = story.result()
        finally:
            story.close()
        return result, story.missing(result), told.getvalue()


def test_a_good_agent_passes():
    result, missing, told = play(StandIn())
    assert missing == [] and result["failed"] == 0 and result["requests"] > 500
    assert {e["event"] for e in result["timeline"]} == set(EVENTS)
    assert f"/healthz of {BAD} did not become healthy" in told and "\033[" not in told
    assert [e["seconds"] for e in result["timeline"]] == sorted(e["seconds"] for e in result["timeline"])


def test_service_before_health_is_noticed():
    with pytest.raises(LabError, match="was in_service before it was healthy|was healthy before it was deployed"):
        play(StandIn(cheat="early"))


def test_a_lost_request_is_noticed():
    """A restart in place of a graceful reload."""
    with pytest.raises(LabError, match="requests failed"):
        play(StandIn(reload="restart"))


def test_a_bad_release_left_in_place_is_noticed(monkeypatch):
    monkeypatch.setattr("story.PATIENCE", 10)
    with pytest.raises(LabError, match="to go back to"):
        play(StandIn(cheat="keep"))
