# Linked into every unit test.
TEST_SUPPORT_SRC += tests/unit/test.c

include tests/bench/bench.mk
include tests/lab/lab.mk
include tests/crash/crash.mk
include tests/simulator/simulator.mk
