LIB_SRC += \
        agent/cli/bundle.c \
        agent/cli/bundle_files.c \
        agent/cli/bus_client.c \
        agent/cli/bundle_install.c \
        agent/cli/cli.c \
        agent/cli/command.c \
        agent/cli/complete.c \
        agent/cli/deploy_command.c \
        agent/cli/deploy_watch.c \
        agent/cli/depot_access.c \
        agent/cli/depot_batch.c \
        agent/cli/dispatch.c \
        agent/cli/doctor_aws.c \
        agent/cli/doctor_balancer.c \
        agent/cli/doctor_command.c \
        agent/cli/doctor_depot.c \
        agent/cli/doctor_environment.c \
        agent/cli/doctor_host.c \
        agent/cli/doctor_report.c \
        agent/cli/doctor_services.c \
        agent/cli/documents.c \
        agent/cli/failure_command.c \
        agent/cli/failure_list.c \
        agent/cli/fleet.c \
        agent/cli/fleet_command.c \
        agent/cli/fleet_read.c \
        agent/cli/fleet_view.c \
        agent/cli/freeze_command.c \
        agent/cli/freeze_edit.c \
        agent/cli/gc_command.c \
        agent/cli/gc_plan.c \
        agent/cli/gc_survey.c \
        agent/cli/gc_undo.c \
        agent/cli/help.c \
        agent/cli/instance_command.c \
        agent/cli/key_command.c \
        agent/cli/key_source.c \
        agent/cli/migrate_apply.c \
        agent/cli/migrate_command.c \
        agent/cli/migrate_facts.c \
        agent/cli/migrate_plan.c \
        agent/cli/migrate_view.c \
        agent/cli/new_file.c \
        agent/cli/option.c \
        agent/cli/output.c \
        agent/cli/pin_command.c \
        agent/cli/place_words.c \
        agent/cli/progress.c \
        agent/cli/publish_command.c \
        agent/cli/queue_command.c \
        agent/cli/queue_survey.c \
        agent/cli/register_access.c \
        agent/cli/release_source.c \
        agent/cli/replay_command.c \
        agent/cli/rollout_access.c \
        agent/cli/rollout_command.c \
        agent/cli/rollout_control.c \
        agent/cli/rollout_follow.c \
        agent/cli/rollout_page.c \
        agent/cli/rollout_picture.c \
        agent/cli/rollout_request.c \
        agent/cli/rollout_rows.c \
        agent/cli/rollout_sign.c \
        agent/cli/rollout_status.c \
        agent/cli/rollout_survey.c \
        agent/cli/rollout_why.c \
        agent/cli/root_command.c \
        agent/cli/root_file.c \
        agent/cli/root_make_command.c \
        agent/cli/root_show_command.c \
        agent/cli/root_sign_command.c \
        agent/cli/s3_archive.c \
        agent/cli/screen.c \
        agent/cli/show_command.c \
        agent/cli/simulate_command.c \
        agent/cli/table.c \
        agent/cli/target_change.c \
        agent/cli/target_command.c \
        agent/cli/target_edit.c \
        agent/cli/target_register.c \
        agent/cli/target_rollout.c \
        agent/cli/temporary.c \
        agent/cli/verbs.c \
        agent/cli/verify_command.c \
        agent/cli/verify_installed.c \
        agent/cli/view.c \
        agent/cli/why_command.c

PROGRAMS += muster
muster_MAIN := agent/muster-main.c

UNIT_TESTS += \
        test-bundle \
        test-bus_client \
        test-command \
        test-doctor_environment \
        test-doctor_report \
        test-failure_list \
        test-fleet \
        test-fleet_view \
        test-freeze_edit \
        test-gc_plan \
        test-key_source \
        test-migrate_plan \
        test-option \
        test-progress \
        test-rollout_page \
        test-rollout_request \
        test-rollout_why \
        test-s3_archive \
        test-screen \
        test-target_edit \
        test-verbs \
        test-view

TEST_SUPPORT_SRC += tests/unit/rollout_scene.c

TEST_PROGRAMS += mock-musterd
mock-musterd_MAIN := tests/lab/mock-musterd.c

MAN_PAGES += agent/cli/muster.1
