"""Deployments that meet trouble: on the machine, in the release, and of the operator's making. What serves goes on
serving, and the reason is one sentence."""

import json

import pytest
from rig import goapp
from rig.host import wait_for
from rig.site import Site


@pytest.fixture
def serving(instance, tmp_path):
    """A site on which 1.0.0 serves."""
    return bring_up(Site(instance, tmp_path))


def bring_up(site):
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    return site


def edited(site, version, change):
    """Publishes a version whose folder was changed by change(folder), and makes it the target."""
    folder = goapp.build(site.folder, version)
    change(folder)
    site.publish_folder(folder, version)
    site.set_target(version)


def replace_hook(name, script):
    def change(folder):
        (folder / "hooks" / name).write_text(script)
        (folder / "hooks" / name).chmod(0o755)
    return change


def still_serves(site, version="1.0.0"):
    assert version in site.serves()
    assert site.current().startswith(f"releases/{version}-")


def test_document_is_lost(serving):
    """That of the release that serves: it is got again before anything is changed, and the way back is open."""
    serving.publish("2.0.0", appspec=goapp.impatient, FAIL_HEALTH="1")
    serving.instance.sh("rm /var/lib/muster/apps/api/releases/1.0.0-*.json")
    serving.set_target("2.0.0")
    app = serving.wait_app(state="held", version="1.0.0")
    assert (app["last_failure"]["version"], app["last_failure"]["step"]) == ("2.0.0", "HEALTH")
    assert serving.history()[0]["outcome"] == "rolled-back"
    still_serves(serving)
    assert serving.instance.sh("ls /var/lib/muster/apps/api/releases/1.0.0-*.json").text


def test_unit_of_another_app(serving):
    """Two apps that bring a unit of one name: the one that came first has it, and the other is told whose it is."""
    before = serving.instance.run("systemctl", "show", "-P", "InvocationID", "api.service").text
    serving.muster("publish", "/srv/api-1.0.0", "--app", "web", "--version", "1.0.0", "--key", "/srv/release.key")
    serving.muster("target", "set", "--app", "web", "--group", "site", "--version", "1.0.0", "--key", "/srv/target.key")
    serving.configure("[app web]\n")
    serving.instance.run("systemctl", "reload", "musterd")
    web = wait_for(lambda: next((app for app in serving.status()["apps"] if app["app"] == "web" and app["last_failure"]), None),
                   60, "web to be refused")
    assert web["state"] == "failed" and web["last_failure"]["fault"] == "release"
    assert "api.service" in web["last_failure"]["reason"] and "app api" in web["last_failure"]["reason"]
    assert serving.app()["state"] == "good"
    still_serves(serving)
    assert serving.instance.run("systemctl", "show", "-P", "InvocationID", "api.service").text == before


def test_hook_that_hangs(serving):
    """Its time-out ends every process that it started."""
    def change(folder):
        replace_hook("before-install", "#!/bin/sh\ntrap '' TERM\nsleep 4242 &\nsleep 4242\n")(folder)
        appspec = folder / "appspec.yml"
        appspec.write_text(appspec.read_text().replace("hooks/before-install\n      timeout: 30",
                                                       "hooks/before-install\n      timeout: 2"))
    edited(serving, "2.0.0", change)
    app = serving.wait_app(state="held", version="1.0.0")
    assert "timed out" in app["last_failure"]["reason"]
    still_serves(serving)
    assert serving.instance.run("pgrep", "-f", "sleep 4242", check=False).out == ""


def test_hook_that_leaves_a_daemon(serving):
    """It holds nothing up, lives on, and ends with the next ApplicationStop."""
    edited(serving, "2.0.0", replace_hook("after-install", "#!/bin/sh\nnohup sleep 4243 &\n"))
    serving.wait_app(state="good", version="2.0.0")
    assert serving.instance.run("pgrep", "-f", "sleep 4243").out
    serving.publish("3.0.0")
    serving.set_target("3.0.0")
    serving.wait_app(state="good", version="3.0.0")
    assert serving.instance.run("pgrep", "-f", "sleep 4243", check=False).out == ""


