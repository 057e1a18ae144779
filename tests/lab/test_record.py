"""The deploy record when it is not what this musterd wrote: damaged, a newer muster's, another machine's."""

import json

import pytest
from rig.host import wait_for
from rig.site import CONFIGURATION, Site

RECORD = "/var/lib/muster/apps/api/record.json"


@pytest.fixture
def serving(instance, tmp_path):
    """A site on which 1.0.0 serves."""
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.publish("2.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    return site


def invocation(site):
    return site.instance.run("systemctl", "show", "-P", "InvocationID", "api.service").text


DAMAGE = {"cut": f"truncate -s 100 {RECORD}", "empty": f"truncate -s 0 {RECORD}", "gone": f"rm {RECORD}",
          "folder": f"rm {RECORD} && mkdir {RECORD}"}


def test_damaged(serving):
    """One line, nothing is lost, what serves is not touched, and the next release comes as always."""
    before = invocation(serving)
    for damage, command in DAMAGE.items():
        serving.instance.sh(f"systemctl stop musterd; {command}; systemctl start musterd")
        app = serving.wait_app(state="good", version="1.0.0", serial=1)
        assert app["reason"] == "release 1.0.0 is what target 1 asks for", damage
    assert invocation(serving) == before
    told = [m for m in serving.instance.messages(unit="musterd.service") if "made anew from the history" in m]
    assert len(told) == len(DAMAGE)
    assert len(serving.history()) == 1

    serving.instance.run("muster", "pin", "--local", "api", "1.0.0", "--reason", "heap dump")
    serving.instance.sh(f"systemctl stop musterd; {DAMAGE['cut']}; systemctl start musterd")
    pinned = wait_for(lambda: (app := serving.app()) and app["local_pin"], 30, "the pin")
    assert (pinned["version"], pinned["reason"]) == ("1.0.0", "heap dump")
    serving.instance.run("muster", "unpin", "--local", "api")
    serving.set_target("2.0.0")
    serving.wait_app(state="good", version="2.0.0")
    assert serving.history()[0]["from_version"] == "1.0.0"


def test_damaged_in_the_middle(serving):
    """What has not passed its checks goes back, and is then tried as ever."""
    serving.publish("3.0.0", appspec=lambda text: text.replace("healthy: 2", "healthy: 8"))
    serving.set_target("3.0.0")
    wait_for(lambda: (serving.app()["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks", 0.05)
    serving.instance.sh(f"systemctl stop musterd; echo '{{' >{RECORD}; systemctl start musterd")
    serving.wait_app(state="good", version="3.0.0")
    newest, back = serving.history()[:2]
    assert (newest["version"], newest["from_version"]) == ("3.0.0", "1.0.0")
    assert (back["outcome"], back["reason"]) == ("rolled-back", "the deploy record could not be read")


def test_a_newer_muster_wrote_it(serving):
    """After a downgrade: what runs goes on, the record stays as it is, and the status says why nothing is done."""
    before = invocation(serving)
    serving.instance.sh(f"systemctl stop musterd; cp {RECORD} /root/record; "
                        f"sed -i 's/\"schema\": [0-9]*/\"schema\": 99/' {RECORD}")
    record = serving.instance.get(RECORD)
    serving.instance.run("systemctl", "start", "musterd")
    app = wait_for(lambda: (serving.app() or {}).get("reason") and serving.app(), 30, "a reason")
    assert app["reason"].startswith("a newer muster wrote the deploy record: it has schema 99")
    assert serving.status()["state"] == "waiting"
    serving.set_target("2.0.0")
    refused = serving.muster("history", "api", check=False)
    assert refused.code != 0 and "schema 99" in refused.err
    assert serving.instance.get(RECORD) == record
    assert invocation(serving) == before and "1.0.0" in serving.serves()
    serving.instance.sh(f"systemctl stop musterd; cp /root/record {RECORD}; systemctl start musterd")
    serving.wait_app(state="good", version="2.0.0")


def test_image_of_an_instance(serving):
    """Nothing starts from the old record; store and serial stay, so the release comes from the disk."""
    instance = serving.instance
    target = "/srv/depot/apps/api/groups/site/target.json"
    instance.sh(f"mv /srv/depot/apps/api/artifacts /srv; mv {target} /srv")
    instance.power_off()
    instance.put("/etc/muster/muster.conf", CONFIGURATION.format(instance="i-another"))
    instance.boot()
    app = wait_for(lambda: (serving.app() or {}).get("state") == "none" and serving.app(), 60, "an empty app")
    instance.wait_message("what that ran does not start here")
    assert (app["version"], app["serial"]) == (None, 1)
    assert serving.current() == ""
    assert serving.serves() == ""
    assert instance.run("systemctl", "is-active", "api.service", check=False).text != "active"
    assert instance.messages(unit="api.service", _BOOT_ID=boot_of(instance)) == []
    instance.run("mv", "/srv/target.json", target)
    serving.wait_app(state="good", version="1.0.0")
    assert json.loads(instance.get(RECORD))["instance"] == "i-another"


def boot_of(instance):
    """The journal's id of this boot."""
    return instance.journal()[-1]["_BOOT_ID"]
