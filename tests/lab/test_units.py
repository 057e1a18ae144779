"""units/ on a booted systemd, by way of units-driver.c."""

import time

import pytest
from rig.host import wait_for
from units import _on_failure, driver, unit  # noqa: F401  (fixtures)

@pytest.mark.parametrize("kind", ["oneshot", "exec"])
def test_success(driver, unit, kind):
    options = ["--exec"] if kind == "exec" else []
    result = driver(*options, "run", unit, "/bin/sh", "-c", "exit 0")
    assert (result["result"], result["outcome"], result["error"]) == ("0", "success", "")
    assert driver.show(unit, "ActiveState") == "active"
    assert driver("stop", unit)["result"] == "0"
    assert driver.show(unit, "LoadState") == "not-found"


@pytest.mark.parametrize("kind", ["oneshot", "exec"])
def test_exit_status(driver, unit, kind):
    options = ["--exec"] if kind == "exec" else []
    result = driver(*options, "run", unit, "/bin/sh", "-c", "exit 3")
    assert (result["result"], result["outcome"], result["status"]) == ("0", "exit", "3")
    assert result["error"] == "exit status 3"
    assert driver("stop", unit)["result"] == "0"
    assert driver.show(unit, "LoadState") == "not-found"


@pytest.mark.parametrize("kind", ["oneshot", "exec"])
def test_signal(driver, unit, kind):
    """Also one that systemd takes for a clean end of a daemon."""
    options = ["--exec"] if kind == "exec" else []
    for signal in (9, 15):
        result = driver(*options, "run", unit, "/bin/sh", "-c", f"kill -{signal} $$")
        assert (result["outcome"], result["status"]) == ("signal", str(signal))
        driver("stop", unit)


@pytest.mark.parametrize("kind", ["oneshot", "exec"])
def test_time_out_ends_everything(driver, unit, kind):
    """A child in a session of its own that ignores SIGTERM."""
    options = ["--exec"] if kind == "exec" else []
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & while :; do sleep 0.1; done"
    result = driver(*options, "--timeout", "1s", "--stop-timeout", "1s", "run", unit, "/bin/sh", "-c", script)
    assert result["outcome"] == "timeout"
    assert result["error"] == "timed out after 1s and was ended"
    assert 1.5 < float(result["seconds"]) < 6
    assert driver.instance.run("pgrep", "-f", "while :", check=False).text == ""
    driver("stop", unit)


@pytest.mark.parametrize("kind", ["oneshot", "exec"])
def test_program_that_is_not_there(driver, unit, kind):
    options = ["--exec"] if kind == "exec" else []
    result = driver(*options, "run", unit, "/no/such/program")
    assert (result["outcome"], result["fault"]) == ("could-not-start", "host")
    assert result["error"] == "systemd could not start it: exit status 203 (EXEC)"
    driver("stop", unit)


def test_user_that_is_not_there(driver, unit):
    result = driver("--user", "nosuchuser", "run", unit, "/bin/true")
    assert result["outcome"] == "could-not-start"
    assert "217 (USER)" in result["error"]
    driver("stop", unit)


def test_name_that_is_taken(driver, unit):
    driver("run", unit, "/bin/true")
    result = driver("run", unit, "/bin/true")
    assert result["outcome"] == "could-not-start"
    assert "already" in result["error"]
    driver("stop", unit)


def test_arguments_are_left_alone(driver, unit):
    result = driver("--output", "/run/arguments", "run", unit, "/usr/bin/printf", "%s\\n", "$HOME ${HOME} $$ %n %%",
                    "a b", "'\"\\x41")
    assert result["outcome"] == "success"
    assert driver.instance.get("/run/arguments") == b"$HOME ${HOME} $$ %n %%\na b\n'\"\\x41\n"
    driver("stop", unit)


