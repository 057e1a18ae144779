#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/register_access.h"
#include "artifacts/layout.h"

static void find_user(char *ret, size_t size) {
        const char *sudo = getenv("SUDO_USER");
        const struct passwd *entry = sudo && *sudo ? NULL : getpwuid(getuid());

        snprintf(ret, size, "%s", sudo && *sudo ? sudo : (entry ? entry->pw_name : "operator"));
}

int register_access_name(const char *given, char ret[static LAYOUT_INSTANCE_MAX + 1], Error *error) {
        char user[LAYOUT_INSTANCE_MAX / 2], host[LAYOUT_INSTANCE_MAX / 2] = "";
        const char *variable = getenv(OPERATOR_VARIABLE);

        given = given ?: (variable && *variable ? variable : NULL);
        if (given) {
                if (!layout_instance_is_valid(given))
                        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                               "the operator (--by, " OPERATOR_VARIABLE
                                               ") is \"%.64s\", expected "
                                               "letters, digits and \"._:@=,+-\", at most 128",
                                               given);
                snprintf(ret, LAYOUT_INSTANCE_MAX + 1, "%s", given);
                return 0;
        }
        find_user(user, sizeof(user));
        (void) gethostname(host, sizeof(host) - 1);
        snprintf(ret, LAYOUT_INSTANCE_MAX + 1, "%s@%s", user, host);
        if (!layout_instance_is_valid(ret))
                snprintf(ret, LAYOUT_INSTANCE_MAX + 1, "operator");
        return 0;
}

RegisterSite register_access_site(const DepotAccess *access, const RolloutPlan *plan, const char *writer) {
        return (RegisterSite){
                .depot = access->depot,
                .app = plan->target->app,
                .group = plan->target->group,
                .writer = writer,
                .plan = plan,
                .silence = REGISTER_ACCESS_SILENCE,
                .failures_max = REGISTER_ACCESS_FAILURES_MAX,
        };
}

typedef struct Outcome {
        bool is_there;
        int result;
        Error error;
} Outcome;

static void on_done(_unused_ RegisterOp *op, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        outcome->is_there = true;
        outcome->result = result;
        if (error)
                outcome->error = *error;
}

static int wait_for(const RegisterSite *site, RegisterOp *op, const Outcome *outcome, RegisterOp **ret,
                    Error *error) {
        _cleanup_(register_op_freep) RegisterOp *owned = op;

        while (!outcome->is_there) {
                int r = sd_event_run(depot_event(site->depot), UINT64_MAX);

                if (r < 0)
                        return error_set_errno(error, r, "cannot use the event loop");
        }
        if (outcome->result < 0) {
                if (error)
                        *error = outcome->error;
                return outcome->result;
        }
        if (ret)
                *ret = TAKE_PTR(owned);
        return outcome->result;
}

int register_access_read(const RegisterSite *site, RegisterOp **ret, Error *error) {
        Outcome outcome = {};
        RegisterOp *op;
        int r = register_read_start(site, NULL, on_done, &outcome, &op, error);

        return r < 0 ? r : wait_for(site, op, &outcome, ret, error);
}

int register_access_create(const RegisterSite *site, RegisterOp **ret, Error *error) {
        Outcome outcome = {};
        RegisterOp *op;
        int r = register_create_start(site, on_done, &outcome, &op, error);

        return r < 0 ? r : wait_for(site, op, &outcome, ret, error);
}

int register_access_change(const RegisterSite *site, const RegisterEvent *event, RegisterOp **ret,
                           Error *error) {
        Outcome outcome = {};
        RegisterOp *op;
        int r = register_change_start(site, event, on_done, &outcome, &op, error);

        return r < 0 ? r : wait_for(site, op, &outcome, ret, error);
}