def test_unit_name_of_the_system(serving):
    def change(folder):
        appspec = folder / "appspec.yml"
        appspec.write_text(appspec.read_text().replace("name: api.service", "name: systemd-journald.service"))
    edited(serving, "2.0.0", change)
    app = serving.wait_app(state="held", version="1.0.0")
    assert "systemd-journald.service" in app["last_failure"]["reason"]
    still_serves(serving)


def test_reload_that_leaves_the_old_code(serving):
    """A reload that does nothing is a failed deployment."""
    def change(folder):
        unit = folder / "units/api.service"
        unit.write_text(unit.read_text().replace("ExecReload=/bin/kill -HUP $MAINPID", "ExecReload=/bin/true"))
    edited(serving, "2.0.0", change)
    app = serving.wait_app(state="held", version="1.0.0")
    assert app["last_failure"]["step"] == "UNITS"
    still_serves(serving)


def test_unit_that_the_new_release_does_not_have(serving):
    def add(folder):
        (folder / "units/extra.service").write_text("[Service]\nExecStart=/bin/sleep infinity\n")
        appspec = folder / "appspec.yml"
        appspec.write_text(appspec.read_text().replace(
            "health:", "  - name: extra.service\n    file: units/extra.service\nhealth:"))
    edited(serving, "2.0.0", add)
    serving.wait_app(state="good", version="2.0.0")
    assert serving.instance.run("systemctl", "is-active", "extra.service").text == "active"
    serving.publish("3.0.0")
    serving.set_target("3.0.0")
    serving.wait_app(state="good", version="3.0.0")
    assert serving.instance.run("systemctl", "is-active", "extra.service", check=False).text == "inactive"
    assert "extra" not in serving.instance.run("ls", "/etc/systemd/system").out


def test_disk_is_full(new_instance, tmp_path):
    """A fault of the host: told as such, tried again, and over once there is room."""
    instance = new_instance()
    instance.use_state_disk("48M")
    instance.boot()
    site = bring_up(Site(instance, tmp_path))
    instance.sh("dd if=/dev/zero of=/var/lib/muster/ballast bs=1M count=100 2>/dev/null || true")
    site.publish("2.0.0")
    site.set_target("2.0.0")
    app = wait_for(lambda: (site.app()["last_failure"] or {}).get("version") == "2.0.0" and site.app(), 60,
                   "the disk to be full")
    assert app["last_failure"]["fault"] == "host"
    still_serves(site)
    instance.run("rm", "/var/lib/muster/ballast")
    site.wait_app(state="good", version="2.0.0", timeout=90)


def test_bus_is_restarted(serving):
    """musterd, systemd's word on units and the command line come back by themselves."""
    serving.publish("2.0.0")
    serving.instance.run("systemctl", "restart", "dbus.service")
    serving.set_target("2.0.0")
    wait_for(lambda: "2.0.0" in serving.serves(), 60, "release 2.0.0")
    wait_for(lambda: serving.muster("status", check=False).code == 0, 30, "the bus")
    serving.wait_app(state="good", version="2.0.0")


def test_agent_is_killed_again_and_again(serving):
    """Whatever the moment: `current` is one whole release, and in the end the new one serves."""
    serving.publish("2.0.0")
    instance = serving.instance
    instance.sh("mkdir -p /run/systemd/system/musterd.service.d; printf '[Service]\\nRestartSec=100ms\\n' "
                ">/run/systemd/system/musterd.service.d/quick.conf; systemctl daemon-reload")
    for attempt in range(12):
        serving.set_target("2.0.0", "--env", f"ATTEMPT={attempt}")
        instance.sh("sleep 1.$(shuf -i 1-9 -n 1); kill -9 $(systemctl show -P MainPID musterd) 2>/dev/null || true")
        version = serving.current().split("/")[1].split("-")[0]
        assert version in ("1.0.0", "2.0.0")
        assert instance.sh(f"cmp /srv/api-{version}/bin/api /var/lib/muster/apps/api/current/bin/api").code == 0
    serving.wait_app(state="good", version="2.0.0", serial=13)
    assert "2.0.0" in serving.serves()
    wait_for(lambda: instance.run("ls", "/var/lib/muster/apps/api/staging").out == "", 30, "no staging to be left")


