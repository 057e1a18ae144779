"""units/unit_job, unit_file, unit_enable and unit_removal on a booted systemd: what services do after a job, not what the
job says."""

import pytest
from rig.host import wait_for
from units import _on_failure, driver, unit  # noqa: F401  (fixtures)

RELEASES = "/var/lib/muster/apps/api/releases"


def install(driver, name, service, text="", kind="Service"):
    """A unit of the administrator's."""
    driver.instance.put(f"/etc/systemd/system/{name}", f"[Unit]\nStartLimitIntervalSec=0\n{text}\n[{kind}]\n{service}\n")
    driver.sh("systemctl daemon-reload")


def job(driver, verb, name, settle="500ms", **options):
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
    return driver("--settle", settle, *words, "job", verb, name)


@pytest.mark.parametrize("verb", ["start", "restart", "reload", "reload-or-restart", "try-restart"])
def test_good_service(driver, unit, verb):
    install(driver, unit, "ExecStart=/bin/sleep 1000\nExecReload=/bin/true")
    if verb == "try-restart":
        driver.sh(f"systemctl start {unit}")
    for _ in range(2):
        result = job(driver, verb, unit)
        assert (result["result"], result["verdict"], result["error"]) == ("0", "good", "")
        assert 0.4 < float(result["seconds"]) < 3
        assert driver.show(unit, "ActiveState") == "active"
    assert job(driver, "stop", unit)["verdict"] == "good"
    assert driver.show(unit, "ActiveState") == "inactive"
    assert job(driver, "stop", unit)["verdict"] == "good"
    assert job(driver, "try-restart", unit)["verdict"] == "good"
    assert driver.show(unit, "ActiveState") == "inactive"


def test_crash_after_a_second(driver, unit):
    install(driver, unit, "ExecStart=/bin/sh -c 'sleep 1; echo no such table; exit 7'")
    result = job(driver, "restart", unit, settle="3s")
    assert (result["verdict"], result["fault"]) == ("failed", "release")
    assert "after its restart: exit status 7" in result["error"]
    assert result["error"].endswith("its last words: no such table")
    assert any("no such table" in line for line in result["journal"])
    assert any("systemd: " in line and "exited" in line for line in result["journal"])
    assert float(result["seconds"]) < 2.5


def test_restart_loop(driver, unit):
    """Restart=always: between two crashes it looks fine."""
    install(driver, unit, "ExecStart=/bin/sh -c 'sleep 0.3; echo dying; exit 1'\nRestart=always\nRestartSec=100ms")
    result = job(driver, "start", unit, settle="3s")
    assert (result["verdict"], result["fault"]) == ("restarted", "release")
    assert "dying" in result["error"]
    driver.sh(f"systemctl stop {unit}")


def test_slow_loop_is_seen_by_its_count(driver, unit):
    """It restarts without a pause, so that no state in between need be seen."""
    install(driver, unit, "ExecStart=/bin/sh -c 'sleep 0.5; exit 1'\nRestart=always\nRestartSec=0")
    assert job(driver, "restart", unit, settle="2s")["verdict"] == "restarted"
    driver.sh(f"systemctl stop {unit}")


def test_loop_is_replaced_by_a_good_one(driver, unit):
    """A rollback: the unit loops and has hit its start limit, and must start all the same."""
    name = f"/etc/systemd/system/{unit}"
    install(driver, unit, "ExecStart=/bin/false\nRestart=always\nRestartSec=10ms")
    driver.sh(f"sed -i s/^StartLimit.*/StartLimitBurst=3/ {name}; systemctl daemon-reload; systemctl start {unit} || true")
    wait_for(lambda: driver.show(unit, "Result") == "start-limit-hit" or driver.show(unit, "ActiveState") == "failed", 10,
             "the start limit")
    driver.sh(f"sed -i 's|^ExecStart=.*|ExecStart=/bin/sleep 1000|' {name}; systemctl daemon-reload")
    assert job(driver, "restart", unit)["verdict"] == "good"


def test_start_of_one_that_waits_for_its_restart(driver, unit):
    install(driver, unit, "ExecStart=/bin/sh -c 'test -e /run/good && exec sleep 1000; exit 1'\nRestart=always\n"
                          "RestartSec=1000")
    driver.sh(f"rm -f /run/good; systemctl start {unit}; sleep 0.3; touch /run/good")
    assert driver.show(unit, "SubState") == "auto-restart"
    assert job(driver, "start", unit)["verdict"] == "good"
    driver.sh("rm /run/good")


def test_clean_end_is_not_good(driver, unit):
    install(driver, unit, "ExecStart=/bin/sh -c 'sleep 0.3'")
    result = job(driver, "start", unit)
    assert result["verdict"] == "wrong-state"
    assert "is inactive" in result["error"] and "exit status 0" in result["error"]


