#pragma once

/* One attempt of one health check. Every type of check has a module of its own (probe_<type>.c), which this one calls
 * through its ProbeType. */

#include "agent/net/http.h"
#include "hooks/health.h"

typedef struct Probe Probe;

/* ERROR is NULL if the check succeeded; else it says what was found and what was expected. May free the probe. */
typedef void (*ProbeDone)(Probe *probe, const Error *error, void *userdata);

typedef struct ProbeContext {
        Manager *manager;
        HttpClient *http; /* NULL only if no check is http */
        const HealthContext *health;
        const char *environment_file; /* for commands */
} ProbeContext;

/* CONTEXT and CHECK stay where they are until the probe is freed. NUMBER counts the checks from 0. A failure to start
 * is a failed attempt, too; its sentence is in ERROR. */
int probe_start(const ProbeContext *context, const HealthCheck *check, unsigned number, ProbeDone done,
                void *userdata, Probe **ret, Error *error);

/* Makes it end soon if it has anything running outside of this process, and tells whether so: then it is still done as
 * usual. Else it can be freed at once. */
bool probe_abort(Probe *probe);

Probe *probe_free(Probe *probe);
DEFINE_CLEANUP(Probe *, probe_free)

/* What the check is called in messages: "GET http://…", "connect to …", "command …", "unit …". New memory. */
int probe_name(const HealthCheck *check, char **ret);

/* What each type of check does; only probe.c and the probe_<type>.c files use the rest. */
typedef struct ProbeType {
        int (*start)(Probe *probe, Error *error);
        bool (*abort)(void *attempt);
        void (*free)(void *attempt);
} ProbeType;

struct Probe {
        const ProbeType *type;
        const ProbeContext *context;
        const HealthCheck *check;
        unsigned number;
        uint64_t timeout_usec;
        void *attempt; /* the type's */
        ProbeDone done;
        void *userdata;
};

/* Ends the probe; the last thing that its type does. */
void probe_finish(Probe *probe, const Error *error);
