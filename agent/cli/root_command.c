#include "agent/cli/root_command.h"
#include "agent/cli/root_make_command.h"
#include "agent/cli/root_show_command.h"
#include "agent/cli/root_sign_command.h"

const Command command_root_of_trust = {
        .name = "root",
        .summary = "make and look at trust roots",
        .verbs =
                (const Command *const[]){
                        &command_root_init,
                        &command_root_rotate,
                        &command_root_sign,
                        &command_root_publish,
                        &command_root_show,
                        NULL,
                },
};