def test_main_process_gone_but_active(driver, unit):
    install(driver, unit, "ExecStart=/bin/sh -c 'sleep 1000 & sleep 0.3'\nRemainAfterExit=yes")
    assert job(driver, "start", unit)["verdict"] == "main-gone"
    driver.sh(f"systemctl stop {unit}")


def test_start_fails(driver, unit):
    install(driver, unit, "Type=oneshot\nExecStart=/bin/sh -c 'echo cannot; exit 4'")
    result = job(driver, "start", unit)
    assert result["verdict"] == "job-failed"
    assert result["error"] == f"{unit}: its start failed: exit status 4; its last words: cannot"


@pytest.mark.parametrize("remain", ["yes", "no"])
def test_oneshot(driver, unit, remain):
    install(driver, unit, f"Type=oneshot\nExecStart=/bin/true\nRemainAfterExit={remain}")
    assert job(driver, "start", unit)["verdict"] == "good"


def test_unmet_condition(driver, unit):
    install(driver, unit, "ExecStart=/bin/sleep 1000", "ConditionPathExists=/no/such/path")
    assert job(driver, "start", unit)["verdict"] == "wrong-state"


def test_dependency_fails(driver, unit):
    install(driver, f"needed-{unit}", "Type=oneshot\nExecStart=/bin/false")
    install(driver, unit, "ExecStart=/bin/sleep 1000", f"Requires=needed-{unit}\nAfter=needed-{unit}")
    result = job(driver, "start", unit)
    assert result["verdict"] == "job-failed"
    assert "requires" in result["error"]


def test_reload_that_hangs(driver, unit):
    install(driver, unit, "ExecStart=/bin/sleep 1000\nExecReload=/bin/sleep 500")
    driver.sh(f"systemctl start {unit}")
    result = job(driver, "reload", unit, deadline="1s")
    assert (result["verdict"], result["fault"]) == ("job-timeout", "release")
    assert result["error"] == f"{unit}: its reload did not end within 1s"
    wait_for(lambda: driver.show(unit, "SubState") == "running", 5, "the service to go on")
    assert not driver.running("sleep 500")
    assert driver.instance.run("systemctl", "list-jobs").text == "No jobs running."
    assert job(driver, "restart", unit)["verdict"] == "good"


def test_start_that_hangs(driver, unit):
    install(driver, unit, "Type=notify\nExecStart=/bin/sleep 1000")
    result = job(driver, "start", unit, deadline="1s")
    assert result["verdict"] == "job-timeout"
    driver.sh(f"systemctl stop {unit}")


def test_reload_that_the_service_tells_of(driver, unit):
    """ExecReload= ends at once, the service says RELOADING=1, and then READY=1, or never."""
    install(driver, unit, "Type=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'trap \"systemd-notify RELOADING=1; test -e /run/never "
                          "|| systemd-notify READY=1\" HUP; systemd-notify --ready; while :; do sleep 0.1; done'\n"
                          "ExecReload=kill -HUP $MAINPID")
    assert job(driver, "start", unit)["verdict"] == "good"
    assert job(driver, "reload", unit)["verdict"] == "good"
    driver.sh("touch /run/never")
    result = job(driver, "reload", unit, settle="10s", deadline="1s")
    assert (result["verdict"], result["fault"]) == ("job-timeout", "release")
    assert result["error"].startswith(f"{unit}: its reload did not end within 1s: it has said RELOADING=1, and not READY=1 since")
    assert job(driver, "restart", unit)["verdict"] == "good"
    driver.sh(f"rm /run/never; systemctl stop {unit}")


def test_reload_fails(driver, unit):
    install(driver, unit, "ExecStart=/bin/sleep 1000\nExecReload=/bin/false")
    driver.sh(f"systemctl start {unit}")
    pid = driver.show(unit, "MainPID")
    result = job(driver, "reload", unit)
    assert result["verdict"] == "job-failed"
    assert "its reload failed (exit-code), the old process goes on" in result["error"]
    assert driver.show(unit, "MainPID") == pid


def test_reload_kills_the_service(driver, unit):
    """The reload succeeds, the service does not survive it; with Restart= it is even up again."""
    install(driver, unit, "ExecStart=/bin/sleep 1000\nExecReload=/bin/sh -c 'kill -9 $MAINPID'\nRestart=always\n"
                          "RestartSec=50ms")
    driver.sh(f"systemctl start {unit}")
    assert job(driver, "reload", unit)["verdict"] in ("restarted", "job-failed")


def test_no_reload(driver, unit):
    install(driver, unit, "ExecStart=/bin/sleep 1000")
    driver.sh(f"systemctl start {unit}")
    pid = driver.show(unit, "MainPID")
    result = job(driver, "reload", unit)
    assert result["verdict"] == "cannot-reload"
    assert "no ExecReload=" in result["error"]
    assert job(driver, "reload-or-restart", unit)["verdict"] == "good"
    assert driver.show(unit, "MainPID") != pid


