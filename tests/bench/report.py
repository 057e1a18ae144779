"""What a benchmark found: lines for people, and the same as values."""

import os
from statistics import median


class Report:
    def __init__(self, rounds):
        self.lines = []
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.2f} before, {rounds} rounds")

    def part(self, text):
        print(f"\n{text}")

    def line(self, name, values, unit="s", beside=None, goal=None, factor=1):
        """values: of all rounds. beside: those of what it is compared with; goal: of the ratio, or without it of the value.
        factor: from the values to the unit."""
        values = [value * factor for value in values]
        found = {"name": name, "unit": unit, "median": median(values), "min": min(values), "max": max(values)}
        text = f"  {name:44} {found['median']:8.3f} {unit:3} ({found['min']:.3f} to {found['max']:.3f})"
        judged = found["median"]
        if beside:
            ratios = [value / (other * factor) for value, other in zip(values, beside)]
            judged = found["ratio"] = median(ratios)
            text += f"  ratio {judged:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        if goal is not None:
            found.update(goal=goal, met=judged <= goal)
            text += f"  goal {goal:g}: {'met' if found['met'] else 'missed'}"
        self.lines.append(found)
        print(text, flush=True)

    def missing(self, name, why):
        """A line that could not be measured."""
        self.lines.append({"name": name, "not_measured": why})
        print(f"  {name:44} not measured: {why}", flush=True)

    def end(self):
        goals = [line for line in self.lines if "goal" in line]
        print(f"\n{sum(line['met'] for line in goals)} of {len(goals)} goals met, load {os.getloadavg()[0]:.2f} after")
