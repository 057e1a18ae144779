PROGRAMS += musterd
musterd_MAIN := agent/musterd-main.c

LIB_SRC += \
        agent/adopt.c \
        agent/agent.c \
        agent/agent_bus.c \
        agent/agent_launch.c \
        agent/agent_life.c \
        agent/app.c \
        agent/app_audit.c \
        agent/app_clean.c \
        agent/app_failure.c \
        agent/app_health.c \
        agent/app_history.c \
        agent/app_life.c \
        agent/app_local.c \
        agent/app_open.c \
        agent/app_place.c \
        agent/app_rollout.c \
        agent/app_status.c \
        agent/app_traffic.c \
        agent/boot_id.c \
        agent/bus.c \
        agent/codedeploy_cleanup.c \
        agent/codedeploy_config.c \
        agent/codedeploy_paths.c \
        agent/codedeploy_state.c \
        agent/config.c \
        agent/config_aws.c \
        agent/config_check.c \
        agent/config_watch.c \
        agent/config_keys.c \
        agent/current_keep.c \
        agent/decision.c \
        agent/decision_json.c \
        agent/deployment.c \
        agent/deployment_id.c \
        agent/deployment_json.c \
        agent/engine.c \
        agent/engine_log.c \
        agent/engine_order.c \
        agent/environment.c \
        agent/failure.c \
        agent/failure_upload.c \
        agent/hook_completion.c \
        agent/files.c \
        agent/files_adopt.c \
        agent/files_apply.c \
        agent/files_attributes.c \
        agent/files_check.c \
        agent/files_copy.c \
        agent/files_folders.c \
        agent/files_journal.c \
        agent/files_list.c \
        agent/files_others.c \
        agent/files_place.c \
        agent/files_plan.c \
        agent/files_rights.c \
        agent/files_room.c \
        agent/files_same.c \
        agent/files_stage.c \
        agent/files_text.c \
        agent/health_verdict.c \
        agent/health_watch.c \
        agent/hook_logs.c \
        agent/identity.c \
        agent/identity_cache.c \
        agent/identity_check.c \
        agent/instance_pin.c \
        agent/instance_life.c \
        agent/installed.c \
        agent/installed_check.c \
        agent/launch.c \
        agent/launch_beat.c \
        agent/launch_find.c \
        agent/launch_pace.c \
        agent/launch_record.c \
        agent/launch_state.c \
        agent/launch_storm.c \
        agent/lifecycle_hooks.c \
        agent/lifecycle_settle.c \
        agent/leave.c \
        agent/life_metadata.c \
        agent/life_watch.c \
        agent/local.c \
        agent/local_pin.c \
        agent/machine.c \
        agent/notify.c \
        agent/notify_event.c \
        agent/placement.c \
        agent/queue.c \
        agent/queue_held.c \
        agent/queue_message.c \
        agent/queue_note.c \
        agent/queue_orphan.c \
        agent/queue_own.c \
        agent/queue_plan.c \
        agent/queue_route.c \
        agent/queue_seen.c \
        agent/receive.c \
        agent/recheck.c \
        agent/record.c \
        agent/record_copy.c \
        agent/record_history.c \
        agent/record_open.c \
        agent/record_rebuild.c \
        agent/recover.c \
        agent/redact.c \
        agent/registration_find.c \
        agent/rejoin.c \
        agent/release_checks.c \
        agent/public_view.c \
        agent/replay.c \
        agent/report.c \
        agent/root_update.c \
        agent/spare.c \
        agent/state_lock.c \
        agent/step_admit.c \
        agent/step_adopt.c \
        agent/step_commit.c \
        agent/step_fetch.c \
        agent/step_health.c \
        agent/step_hooks.c \
        agent/step_restore.c \
        agent/step_stop_units.c \
        agent/step_stored.c \
        agent/step_switch.c \
        agent/step_traffic.c \
        agent/step_units.c \
        agent/step_verify.c \
        agent/target_group.c \
        agent/target_registration.c \
        agent/target_watch.c \
        agent/undelivered.c \
        agent/unit_restart.c \
        agent/unpack_stop.c \
        agent/unpack_unit.c \
        agent/unpack_watch.c \
        agent/wakeup.c

