#pragma once

/* The health checks of an app: all of them side by side, until every one is healthy at the same time, or one is not by
 * its deadline.
 *
 * A check is healthy while its last `healthy` attempts succeeded; one failed attempt starts its count again, also while
 * the others are still waited for. Attempts of one check never overlap: the next begins `interval` after the last one
 * began, or at once if that took longer. */

#include <stdbool.h>

#include "agent/base/error.h"
#include "units/manager.h"

#define HEALTH_CHECKS_MAX 32U
#define HEALTH_INTERVAL_USEC (1 * UINT64_C(1000000))
#define HEALTH_TIMEOUT_USEC (2 * UINT64_C(1000000))
#define HEALTH_DEADLINE_USEC (60 * UINT64_C(1000000))
#define HEALTH_BODY_MAX (64U * 1024U) /* of an HTTP answer; what comes after is not read */

typedef enum HealthType {
        HEALTH_HTTP,    /* GET answers with a status, and perhaps a text in its body or a header */
        HEALTH_TCP,     /* a connection can be made */
        HEALTH_COMMAND, /* a program of the release exits with 0 */
        HEALTH_UNIT,    /* a unit is active, and was for a time without a restart */
} HealthType;

typedef struct HealthCheck {
        HealthType type;
        uint64_t interval_usec; /* each 0: the default above */
        uint64_t timeout_usec;  /* of one attempt */
        unsigned healthy;       /* consecutive successes that make it healthy; 0: 1 */
        uint64_t deadline_usec; /* from the start of the checks */

        const char *url;    /* http, https */
        unsigned status;    /* 0: 200 */
        const char *body;   /* NULL, or a text that the body contains: a version, say */
        const char *header; /* NULL, or "Name: value" that the answer has; the name without regard to case */

        const char *address; /* tcp: "127.0.0.1:6379", "[::1]:6379", "localhost:6379"; no other names */

        char *const *command; /* argv; a first item without leading "/" lies in the release's folder */
        const char *runas;    /* NULL: root */

        const char *unit;
        uint64_t active_usec; /* without a restart for so long */
} HealthCheck;

typedef struct HealthContext {
        const char *app;
        const char *deployment;
        const char *release_folder; /* the working directory of commands */
        char *const *environment;   /* of commands, as hooks have it */
        const char *run_folder;     /* NULL: HOOK_RUN_FOLDER */
} HealthContext;

typedef struct Health Health;

/* RESULT: 0 all healthy; HEALTH_UNHEALTHY: ERROR names each check that is not, with its last reason: "GET
 * http://127.0.0.1:8080/healthz: status 503, expected 200; 14 of 14 attempts failed". The release's fault, unless it was
 * only this host that kept the attempts from being made. */
#define HEALTH_UNHEALTHY 1
typedef void (*HealthDone)(Health *health, int result, const Error *error, void *userdata);

/* Everything is copied. No checks at all are healthy at once. */
int health_start(Manager *manager, const HealthContext *context, const HealthCheck *checks, size_t n_checks,
                 HealthDone done, void *userdata, Health **ret, Error *error);
Health *health_free(Health *health);
DEFINE_CLEANUP(Health *, health_free)

/* What each check did, for a record and for `muster status`. NAME belongs to the Health. */
typedef struct HealthReport {
        const char *name;   /* "GET http://127.0.0.1:8080/healthz" */
        const char *reason; /* of the last failed attempt, "" if none failed */
        unsigned attempts, failures;
        bool healthy;
} HealthReport;
size_t health_reports(const Health *health, HealthReport *reports, size_t n_reports);