def test_daemon_left_behind_holds_nothing_up(driver, unit):
    result = driver("run", unit, "/bin/sh", "-c", "sleep 1000 & exit 0")
    assert result["outcome"] == "success"
    assert float(result["seconds"]) < 2
    assert driver.instance.run("pgrep", "-x", "sleep").text
    assert driver("stop", unit)["result"] == "0"
    assert driver.instance.run("pgrep", "-x", "sleep", check=False).text == ""


def test_ten_megabytes_of_output(driver, unit):
    result = driver("--output", "/run/big", "run", unit, "/bin/sh", "-c", "head -c 10M /dev/zero; echo over >&2")
    assert result["outcome"] == "success"
    assert driver.instance.run("stat", "-c", "%s", "/run/big").text == str(10 * 1024 * 1024 + 5)
    driver("stop", unit)


def test_result_is_found_again(driver, unit):
    """As after a restart of musterd: before its end, and after it."""
    script = "sleep 1; exit 3"
    process = driver.start("run", unit, "/bin/sh", "-c", script)
    wait_for(lambda: driver.show(unit, "ActiveState") == "activating", 5, "the unit to start")
    process.kill()
    process.wait()
    for _ in range(2):
        result = driver("adopt", unit)
        assert (result["outcome"], result["status"]) == ("exit", "3")
    driver("stop", unit)
    assert driver("adopt", unit)["outcome"] == "vanished"


def test_unknown_unit_is_no_success(driver):
    result = driver("adopt", "t-never-there.service")
    assert result["outcome"] == "vanished"
    assert driver("stop", "t-never-there.service")["result"] == "0"


def test_kill(driver, unit):
    result = driver("run-and-kill", unit, "/bin/sh", "-c", "sleep 1000")
    assert (result["outcome"], result["status"]) == ("signal", "9")
    driver("stop", unit)


def test_stopped_by_somebody_else(driver, unit):
    process = driver.start("--exec", "run", unit, "/bin/sleep", "1000")
    wait_for(lambda: driver.show(unit, "ActiveState") == "active", 5, "the unit to start")
    driver.instance.run("systemctl", "stop", unit)
    result = driver.finish(process)
    assert result["outcome"] in ("stopped", "vanished")


def test_secrets_are_not_in_the_properties(driver, unit):
    driver.instance.put("/run/secret.env", 'TOKEN="a\\$b"\n', mode=0o600)
    result = driver("--environment-file", "/run/secret.env", "--output", "/run/out", "run", unit, "/bin/sh", "-c",
                    'echo "$TOKEN"')
    assert result["outcome"] == "success"
    assert driver.instance.get("/run/out") == b"a$b\n"
    assert "a$b" not in driver.instance.run("systemctl", "show", unit).out
    driver("stop", unit)


@pytest.mark.parametrize("what", ["dbus-restart", "daemon-reexec", "daemon-reload"])
def test_the_bus_goes_away_meanwhile(driver, unit, what):
    process = driver.start("run", unit, "/bin/sh", "-c", "sleep 3; exit 5")
    wait_for(lambda: driver.show(unit, "ActiveState") == "activating", 5, "the unit to start")
    if what == "dbus-restart":
        driver.sh("systemctl kill -s KILL dbus.service; sleep 0.5; systemctl start dbus.service")
    else:
        driver.instance.run("systemctl", what)
    result = driver.finish(process)
    assert (result["outcome"], result["status"]) == ("exit", "5")
    assert float(result["seconds"]) < 6
    driver("stop", unit)


def test_no_bus_at_all(driver, unit):
    """Started while the bus is away, and done once it is back."""
    driver.sh("systemctl stop dbus.socket dbus.service")
    process = driver.start("run", unit, "/bin/sh", "-c", "exit 4")
    time.sleep(1.5)
    driver.sh("systemctl start dbus.socket dbus.service")
    result = driver.finish(process)
    assert (result["outcome"], result["status"]) == ("exit", "4")
    driver("stop", unit)
