PROGRAMS += musterd
musterd_MAIN := agent/musterd-main.c

LIB_SRC += \
        agent/agent.c \
        agent/agent_bus.c \
        agent/app.c \
        agent/app_audit.c \
        agent/app_clean.c \
        agent/app_history.c \
        agent/app_local.c \
        agent/app_open.c \
        agent/app_status.c \
        agent/boot_id.c \
        agent/bus.c \
        agent/config.c \
        agent/config_aws.c \
        agent/config_keys.c \
        agent/decision.c \
        agent/decision_json.c \
        agent/deployment.c \
        agent/deployment_id.c \
        agent/deployment_json.c \
        agent/engine.c \
        agent/environment.c \
        agent/hook_logs.c \
        agent/identity.c \
        agent/instance_pin.c \
        agent/instance_life.c \
        agent/installed.c \
        agent/installed_check.c \
        agent/launch.c \
        agent/launch_pace.c \
        agent/launch_state.c \
        agent/launch_storm.c \
        agent/lifecycle_hooks.c \
        agent/local.c \
        agent/local_pin.c \
        agent/machine.c \
        agent/placement.c \
        agent/queue.c \
        agent/queue_held.c \
        agent/queue_message.c \
        agent/queue_note.c \
        agent/queue_own.c \
        agent/queue_plan.c \
        agent/queue_route.c \
        agent/queue_seen.c \
        agent/receive.c \
        agent/recheck.c \
        agent/record.c \
        agent/record_history.c \
        agent/record_open.c \
        agent/record_rebuild.c \
        agent/recover.c \
        agent/registration_find.c \
        agent/release_checks.c \
        agent/replay.c \
        agent/report.c \
        agent/root_update.c \
        agent/state_lock.c \
        agent/step_admit.c \
        agent/step_commit.c \
        agent/step_fetch.c \
        agent/step_health.c \
        agent/step_hooks.c \
        agent/step_stored.c \
        agent/step_switch.c \
        agent/step_units.c \
        agent/step_verify.c \
        agent/target_group.c \
        agent/target_registration.c \
        agent/target_watch.c \
        agent/undelivered.c \
        agent/unpack_stop.c \
        agent/unpack_unit.c \
        agent/unpack_watch.c \
        agent/wakeup.c

MAN_PAGES += agent/musterd.8 agent/muster.conf.5

UNIT_TESTS += \
        test-boot_id \
        test-config \
        test-decision \
        test-deployment \
        test-deployment_id \
        test-environment \
        test-hook_logs \
        test-installed \
        test-instance_life \
        test-instance_pin \
        test-launch \
        test-launch_pace \
        test-launch_storm \
        test-lifecycle_hooks \
        test-local \
        test-local_pin \
        test-queue \
        test-queue_held \
        test-queue_message \
        test-queue_note \
        test-queue_own \
        test-queue_plan \
        test-queue_route \
        test-queue_seen \
        test-record \
        test-report \
        test-record_open \
        test-replay \
        test-target_group \
        test-target_registration \
        test-target_watch \
        test-target_watch-offers \
        test-unpack_watch

FUZZERS += fuzz-queue_message
