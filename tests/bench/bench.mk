# make bench            fetch and unpack beside curl | bsdtar, rollback from disk (root); BENCH='--rounds 3 --only b' chooses
.PHONY: bench bench-rollback
bench: all test-programs bench-rollback
	@tests/setup
	$(Q)tests/bench/bench.py $(BENCH)
	$(Q)tests/bench/fetch_limited.py --driver $(OUT)/depot-driver

bench-rollback: package
	@tests/setup --venv
	$(Q)build/venv/bin/python tests/bench/rollback.py

TEST_PROGRAMS += receive-driver
receive-driver_MAIN := tests/bench/receive-driver.c
