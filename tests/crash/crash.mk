TEST_PROGRAMS += crash-tracer
crash-tracer_MAIN := tests/crash/crash-tracer.c
