# make bench            how fast it is, beside what does the same, and what it takes (root): see ARCHITECTURE.md;
#                       BENCH='--quick' for three rounds, '--only receive' for a part
.PHONY: bench
bench: must-be-root
	@tests/setup build package lab bench venv
	@$(MAKE) --no-print-directory all test-programs package $(OUT)/empty
	$(Q)build/venv/bin/python tests/bench/bench.py --programs $(OUT) $(BENCH)

TEST_PROGRAMS += receive-driver ready-driver
receive-driver_MAIN := tests/bench/receive-driver.c
ready-driver_MAIN := tests/bench/ready-driver.c

# With musterd's libraries, all of them, and nothing of its own.
$(OUT)/empty: tests/bench/empty.c $(OUT)/musterd
	$(SAY) LD $@
	$(Q)$(CC) $(CFLAGS) -o $@ $< -pie -Wl,-z,relro,-z,now -Wl,--no-as-needed \
		$$(objdump -p $(OUT)/musterd | sed -n 's/^ *NEEDED */-l:/p')
