#include <string.h>

#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/deployment_id.h"
#include "agent/engine_order.h"

static int new_id(const EngineContext *context, char **ret) {
        char id[DEPLOYMENT_ID_SIZE];

        deployment_id_make(clock_realtime(context->clock), context->record->deployment.id,
                           (uint16_t) random_u64(), id);
        return string_set(ret, id);
}

int engine_order_deployment(const EngineContext *context, const EngineOrder *order, Deployment *ret) {
        Deployment deployment = {
                .kind = order->kind,
                .step = deployment_first_step(order->kind, false),
                .serial = order->serial,
                .accepted = MAX(order->serial, context->record->serial),
                .local = order->release_json,
                .env_changed = order->env_changed,
                .started = clock_realtime(context->clock),
        };
        int r;

        memcpy(deployment.env_sha256, order->env_sha256, sizeof(deployment.env_sha256));
        r = new_id(context, &deployment.id);
        if (r >= 0)
                r = string_set(&deployment.rollout, order->rollout);
        if (r >= 0)
                r = string_set(&deployment.facts, order->facts);
        if (r >= 0)
                r = strv_extend(&deployment.environment, order->environment);
        if (r >= 0)
                r = release_ref_copy(&deployment.to, &order->release);
        if (r >= 0)
                r = release_ref_copy(&deployment.from,
                                     order->kind == KIND_DRAIN ? &order->release : &context->record->good);
        if (r < 0)
                deployment_deinit(&deployment);
        else
                *ret = deployment;
        return r;
}
