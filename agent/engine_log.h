#pragma once

/* What the journal is told of a deployment: that of the context's record, with its app, version, id, step and instance as
 * fields. */

#include "agent/engine.h"

/* TEXT: one sentence. MESSAGE_ID: of messages.h; PRIORITY: of log.h. */
void engine_log(const EngineContext *context, int priority, const char *message_id, const char *text);

/* That it begins, by its kind; and how it ended, after how long, and why. */
void engine_log_begin(const EngineContext *context);
void engine_log_outcome(const EngineContext *context);