def test_units_that_cannot_be_used(driver, unit):
    assert job(driver, "start", unit)["verdict"] == "no-unit"
    assert job(driver, "stop", unit)["verdict"] == "good"
    driver.sh(f"ln -s /dev/null /etc/systemd/system/{unit}; systemctl daemon-reload")
    result = job(driver, "start", unit)
    assert (result["verdict"], result["fault"]) == ("no-unit", "host")
    driver.sh(f"rm /etc/systemd/system/{unit}")
    install(driver, unit, "Type=nonsense\nExecReload=x")
    result = job(driver, "start", unit)
    assert result["verdict"] == "no-unit"
    assert "cannot use its unit file" in result["error"]


def test_socket_and_its_service(driver, unit):
    name = unit.removesuffix(".service")
    install(driver, f"{name}.socket", f"ListenStream=/run/{name}.sock", kind="Socket")
    install(driver, unit, "ExecStart=/bin/sleep 1000")
    assert job(driver, "start", f"{name}.socket")["verdict"] == "good"
    assert job(driver, "restart", f"{name}.socket")["verdict"] == "good"
    assert job(driver, "start", unit)["verdict"] == "good"
    assert job(driver, "start", f"{name}.socket")["verdict"] == "good"
    result = job(driver, "restart", f"{name}.socket")
    assert (result["verdict"], result["fault"]) == ("job-failed", "release")
    assert "runs on because it does not require the socket" in result["error"]


def test_main_process_is_succeeded_in_a_reload(driver, unit):
    """A graceful reload that forks: the main process changes, the run of the unit does not."""
    install(driver, unit, "Type=notify\nNotifyAccess=all\n"
                          "ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 1000'\n"
                          "ExecReload=/bin/sh -c 'setsid sleep 1001 & systemd-notify MAINPID=$! RELOADING=1; "
                          "kill $MAINPID; systemd-notify --ready MAINPID=$!'")
    assert job(driver, "start", unit)["verdict"] == "good"
    pid = driver.show(unit, "MainPID")
    result = job(driver, "reload", unit)
    assert result["verdict"] == "good", result
    assert driver.show(unit, "MainPID") != pid


def test_old_code_after_a_reload(driver, unit):
    driver.sh(f"mkdir -p {RELEASES}/1 {RELEASES}/2; cp /bin/sleep {RELEASES}/1/; cp /bin/sleep {RELEASES}/2/;"
              f"ln -sfn 1 {RELEASES}/current")
    install(driver, unit, f"ExecStart={RELEASES}/current/sleep 1000\nExecReload=/bin/true")
    assert job(driver, "start", unit, runs_from=f"{RELEASES}/1")["verdict"] == "good"
    driver.sh(f"ln -sfn 2 {RELEASES}/current")
    result = job(driver, "reload", unit, runs_from=f"{RELEASES}/2")
    assert (result["verdict"], result["fault"]) == ("old-code", "release")
    assert f"still runs {RELEASES}/1/sleep" in result["error"]
    assert job(driver, "restart", unit, runs_from=f"{RELEASES}/2")["verdict"] == "good"


def test_code_is_found_through_another_name(driver, unit):
    """With a mount namespace of its own, the service's paths are not ours."""
    driver.sh(f"mkdir -p {RELEASES}/3/bin {RELEASES}/4/bin /srv/app; cp /bin/sleep {RELEASES}/3/bin; "
              f"cp /bin/sleep {RELEASES}/4/bin")
    install(driver, unit, f"ExecStart=/srv/app/bin/sleep 1000\nBindReadOnlyPaths={RELEASES}/3:/srv/app\nPrivateTmp=yes")
    assert job(driver, "start", unit, runs_from=f"{RELEASES}/3")["verdict"] == "good"
    assert job(driver, "restart", unit, runs_from=f"{RELEASES}/4")["verdict"] == "old-code"
    install(driver, unit, f"ExecStart=/bin/sleep 1000\nWorkingDirectory={RELEASES}/4/bin")
    assert job(driver, "restart", unit, runs_from=f"{RELEASES}/4")["verdict"] == "good"
    driver.sh(f"rm -rf {RELEASES}/4")
    pid = driver.show(unit, "MainPID")
    driver.sh(f"mkdir -p {RELEASES}/4/bin")
    assert driver("runs-from", pid, f"{RELEASES}/4")["runs"] == "0"


def test_bus_restarted_while_it_settles(driver, unit):
    install(driver, unit, "ExecStart=/bin/sleep 1000")
    process = driver.start("--settle", "3s", "job", "restart", unit)
    wait_for(lambda: driver.show(unit, "ActiveState") == "active", 5, "the unit to start")
    driver.sh("systemctl kill -s KILL dbus.service; sleep 0.5; systemctl start dbus.service")
    assert driver.finish(process)["verdict"] == "good"


