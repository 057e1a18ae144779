#pragma once

/* As what an instance is registered in target groups: pairs of a target group and a port. The deploy record keeps what the
 * instance was deregistered as, so that it is registered the same way again. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

#define TARGET_REGISTRATIONS_MAX 256U

typedef struct TargetRegistration {
        char *arn;     /* of the target group */
        uint16_t port; /* 0: the target group's own */
} TargetRegistration;

typedef struct TargetRegistrations {
        TargetRegistration *items; /* sorted by target group and port, each once */
        size_t n;
} TargetRegistrations;

void target_registrations_deinit(TargetRegistrations *registrations);

/* What is in there already is not added again. -E2BIG, -ENOMEM. */
int target_registrations_add(TargetRegistrations *registrations, const char *arn, uint16_t port);

/* Adds all of FROM. */
int target_registrations_merge(TargetRegistrations *registrations, const TargetRegistrations *from);

/* How many from AT on belong to one target group; 0 at the end. */
size_t target_registrations_run(const TargetRegistrations *registrations, size_t at);

/* "public:8080, internal:9090", new memory. -ENOMEM. */
int target_registrations_to_text(const TargetRegistrations *registrations, char **ret);

/* -ENOMEM. */
int target_registrations_to_json(const TargetRegistrations *registrations, json_t **ret);

/* NULL and null are none. -EINVAL, -ENOMEM. */
int target_registrations_from_json(json_t *json, TargetRegistrations *ret);
