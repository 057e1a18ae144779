#include <stdio.h>

#include "agent/base/cleanup.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/engine_log.h"
#include "agent/messages.h"

void engine_log(const EngineContext *context, int priority, const char *message_id, const char *text) {
        const Deployment *deployment = &context->record->deployment;
        const LogFields fields = {
                .app = context->app,
                .version = deployment->to.version,
                .deployment = deployment->id,
                .event = step_to_string(deployment->step),
                .instance = context->instance,
        };

        log_message(priority, message_id, &fields, "%s", text);
}

static const char *what_begins(DeploymentKind kind) {
        static const char *const texts[KIND_COUNT] = { [KIND_DEPLOY] = "deployment begins",
                                                       [KIND_PREFETCH] = "prefetch begins",
                                                       [KIND_DRAIN] = "drain begins",
                                                       [KIND_ADOPT] = "adoption begins" };

        return texts[kind];
}

void engine_log_begin(const EngineContext *context) {
        engine_log(context, LOG_INFO, MESSAGE_DEPLOYMENT_STARTED,
                   what_begins(context->record->deployment.kind));
}

static const char *outcome_message_id(Outcome outcome) {
        switch (outcome) {
        case OUTCOME_SUCCEEDED:
                return MESSAGE_DEPLOYMENT_SUCCEEDED;
        case OUTCOME_ROLLED_BACK:
                return MESSAGE_DEPLOYMENT_ROLLED_BACK;
        case OUTCOME_ROLLBACK_FAILED:
                return MESSAGE_ROLLBACK_FAILED;
        default:
                return MESSAGE_DEPLOYMENT_FAILED;
        }
}

static const char *what_was_done(const Deployment *deployment) {
        static const char *const texts[KIND_COUNT] = { [KIND_DEPLOY] = "is in service",
                                                       [KIND_PREFETCH] = "is in the store",
                                                       [KIND_DRAIN] = "is drained and stopped",
                                                       [KIND_ADOPT] = "is taken over as it runs" };

        return texts[deployment->kind];
}

void engine_log_outcome(const EngineContext *context) {
        const Deployment *deployment = &context->record->deployment;
        bool good = deployment->outcome == OUTCOME_SUCCEEDED;
        _cleanup_free_ char *text = NULL;
        char took[DURATION_TEXT_MAX];
        int n;

        format_duration((deployment->finished - deployment->started) / USEC_PER_MSEC * USEC_PER_MSEC, took);
        if (good)
                n = asprintf(&text, "release %s %s after %s", deployment->to.version,
                             what_was_done(deployment), took);
        else
                n = asprintf(&text, "release %s %s after %s, failed in %s: %s", deployment->to.version,
                             outcome_to_string(deployment->outcome), took,
                             step_to_string(deployment->failed_step),
                             deployment->reason ? deployment->reason : "unknown");
        if (n < 0)
                text = NULL;
        engine_log(context, good ? LOG_NOTICE : LOG_ERR, outcome_message_id(deployment->outcome),
                   text ? text : "ended");
}
