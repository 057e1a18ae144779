"""The fixtures of test_units.py and test_hooks.py: units-driver (units-driver.c) on one instance for all tests of a file."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DRIVER = "/usr/local/bin/units-driver"
LISTS = ("journal", "hook", "check", "outcome", "warning")


class Driver:
    """Calls the driver on an instance; what it prints becomes a dict, of lists where a name comes more than once."""

    def __init__(self, instance):
        self.instance = instance
        subprocess.run(["make", "--no-print-directory", "-s", "test-programs"], cwd=TOP, check=True)
        instance.put(DRIVER, TOP / os.environ.get("MUSTER_DRIVER", "build/gcc/units-driver"), mode=0o755)

    def __call__(self, *words, **options):
        return self.parse(self.instance.run(DRIVER, *words, **options).out)

    def start(self, *words):
        return self.instance.start(DRIVER, *words, stdout=subprocess.PIPE)

    def finish(self, process, timeout=20):
        return self.parse(process.communicate(timeout=timeout)[0])

    @staticmethod
    def parse(output):
        values = {}
        for line in output.splitlines():
            name, _, value = line.partition("=")
            if name in values:
                values[name] = [*values[name], value] if isinstance(values[name], list) else [values[name], value]
            else:
                values[name] = value
        return values

    def sh(self, script, **options):
        return self.instance.sh(script, **options)

    def show(self, unit, name):
        return self.instance.run("systemctl", "show", "--value", f"--property={name}", unit).text

    def running(self, pattern):
        """The processes whose command line matches."""
        return self.instance.run("pgrep", "-f", pattern, check=False).text.split()


@pytest.fixture(scope="module")
def driver(lab):
    instance = lab.instance()
    instance.boot()
    yield Driver(instance)
    lab.remove(instance)


@pytest.fixture(autouse=True)
def _on_failure(request, driver):
    request.node.instances = [driver.instance]


@pytest.fixture
def unit(request):
    """A unit name of the test's own."""
    return f"t-{request.node.name.removeprefix('test_').replace('[', '-').replace(']', '')}.service"
