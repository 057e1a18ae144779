#pragma once

/* musterd's whole: reads the configuration, finds out who it is, opens the depot, and runs an App for each app and one
 * Launch, with the bus and the service manager told how it stands. Whatever it lacks to begin (a configuration, a trust
 * root, the instance metadata) it waits for and says so. */

#include <systemd/sd-event.h>

#include "agent/base/error.h"

typedef struct Agent Agent;

/* Never fails for a bad configuration: the agent is then there, and waits for a better one. */
int agent_new(sd_event *event, const char *config_path, Agent **ret, Error *error);

/* Leaves apps, hooks and units running. Returns NULL. */
Agent *agent_free(Agent *agent);
DEFINE_CLEANUP(Agent *, agent_free)

/* Reads the configuration anew, at once or once the running deployments have ended. */
void agent_reload(Agent *agent);