# Unit files


def put_source(driver, text):
    driver.instance.put("/run/source", text)
    return "/run/source"


def test_install_enable_remove(driver, unit):
    source = put_source(driver, "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n")
    driver.instance.put("/run/app.env", 'COLOUR="dark blue"\n', mode=0o600)
    assert driver("install", "api", unit, source)["changed"] == "1"
    assert driver("install", "api", unit, source)["changed"] == "0"
    assert driver("environment", "api", unit, "/run/app.env")["changed"] == "1"
    assert driver("reload")["result"] == "0"
    assert job(driver, "start", unit)["verdict"] == "good"
    pid = driver.show(unit, "MainPID")
    assert "COLOUR=dark blue" in driver.sh(f"tr '\\0' '\\n' </proc/{pid}/environ").out
    assert driver.show(unit, "UnitFileState") == "disabled"
    assert driver("enable", unit)["result"] == "0"
    assert driver("enable", unit)["result"] == "0"
    assert driver.show(unit, "UnitFileState") == "enabled"
    assert driver.show(unit, "NeedDaemonReload") == "no"
    result = driver("remove", "web", unit)
    assert result["result"] == "-17" and "belongs to app api" in result["error"]
    assert driver.show(unit, "ActiveState") == "active"
    assert driver("remove", "api", unit)["result"] == "0"
    assert driver.show(unit, "LoadState") == "not-found"
    assert not driver.running("sleep 1000$") or driver.show(unit, "ActiveState") == "inactive"
    assert driver.sh(f"find /etc/systemd/system -name '*{unit}*'").text == ""
    assert driver("remove", "api", unit)["result"] == "0"


def test_remove_of_nothing_stops_nothing(driver):
    """To systemd, an empty list of patterns is every unit there is."""
    assert driver("remove", "api")["result"] == "0"
    assert driver.show("dbus.service", "ActiveState") == "active"
    assert driver.show("systemd-journald.service", "ActiveState") == "active"


def test_remove_template_with_its_instances(driver, unit):
    name = unit.removesuffix(".service")
    source = put_source(driver, "[Service]\nExecStart=/bin/sleep 1%i\n")
    assert driver("install", "api", f"{name}@.service", source)["result"] == "0"
    driver("reload")
    for instance in ("111", "222"):
        assert job(driver, "start", f"{name}@{instance}.service")["verdict"] == "good"
    assert driver("remove", "api", f"{name}@.service")["result"] == "0"
    assert not driver.running("sleep 1(111|222)$")


def test_remove_service_that_its_socket_would_start(driver, unit):
    """What waits in the socket is no reason for systemd to start the service once more while it is removed."""
    names = [f"{letter}-{unit.removesuffix('.service')}" for letter in "abcd"]  # in whatever order systemd lists them
    for name in names:
        for file, text in ((f"{name}.service", "[Service]\nExecStart=/bin/sleep 1003\n"),
                           (f"{name}.socket", f"[Socket]\nListenStream=/run/{name}.sock\n")):
            assert driver("install", "api", file, put_source(driver, text))["result"] == "0"
    driver("reload")
    for name in names:
        assert job(driver, "start", f"{name}.socket", settle="0s")["verdict"] == "good"
    clients = [driver.instance.start("curl", "-s", "--unix-socket", f"/run/{name}.sock", "http://localhost/") for name in names]
    wait_for(lambda: len(driver.running("sleep 1003$")) == len(names), 5, "the services to be started by their sockets")
    files = [f"{name}.{kind}" for name in names for kind in ("service", "socket")]
    assert driver("remove", "api", *files)["result"] == "0"
    for client in clients:
        client.wait(5)
    assert not driver.running("sleep 1003$")


@pytest.mark.parametrize("name", ["dbus.service", "cron.service", "systemd-journald.service", "multi-user.target",
                                  "admin.service", "getty@.service"])
def test_names_of_others_are_refused(driver, name):
    source = put_source(driver, "[Service]\nExecStart=/bin/sleep 1000\n")
    driver.sh("mkdir -p /usr/local/lib/systemd/system; touch /usr/local/lib/systemd/system/cron.service; "
              "test -e /etc/systemd/system/admin.service || echo '[Service]' >/etc/systemd/system/admin.service")
    result = driver("install", "api", name, source)
    assert result["result"] == "-17"
    assert name in result["error"]
    assert driver("remove", "api", name)["result"] in ("0", "-17")
    assert driver.show("dbus.service", "ActiveState") == "active"
    assert driver.sh("cat /etc/systemd/system/admin.service").text == "[Service]"
