"""Fixtures of the lab tests; README.md beside this file shows them in use."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import desk as desks  # noqa: E402  (the path has to be there first)
from rig.balancer import Balancer  # noqa: E402
from rig.cloud import Cloud  # noqa: E402
from rig.director import Director  # noqa: E402
from rig.lab import Lab  # noqa: E402
from rig.rootfs import find_package, is_outdated  # noqa: E402


def pytest_sessionstart(session):
    """Builds the programs once, before pytest-xdist's workers start."""
    if not hasattr(session.config, "workerinput"):
        desks.build()


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the tests that make check has no time for, and only those")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; run by make check-long")


def pytest_collection_modifyitems(config, items):
    """One kind of test or the other."""
    wanted = [item for item in items if bool(item.get_closest_marker("long")) == config.getoption("--long")]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


def pytest_terminal_summary(terminalreporter):
    package = find_package()
    if package and is_outdated(package):
        terminalreporter.write_line(f"{package.name} on the instances is older than the sources: make package",
                                    yellow=True)


def _directed(item):
    director = getattr(item, "director", None)
    return [*director.instances.values(), *director.retired.values()] if director else []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds what the instances of a failed test have to say to its report."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for instance in [*getattr(item, "instances", []), *_directed(item)]:
            report.sections.append((f"instance {instance.id}", instance.report()))


@pytest.fixture(scope="session")
def lab():
    """The lab of this test session."""
    with Lab() as running:
        yield running


@pytest.fixture
def new_instance(lab, request):
    """Makes instances, not yet switched on; the end of the test removes them."""
    request.node.instances = made = []

    def make(instance_id=None):
        made.append(lab.instance(instance_id))
        return made[-1]

    yield make
    for instance in made:
        lab.remove(instance)


@pytest.fixture
def instance(new_instance):
    """One booted instance with muster's package, not configured, with no cloud around it."""
    return new_instance().boot()


@pytest.fixture(scope="session")
def session_cloud(lab):
    running = Cloud(lab)
    yield running
    running.close()


@pytest.fixture
def cloud(session_cloud):
    """S3 and the rest, with a clock that is right, an empty log and no faults."""
    session_cloud.reset()
    return session_cloud


@pytest.fixture
def bucket(cloud):
    """An empty bucket of this test's own."""
    return cloud.bucket()


@pytest.fixture
def balancer(lab, cloud):
    running = Balancer(lab)
    yield running
    running.close()


@pytest.fixture
def director(lab, cloud, request):
    """Auto Scaling, with a load balancer if the test asks for one as well."""
    balancer = request.getfixturevalue("balancer") if "balancer" in request.fixturenames else None
    request.node.director = running = Director(lab, cloud, balancer)
    yield running
    running.close()


@pytest.fixture(scope="session")
def built():
    desks.build()


@pytest.fixture
def desk(built, tmp_path):
    """The command, and a folder to work in."""
    return desks.Desk(tmp_path)


@pytest.fixture
def shop(desk):
    """A desk with keys, root, depot and an app, and version 1.0 published."""
    desk.trust()
    desk.app()
    desk.publish("1.0")
    return desk
