# make lab              boots instances and tests muster's package on them (root); LAB='-k word' chooses
# make demo             the story of a launched instance, told by the lab with times
.PHONY: lab demo
lab: test-programs deb
	@tests/setup --venv
	$(Q)build/venv/bin/python -m pytest -q tests/lab $(LAB)

demo: deb
	@tests/setup --venv
	$(Q)build/venv/bin/python tests/demo/demo.py

TEST_PROGRAMS += units-driver
units-driver_MAIN := tests/lab/units-driver.c
