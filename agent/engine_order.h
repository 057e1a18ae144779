#pragma once

/* From what is ordered to the deployment that the record keeps: with an id that is later than the last one's, and what the
 * instance goes back to if it fails. */

#include "agent/engine.h"

/* *RET is to be freed with deployment_deinit(). -ENOMEM. */
int engine_order_deployment(const EngineContext *context, const EngineOrder *order, Deployment *ret);
