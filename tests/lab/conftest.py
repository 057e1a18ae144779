"""Fixtures of the lab tests; README.md beside this file shows them in use."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig.lab import Lab  # noqa: E402  (the path has to be there first)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds what the instances of a failed test have to say to its report."""
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for instance in getattr(item, "instances", []):
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
