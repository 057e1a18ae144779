#pragma once

/* What tells one machine from another without a network, at boot: an image that was made from a running instance carries
 * that instance's state. */

#include "agent/base/error.h"

typedef struct Machine {
        char *instance;    /* its instance id, where the firmware tells (EC2 on Nitro does); else NULL */
        char *fingerprint; /* the firmware's id of it, or else systemd's machine id; NULL: neither is there */
} Machine;

/* ROOT is "" but in tests. -ENOMEM. */
int machine_read(const char *root, Machine *ret);
void machine_deinit(Machine *machine);
