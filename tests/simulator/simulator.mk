# build/gcc/rollout-simulator: rollouts of whole fleets, simulated, with the register, plan and pace that musterd has.
TEST_PROGRAMS += rollout-simulator
rollout-simulator_MAIN := tests/simulator/rollout-simulator.c
