# make lab              boots instances and tests muster on them (root); LAB='-k word' chooses
.PHONY: lab
lab: test-programs
	@tests/setup --venv
	$(Q)build/venv/bin/python -m pytest -q tests/lab $(LAB)

TEST_PROGRAMS += units-driver
units-driver_MAIN := tests/lab/units-driver.c
