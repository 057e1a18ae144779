#include "agent/cli/verbs.h"
#include "agent/cli/deploy_command.h"
#include "agent/cli/doctor_command.h"
#include "agent/cli/fleet_command.h"
#include "agent/cli/freeze_command.h"
#include "agent/cli/gc_command.h"
#include "agent/cli/instance_command.h"
#include "agent/cli/key_command.h"
#include "agent/cli/migrate_command.h"
#include "agent/cli/pin_command.h"
#include "agent/cli/publish_command.h"
#include "agent/cli/queue_command.h"
#include "agent/cli/replay_command.h"
#include "agent/cli/rollout_command.h"
#include "agent/cli/root_command.h"
#include "agent/cli/show_command.h"
#include "agent/cli/simulate_command.h"
#include "agent/cli/target_command.h"
#include "agent/cli/verify_command.h"
#include "agent/cli/why_command.h"

const Command command_root = {
        .name = "muster",
        .summary = "deploy to autoscaled instances, pulled from S3",
        .description =
                "\"muster COMMAND --help\" explains a command, with examples. The way in: make keys, make a trust root "
                "of them, publish an app, set a target.",
        .verbs =
                (const Command *const[]){
                        &command_key,
                        &command_root_of_trust,
                        &command_publish,
                        &command_target,
                        &command_rollout,
                        &command_freeze,
                        &command_simulate,
                        &command_why,
                        &command_show,
                        &command_verify,
                        &command_queue,
                        &command_fleet,
                        &command_wait,
                        &command_gc,
                        &command_pin,
                        &command_unpin,
                        &command_rollback,
                        &command_status,
                        &command_history,
                        &command_replay,
                        &command_deploy,
                        &command_poll,
                        &command_doctor,
                        &command_migrate,
                        NULL,
                },
};
