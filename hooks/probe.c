#include "hooks/probe.h"
#include "hooks/probe_command.h"
#include "hooks/probe_http.h"
#include "hooks/probe_tcp.h"
#include "hooks/probe_unit.h"

static const ProbeType *const types[] = {
        [HEALTH_HTTP] = &probe_http,
        [HEALTH_TCP] = &probe_tcp,
        [HEALTH_COMMAND] = &probe_command,
        [HEALTH_UNIT] = &probe_unit,
};

int probe_name(const HealthCheck *check, char **ret) {
        int n = -1;

        switch (check->type) {
        case HEALTH_HTTP:
                n = asprintf(ret, "GET %s", check->url);
                break;
        case HEALTH_TCP:
                n = asprintf(ret, "connect to %s", check->address);
                break;
        case HEALTH_COMMAND:
                n = asprintf(ret, "command %s", check->command[0]);
                break;
        case HEALTH_UNIT:
                n = asprintf(ret, "unit %s", check->unit);
                break;
        }
        return n < 0 ? -ENOMEM : 0;
}

int probe_start(const ProbeContext *context, const HealthCheck *check, unsigned number, ProbeDone done,
                void *userdata, Probe **ret, Error *error) {
        _cleanup_(probe_freep) Probe *probe = NULL;
        int r;

        probe = calloc(1, sizeof(*probe));
        if (!probe)
                return error_oom(error);
        *probe = (Probe){
                .type = types[check->type],
                .context = context,
                .check = check,
                .number = number,
                .timeout_usec = check->timeout_usec ? check->timeout_usec : HEALTH_TIMEOUT_USEC,
                .done = done,
                .userdata = userdata,
        };
        r = probe->type->start(probe, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(probe);
        return 0;
}

bool probe_abort(Probe *probe) {
        return probe->type->abort && probe->type->abort(probe->attempt);
}

void probe_finish(Probe *probe, const Error *error) {
        probe->done(probe, error, probe->userdata);
}

Probe *probe_free(Probe *probe) {
        if (!probe)
                return NULL;
        if (probe->attempt)
                probe->type->free(probe->attempt);
        free(probe);
        return NULL;
}
