#include "agent/cli/verbs.h"

const Command command_root = {
        .name = "muster",
        .summary = "deploy to autoscaled instances, pulled from S3",
        .verbs =
                (const Command *const[]){
                        &command_key,
                        &command_root_of_trust,
                        &command_publish,
                        &command_target,
                        &command_show,
                        &command_status,
                        &command_history,
                        &command_poll,
                        NULL,
                },
};
