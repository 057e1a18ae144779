#pragma once

/* Whether the releases that an app depends on are still what was published: the one that serves and the one before it, to
 * which the way back leads. They are read whole, in a child process of low priority, after a deployment, at the agent's
 * start and when somebody asks. What has drifted is told in the status, in the report and, once, in the journal; nothing
 * that serves is touched for it. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "agent/base/log.h"
#include "agent/installed.h"
#include "agent/record.h"

typedef struct AppAudit AppAudit;

/* Findings are there, or are gone. */
typedef void (*AppAuditDone)(AppAudit *audit, void *userdata);

typedef struct AppAuditContext {
        sd_event *event;
        const ReleaseStore *store;
        const Record *record;
        LogFields fields;
} AppAuditContext;

/* What CONTEXT points to must stay. -ENOMEM. */
int app_audit_new(const AppAuditContext *context, AppAuditDone done, void *userdata, AppAudit **ret);
AppAudit *app_audit_free(AppAudit *audit);
DEFINE_CLEANUP(AppAudit *, app_audit_free)

/* Looks, or, if it is about that, looks again from the beginning. THOROUGH: reads everything, also what nothing has been
 * done to since it was looked at (a disk may lose bits). */
void app_audit_start(AppAudit *audit, bool thorough);

/* Ends a look that runs: what was found before stays. */
void app_audit_stop(AppAudit *audit);

/* What is known of a release; NULL: nothing. */
const InstalledFinding *app_audit_find(const AppAudit *audit, const ReleaseRef *release);

/* Whether the way back is open: the release before the one that serves is in the store, its document can be read, its unit
 * files are there and nothing of it is missing or changed. The reason if not, else NULL. */
#define APP_AUDIT_REASON_MAX 1024U
bool app_audit_rollback_is_ready(const AppAudit *audit, const char **ret_reason);

/* "installed" and "rollback" of the status. -ENOMEM. */
int app_audit_to_json(const AppAudit *audit, json_t *status);
