#pragma once

/* Private to the agent: what this instance is to its group, and what follows from that for apps, launch and leave. */

#include "agent/agent_parts.h"

int agent_start_life(Agent *agent, Error *error);

/* A message says that it has changed. */
void agent_look_at_life(Agent *agent);

/* An app that is new is told. */
void agent_tell_life(Agent *agent, App *app);

/* An app has changed: perhaps nothing runs any more. */
void agent_update_leave(Agent *agent);

/* It is about to go: nothing is begun on it, and what runs is stopped. */
bool agent_leaves(const Setup *setup);

/* For status and report; NULL in JSON where nobody watches. */
json_t *agent_life_status(const Setup *setup);
