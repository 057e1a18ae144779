# make lab              boots instances and tests muster's package on them (root); LAB='-k word' chooses
# make demo             the story of a launched instance, told by the lab with times
# make explore          a shell on an instance with a cloud around it
.PHONY: lab demo explore must-be-root
# More than there are cores: most of the time a test waits.
LAB_WORKERS ?= 3
lab: must-be-root test-programs package
	@tests/setup lab check venv
	$(Q)build/venv/bin/python -m pytest -q -n $(LAB_WORKERS) --dist loadfile tests/lab $(LAB)

demo: must-be-root
	@tests/setup build package lab venv
	@$(MAKE) --no-print-directory package
	$(Q)build/venv/bin/python tests/demo/demo.py

explore: must-be-root
	@tests/setup build package lab venv
	@$(MAKE) --no-print-directory package
	$(Q)build/venv/bin/python tests/lab/explore.py

# Said before anything is built.
must-be-root:
	@[ "$$(id -u)" -eq 0 ] || { echo 'this boots instances and makes network namespaces: run it as root' >&2; exit 69; }
	@unshare --mount --net true 2>/dev/null || { \
		echo 'this root may make no namespaces: a container that this runs in must be a privileged one' >&2; exit 69; }

TEST_PROGRAMS += units-driver
units-driver_MAIN := tests/lab/units-driver.c tests/lab/driver-hooks.c tests/lab/driver-units.c

# Preloaded, so no program.
test-programs: $(OUT)/clock-shim.so
$(OUT)/clock-shim.so: tests/lab/clock-shim.c
	@mkdir -p $(@D)
	$(SAY) LD $@
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -fPIC -shared -o $@ $<

TEST_PROGRAMS += bus-driver
bus-driver_MAIN := tests/lab/bus-driver.c
TEST_PROGRAMS += aws-driver
aws-driver_MAIN := tests/lab/aws-driver.c
TEST_PROGRAMS += depot-driver
depot-driver_MAIN := tests/lab/depot-driver.c
TEST_PROGRAMS += sandbox-driver sandbox-probe
sandbox-driver_MAIN := tests/lab/sandbox-driver.c
sandbox-probe_MAIN := tests/lab/sandbox-probe.c
