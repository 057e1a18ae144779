"""The instances of the lab themselves: that they boot, end, keep and lose what a machine would."""

import time

import pytest
from rig import host
from rig.host import LabError, wait_for
from rig.instance import NOT_ON
from rig.network import BRIDGE


def test_boots_and_powers_off(instance):
    assert instance.system_state() == "running", instance.run("systemctl", "--failed").out
    assert instance.sh("hostname; cat /etc/machine-id").text.count("\n") == 1
    instance.power_off()
    assert not instance.running and instance.run("true", check=False).code == NOT_ON
    with pytest.raises(LabError, match="is not on"):
        instance.run("true")
    assert any("Shutting down" in m or "Power-Off" in m for m in instance.messages())


def test_run_reports_failure(instance):
    assert instance.run("false", check=False).code == 1
    with pytest.raises(LabError, match="no such-file"):
        instance.run("cat", "/no such-file")
    with pytest.raises(LabError, match="sleep 60: not done after 1 s"):
        instance.run("sleep", "60", timeout=1)


def test_two_instances_do_not_share_control_groups(new_instance):
    """Stopping a unit of one must not kill the same unit's processes on the other."""
    first, second = new_instance().boot(), new_instance().boot()
    for each in (first, second):
        each.run("systemd-run", "--unit=sleeper", "sleep", "1000")
    first.run("systemctl", "stop", "sleeper")
    assert second.run("systemctl", "is-active", "sleeper").text == "active"


def test_limits_of_services_bite(instance):
    """What the sandbox of muster-unpack and of hooks relies on."""
    memory = instance.run("systemd-run", "--wait", "--quiet", "--pipe", "-p", "MemoryMax=32M", "sh", "-c",
                          "head -c 200M /dev/zero | tail -c 150M | wc -c", check=False)
    assert memory.text.startswith("0")
    tasks = instance.run("systemd-run", "--wait", "--quiet", "--pipe", "-p", "TasksMax=5", "sh", "-c",
                         "for n in 1 2 3 4 5 6 7 8; do sleep 1 & done", check=False)
    assert tasks.code != 0 and "Cannot fork" in tasks.err
    end = instance.run("systemd-run", "--wait", "--quiet", "-p", "RuntimeMaxSec=1", "sleep", "10", check=False)
    assert end.code != 0


def test_files_and_user_data(new_instance):
    instance = new_instance()
    instance.put("/etc/before.conf", "before\n", mode=0o600)
    instance.user_data("#!/bin/sh\nsystemctl is-active multi-user.target >/etc/user-data-ran\n")
    instance.boot()
    instance.put("/run/after.conf", b"after\n")
    assert instance.get("/etc/before.conf") == b"before\n"
    assert instance.get("/run/after.conf") == b"after\n"
    assert instance.run("stat", "-c", "%a", "/etc/before.conf").text == "600"
    wait_for(lambda: instance.run("cat", "/etc/user-data-ran", check=False).text == "active", 10, "user data")
    assert instance.run("systemctl", "list-jobs").text == "No jobs running."


def test_state_survives_power_off(new_instance):
    instance = new_instance().boot()
    instance.put("/etc/kept", "kept")
    instance.reboot()
    assert instance.get("/etc/kept") == b"kept"


def test_power_cut_loses_what_was_not_synced(new_instance):
    instance = new_instance()
    instance.use_state_disk("64M")
    instance.boot()
    instance.sh("cd /var/lib/muster; echo synced >synced; sync -f synced; sync synced; echo lost >lost")
    instance.pull_plug()
    assert not instance.running
    instance.boot()
    assert instance.get("/var/lib/muster/synced") == b"synced\n"
    assert instance.sh("cat /var/lib/muster/lost 2>/dev/null || true").text == ""


def test_full_state_disk(new_instance):
    instance = new_instance()
    instance.use_state_disk("16M")
    instance.boot()
    result = instance.sh("head -c 100M /dev/zero >/var/lib/muster/big", check=False)
    assert "No space left" in result.err


def test_the_cloud_keeps_its_hardware_address(lab, new_instance):
    """A bridge has its lowest port's, unless it was given one: others would have to find the metadata service anew."""
    def address():
        return host.run("ip", "-n", lab.network.cloud, "-o", "link", "show", BRIDGE).stdout.partition("link/ether ")[2].split()[0]
    before, instance = address(), new_instance()
    port = f"i{instance.namespace.rsplit('-i', 1)[1]}"
    host.run("ip", "-n", lab.network.cloud, "link", "set", port, "address", "02:00:00:00:00:01")
    assert address() == before


def test_network_can_be_cut_and_joined(new_instance):
    instance = new_instance().boot()
    route = "ip -o route get 169.254.169.254"
    assert "host0" in instance.sh(route).text
    instance.cut()
    assert instance.sh(route, check=False).code != 0
    instance.join()
    assert "host0" in instance.sh(route).text
    instance.shape("20mbit")
    assert "tbf" in instance.sh("ip link show host0").text


def test_journal_is_structured(instance):
    instance.sh("logger -t hello 'a message'")
    entry = instance.wait_message("a message", timeout=5)
    assert entry["SYSLOG_IDENTIFIER"] == "hello"


def test_many_boot_fast(new_instance):
    began = time.monotonic()
    for _ in range(5):
        new_instance().boot(wait=False)
    instance = new_instance().boot()
    assert instance.running
    assert time.monotonic() - began < 30
