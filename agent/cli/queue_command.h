#pragma once

/* muster queue: lists the queues that instances made for themselves, and removes those of instances that are gone. */

#include "agent/cli/command.h"

extern const Command command_queue;
