#!/usr/bin/env python3
"""make bench: what muster takes, beside what does the same without it, in the same run and in turns. For each line the median,
from the least to the most, and the goal. Nothing here decides whether a change is good: a machine that does other things
meanwhile makes every number worse, the ratios too. The whole is in build/bench.json.

    tests/bench/bench.py [--quick] [--rounds N] [--only receive|fetch|instance|deployment|install|queue|codedeploy] [--programs build/gcc]"""

import argparse
import json
import os
import sys
from pathlib import Path

import codedeploy
import deployment
import fetch
import install
import instance
import queue_bench
import receive
from report import Report

TOP = Path(__file__).resolve().parents[2]
ROUNDS, ROUNDS_QUICK = 9, 3


PARTS = {"receive": receive.run, "fetch": fetch.run, "instance": instance.run,
         "deployment": deployment.run, "install": install.run, "queue": queue_bench.run,
         "codedeploy": codedeploy.run}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_const", dest="rounds", const=ROUNDS_QUICK, help="three rounds of each")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--programs", type=Path, default=TOP / "build/gcc", metavar="FOLDER")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: run it as root, because it mounts file systems and boots an instance")
    report = Report(options.rounds)
    for name in [options.only] if options.only else PARTS:
        PARTS[name](report, options.programs.resolve(), options.rounds)
    report.end()
    (TOP / "build/bench.json").write_text(json.dumps(report.lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