TEST_SUPPORT_SRC += tests/unit/files_scene.c tests/unit/scaling-group.c tests/unit/stored-release.c
test-files_LDFLAGS := -Wl,--wrap=renameat,--wrap=renameat2,--wrap=linkat,--wrap=unlinkat,--wrap=mkdirat \
        -Wl,--wrap=symlinkat,--wrap=fchmod,--wrap=syncfs,--wrap=fsync
test-config_watch_LDFLAGS := -Wl,--wrap=inotify_init1
# Stand between the step and the disk, and take its end in place of the engine.
test-step_admit_LDFLAGS := -Wl,--wrap=store_admit,--wrap=engine_step_done

MAN_PAGES += agent/musterd.8 agent/muster.conf.5 agent/muster-codedeploy.7

UNIT_TESTS += \
        test-adopt \
        test-app_audit \
        test-app_clean \
        test-boot_id \
        test-codedeploy_cleanup \
        test-codedeploy_config \
        test-codedeploy_paths \
        test-codedeploy_state \
        test-config \
        test-config_watch \
        test-decision \
        test-deployment \
        test-decision-postures \
        test-deployment-kinds \
        test-deployment_id \
        test-engine \
        test-environment \
        test-failure \
        test-files_adopt \
        test-files \
        test-files_attributes \
        test-files_journal \
        test-files_place \
        test-failure_upload \
        test-health_verdict \
        test-hook_completion \
        test-hook_logs \
        test-identity_cache \
        test-installed \
        test-instance_life \
        test-instance_pin \
        test-launch \
        test-launch-update \
        test-launch_beat \
        test-launch_find \
        test-launch_pace \
        test-launch_storm \
        test-lifecycle_hooks \
        test-lifecycle_settle \
        test-leave \
        test-life_metadata \
        test-life_watch \
        test-local \
        test-local_pin \
        test-notify \
        test-notify_event \
        test-placement \
        test-public_view \
        test-queue \
        test-queue_held \
        test-queue_message \
        test-queue_note \
        test-queue_orphan \
        test-queue_own \
        test-queue_plan \
        test-queue_route \
        test-queue_seen \
        test-record \
        test-report \
        test-record_open \
        test-redact \
        test-rejoin \
        test-replay \
        test-spare \
        test-step_admit \
        test-target_group \
        test-target_registration \
        test-target_watch \
        test-target_watch-offers \
        test-unit_restart \
        test-unpack_watch \
        test-wakeup

FUZZERS += fuzz-codedeploy_state fuzz-files_journal fuzz-queue_message

# Rollouts.
LIB_SRC += \
        agent/alarms.c \
        agent/register.c \
        agent/register_step.c \
        agent/register_store.c \
        agent/register_view.c \
        agent/rollout_marks.c \
        agent/rollout_pace.c \
        agent/register_watch.c \
        agent/rollout_forecast.c \
        agent/rollout_health.c \
        agent/rollout_plan.c \
        agent/rollout_record.c \
        agent/rollout_role.c \
        agent/rollout_view.c \
        agent/rollout_watch.c
UNIT_TESTS += \
        test-alarms \
        test-register \
        test-register_alarms \
        test-register_play \
        test-register_step \
        test-register_store \
        test-register_view \
        test-register_watch \
        test-rollout_forecast \
        test-rollout_marks \
        test-rollout_pace \
        test-rollout_plan \
        test-rollout_record \
        test-rollout_role \
        test-rollout_watch
test-register_store_LDFLAGS := -Wl,--wrap=depot_put_start
TEST_SUPPORT_SRC += tests/unit/register_scene.c
FUZZERS += fuzz-register
