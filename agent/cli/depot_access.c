#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/depot_access.h"
#include "agent/config_aws.h"
#include "agent/config_check.h"
#include "agent/config_keys.h"

void depot_access_deinit(DepotAccess *access) {
        access->depot = depot_free(access->depot);
        access->aws = aws_context_free(access->aws);
        access->event = sd_event_unref(access->event);
}

static int open_depot(const char *uri, const Config *config, DepotAccess *access, Error *error) {
        DepotOptions options = {};
        int r;

        r = sd_event_new(&access->event);
        if (r < 0)
                return error_set_errno(error, r, "cannot make an event loop");
        r = config_aws_open(config, uri, access->event, &access->aws, error);
        if (r < 0)
                return r;
        options = (DepotOptions){ .event = access->event,
                                  .aws = access->aws,
                                  .list_max = DEPOT_ACCESS_LIST_MAX };
        return depot_open(uri, &options, &access->depot, error);
}

static int set_aws(Config *config, const char *assignment, Error *error) {
        const char *equals = strchrnul(assignment, '=');
        _cleanup_free_ char *name = strndup(assignment, (size_t) (equals - assignment));
        const ConfigKey *key;
        int r;

        if (!name)
                return error_oom(error);
        key = config_key_find("aws", name);
        if (!key || !*equals)
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "--aws is '%.64s', expected KEY=VALUE with a key of [aws], see muster.conf(5)",
                        assignment);
        r = config_key_set(key, config, equals + 1);
        if (r == -EINVAL)
                return error_set_fault(error, r, FAULT_INPUT, "--aws: bad value of %s: '%.64s', expected %s",
                                       name, equals + 1, key->expected);
        return r < 0 ? error_oom(error) : 0;
}

static int set_all_aws(Config *config, char *const *assignments, Error *error) {
        int r = 0;

        STRV_FOREACH(assignment, assignments)
                if (r >= 0)
                        r = set_aws(config, *assignment, error);
        if (r >= 0)
                r = config_check_aws(config, error);
        return r;
}

static int load_config(const DepotValues *values, Config **ret, Error *error) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = config_load(values->config, &config, error);
        if (r >= 0)
                r = set_all_aws(config, values->aws, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

int depot_access_aws(const DepotValues *values, sd_event **ret_event, AwsContext **ret, Error *error) {
        _cleanup_(config_freep) Config *config = NULL;
        sd_event *event = NULL;
        int r;

        r = load_config(values, &config, error);
        if (r < 0)
                return r;
        r = sd_event_new(&event);
        if (r < 0)
                return error_set_errno(error, r, "cannot make an event loop");
        r = config_aws_context(config, event, ret, error);
        if (r < 0)
                sd_event_unref(event);
        else
                *ret_event = event;
        return r;
}

int depot_access_open(const DepotValues *values, DepotAccess *ret, Error *error) {
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_(config_freep) Config *config = NULL;
        const char *uri;
        int r;

        r = load_config(values, &config, error);
        if (r < 0)
                return r;
        uri = values->uri ?: config->depot;
        if (!uri)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "no depot: give --depot URI, or set MUSTER_DEPOT, or depot in %s",
                                       values->config);
        r = open_depot(uri, config, &access, error);
        if (r < 0)
                return r;
        *ret = access;
        access = (DepotAccess){};
        return 0;
}

int depot_access_get(const DepotAccess *access, const char *key, size_t limit, DepotReply *ret,
                     Error *error) {
        DepotOp *op;
        int r;

        r = depot_get_start(access->depot, key, NULL, limit, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, ret, error);
}

int depot_access_list(const DepotAccess *access, const char *prefix, DepotReply *ret, Error *error) {
        DepotOp *op;
        int r;

        r = depot_list_start(access->depot, prefix, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, ret, error);
}

int depot_access_put(const DepotAccess *access, const char *key, const void *data, size_t size,
                     DepotCondition condition, const char *etag, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_put_start(access->depot, key, data, size, condition, etag, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &reply, error);
        return r < 0 ? r : reply.outcome == DEPOT_PRECONDITION_FAILED;
}

int trust_root_read(const char *path, TrustRoot **ret, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        int r;

        r = file_read_at(AT_FDCWD, path, TRUST_ROOT_SIZE_MAX, &content);
        if (r == -ENOENT)
                return error_set_fault(
                        error, r, FAULT_INPUT,
                        "there is no trust root %s; --root FILE or MUSTER_ROOT says where it is", path);
        if (r < 0)
                return error_set_errno(error, r, "cannot read the trust root %s", path);
        return trust_root_load(path, content.data, content.size, ret, error);
}
