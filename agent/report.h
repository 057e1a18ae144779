#pragma once

/* The instance report: what this instance runs of one app, and why, as one small object in the depot. It is written soon
 * after a change and again every report interval; a report that cannot be written is tried again, and hurts nobody. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "agent/base/error.h"
#include "artifacts/depot.h"

typedef struct Report Report;

/* KEY is copied, DEPOT must stay. */
int report_new(sd_event *event, Depot *depot, const char *key, uint64_t interval_usec, Report **ret,
               Error *error);
Report *report_free(Report *report);
DEFINE_CLEANUP(Report *, report_free)

/* CONTENT is a new reference, which the report takes. Changes within a moment are written once. */
void report_set(Report *report, json_t *content);

/* Why the depot does not have the latest content yet, or NULL; *RET_SINCE is when that became so, in microseconds since 1970.
 * The content is made of the deploy record, which is durable: after a restart it is made, and delivered, again. */
const char *report_undelivered(const Report *report, uint64_t *ret_since);