def test_agent_dies_while_it_unpacks(serving):
    """The unpacker dies with it; that unit does not stand among the failed ones for ever."""
    instance = serving.instance
    serving.publish("2.0.0")
    slow = "/run/systemd/system/muster-unpack-.service.d/slow.conf"
    instance.put(slow, "[Service]\nExecStartPre=/usr/bin/sleep 100\n")
    instance.run("systemctl", "daemon-reload")
    serving.set_target("2.0.0")
    units = "systemctl list-units --all --no-legend --plain 'muster-unpack-*'"
    wait_for(lambda: "start-pre" in instance.sh(units).out, 30, "the unpacker to run")
    instance.sh("kill -9 $(systemctl show -P MainPID musterd); systemctl stop musterd; "
                "systemctl kill --signal=KILL 'muster-unpack-*'")
    wait_for(lambda: "failed" in instance.sh(units).out, 30, "the unit to have failed")
    instance.sh(f"rm {slow}; systemctl daemon-reload")
    instance.run("systemctl", "start", "musterd")
    serving.wait_app(state="good", version="2.0.0")
    assert instance.sh(units).out == ""


def test_two_at_once(serving):
    """A deployment by hand while another runs is refused, and says which one runs."""
    serving.publish("2.0.0", appspec=lambda text: text.replace("healthy: 2", "healthy: 6"))
    serving.copy(goapp.build(serving.folder, "3.0.0"), "/srv/local")
    serving.set_target("2.0.0")
    wait_for(lambda: (serving.app()["deployment"] or {}).get("step") == "HEALTH", 30, "the health checks", 0.05)
    refused = serving.muster("deploy", "--local", "/srv/local", "--app", "api", "--version", "3.0.0", check=False)
    assert refused.code != 0
    assert "is running" in refused.err
    serving.wait_app(state="good", version="2.0.0")


def test_wrong_configuration_is_one_line(instance):
    instance.put("/etc/muster/muster.conf", "[agent]\ndepott = file:///srv/depot\n")
    line = "/etc/muster/muster.conf:2: unknown key 'depott'"
    instance.wait_message(line, unit="musterd.service")
    checked = instance.run("musterd", "--check-config", check=False)
    assert (checked.code, checked.err.strip()) == (3, f"musterd: {line}")
    assert line in json.loads(instance.run("muster", "status", "--json").out)["reason"]
    assert instance.run("systemctl", "is-active", "musterd").text == "active"


def test_unit_is_masked(serving):
    """An operator who does not want the app to be started now: nothing is changed, and once it is unmasked it goes on."""
    site = serving
    site.publish("2.0.0")
    site.instance.run("systemctl", "mask", "--runtime", "api.service")
    site.set_target("2.0.0")
    failure = wait_for(lambda: site.app()["last_failure"], 30, "the reason")
    assert (failure["step"], failure["fault"]) == ("VERIFY", "host")
    assert failure["reason"] == "api.service is masked on this instance (in /run/systemd/system): systemctl unmask it"
    assert "1.0.0" in site.serves()
    site.instance.run("systemctl", "unmask", "--runtime", "api.service")
    site.wait_app(state="good", version="2.0.0")


def test_unit_is_replaced_by_hand(serving):
    """What somebody has put in the place of the app's unit is not overwritten, nothing is changed, and it is no fault of the
    release; also where it comes in the middle: then the way back waits for it to go."""
    site, unit = serving, "/etc/systemd/system/api.service"
    meddle = f"sed -i '/Installed by muster/d' {unit}; systemctl daemon-reload"
    restore = f"rm -f {unit}; systemctl daemon-reload"
    site.publish("2.0.0")
    site.instance.sh(meddle)
    site.set_target("2.0.0")
    failure = wait_for(lambda: site.app()["last_failure"], 30, "the reason")
    assert (failure["step"], failure["fault"]) == ("VERIFY", "host")
    assert "somebody has replaced a unit of this app: api.service is there already, and was not installed by muster" \
        in failure["reason"]
    still_serves(site)
    site.instance.sh(restore)
    site.wait_app(state="good", version="2.0.0")

    edited(site, "3.0.0", replace_hook("before-install", f"#!/bin/sh\n{meddle}\n"))
    site.wait_app(state="rollback-failed")
    assert "2.0.0" in site.serves()
    site.instance.sh(restore)
    app = site.wait_app(state="held", version="2.0.0")
    assert app["last_failure"]["version"] == "3.0.0"
