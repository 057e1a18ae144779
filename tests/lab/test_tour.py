"""The README's tour, command for command."""

import re

from rig.readme import follow, tour


def test_tour(lab, instance):
    lab.require_package()
    *_, first, broken = follow(instance, tour())
    assert "hello from version 1.0" in first
    assert re.search(r"hello\b.*\b1\.0", first)
    assert re.search(r"hello\b.*\b1\.0", broken)
    assert "2.0" in broken and "rolled-back" in broken
