# make bench            fetch and unpack beside curl | bsdtar (root); BENCH='--rounds 3 --only b' chooses
.PHONY: bench
bench: all test-programs
	@tests/setup
	$(Q)tests/bench/bench.py $(BENCH)
	$(Q)tests/bench/fetch_limited.py --driver $(OUT)/depot-driver

TEST_PROGRAMS += receive-driver
receive-driver_MAIN := tests/bench/receive-driver.c
