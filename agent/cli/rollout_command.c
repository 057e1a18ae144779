#include "agent/cli/rollout_command.h"
#include "agent/cli/rollout_control.h"
#include "agent/cli/rollout_sign.h"
#include "agent/cli/rollout_status.h"

const Command command_rollout = {
        .name = "rollout",
        .summary = "move a group to a candidate, in stages",
        .description =
                "Start and finish sign a target and need the key of the role target. The others change the rollout's "
                "register, which the instances share and nobody signs: who may write to the depot can pause and abort, "
                "and run nothing that was not signed.",
        .verbs =
                (const Command *const[]){
                        &command_rollout_start,
                        &command_rollout_status,
                        &command_rollout_promote,
                        &command_rollout_pause,
                        &command_rollout_resume,
                        &command_rollout_abort,
                        &command_rollout_finish,
                        NULL,
                },
};
