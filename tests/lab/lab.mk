# make lab              boots instances and tests muster on them (root); LAB='-k word' chooses
.PHONY: lab
lab:
	@tests/setup --venv
	$(Q)build/venv/bin/python -m pytest -q tests/lab $(LAB)
