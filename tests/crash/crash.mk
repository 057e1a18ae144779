# make check-crash            interrupts deployments at every call that changes a disk, and pulls the power fifty times (root)
# make check-crash CRASH=…    a choice of the calls: --tenth, --only TEXT, or points as a failure names them
.PHONY: check-crash
check-crash: must-be-root test-programs package
	@tests/setup lab check venv
	$(Q)build/venv/bin/python tests/crash/run $(CRASH)
	$(if $(CRASH),,$(Q)build/venv/bin/python tests/crash/power)

TEST_PROGRAMS += crash-tracer
crash-tracer_MAIN := tests/crash/crash-tracer.c
