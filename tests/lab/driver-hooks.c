/* The verbs of units-driver for what lies in hooks/. */

#include <string.h>

#include "agent/base/strv.h"
#include "hooks/hook_leftovers.h"
#include "hooks/hook_list.h"
#include "tests/lab/units-driver.h"

#define HOOKS_MAX 16

static int record(_unused_ HookList *list, const Hook *hook, unsigned index, int result,
                  _unused_ const Error *error, _unused_ void *userdata) {
        const char *warning = hook_warning(hook);

        printf("hook=%u %d %s\n", index, result, hook_unit(hook));
        printf("outcome=%s\n", transient_outcome_to_string(hook_result(hook)->outcome));
        printf("tail=%zu\n", strlen(hook_output_tail(hook)));
        printf("warning=%s\n", warning ? warning : "");
        return 0;
}

static void on_hooks(_unused_ HookList *list, int result, unsigned index, const Error *error,
                     void *userdata) {
        printf("index=%u\n", index);
        driver_finish(userdata, result, error);
}

/* LOCATION... */
static int hooks(Driver *driver, char **arguments) {
        char *const environment[] = { (char *) "APPLICATION_NAME=api", (char *) "SECRET=s3\"cr$et", NULL };
        _cleanup_(hook_list_freep) HookList *list = NULL;
        HookScript scripts[HOOKS_MAX] = {};
        Error error = {};
        unsigned n = 0;
        int r;

        for (; arguments[n] && n < HOOKS_MAX; n++) {
                scripts[n] = driver->script;
                scripts[n].location = arguments[n];
        }
        driver->hook.environment = environment;
        r = hook_list_start(driver->manager, &driver->hook, scripts, n, 0, record, on_hooks, driver, &list,
                            &error);
        return driver_wait(driver, r, &error);
}

static void on_leftovers(_unused_ HookLeftovers *leftovers, int result, unsigned n_stopped,
                         const Error *error, void *userdata) {
        printf("stopped=%u\n", n_stopped);
        driver_finish(userdata, result, error);
}

/* APP [KEEP_DEPLOYMENT] */
static int leftovers(Driver *driver, char **arguments) {
        _cleanup_(hook_leftovers_freep) HookLeftovers *operation = NULL;
        Error error = {};
        int r;

        r = hook_leftovers_stop_start(driver->manager, arguments[0], arguments[1], NULL, on_leftovers, driver,
                                      &operation, &error);
        return driver_wait(driver, r, &error);
}

/* APP */
static int collect(Driver *driver, char **arguments) {
        _cleanup_(hook_leftovers_freep) HookLeftovers *operation = NULL;
        Error error = {};
        int r;

        r = hook_leftovers_collect_start(driver->manager, arguments[0], NULL, on_leftovers, driver,
                                         &operation, &error);
        return driver_wait(driver, r, &error);
}

static void on_health(Health *health, int result, const Error *error, void *userdata) {
        HealthReport reports[HEALTH_CHECKS_MAX];
        size_t n = health_reports(health, reports, HEALTH_CHECKS_MAX);

        for (size_t i = 0; i < n; i++)
                printf("check=%s %u/%u %d\n", reports[i].name, reports[i].failures, reports[i].attempts,
                       reports[i].healthy);
        driver_finish(userdata, result, error);
}

/* "http=URL", "tcp=ADDRESS", "command=PROGRAM ARG...", "unit=NAME" */
static int parse_check(const Driver *driver, const char *text, HealthCheck *ret) {
        const char *value = strchr(text, '=');
        char **command = NULL;

        *ret = driver->check;
        if (!value)
                return -EINVAL;
        value++;
        if (string_starts_with(text, "http=")) {
                ret->type = HEALTH_HTTP;
                ret->url = value;
        } else if (string_starts_with(text, "tcp=")) {
                ret->type = HEALTH_TCP;
                ret->address = value;
        } else if (string_starts_with(text, "unit=")) {
                ret->type = HEALTH_UNIT;
                ret->unit = value;
        } else if (string_starts_with(text, "command=") && strv_split(value, " ", &command) >= 0) {
                ret->type = HEALTH_COMMAND;
                ret->command = command;
        } else {
                return -EINVAL;
        }
        return 0;
}

/* CHECK... */
static int health(Driver *driver, char **arguments) {
        char *const environment[] = { (char *) "APPLICATION_NAME=api", NULL };
        const HealthContext context = {
                .app = driver->hook.app,
                .deployment = driver->hook.deployment,
                .release_folder = driver->hook.release_folder ? driver->hook.release_folder : "/",
                .environment = environment,
        };
        _cleanup_(health_freep) Health *operation = NULL;
        HealthCheck checks[HEALTH_CHECKS_MAX] = {};
        Error error = {};
        size_t n = 0;
        int r = 0;

        for (; arguments[n] && n < HEALTH_CHECKS_MAX && r >= 0; n++)
                r = parse_check(driver, arguments[n], &checks[n]);
        if (r < 0)
                return r;
        r = health_start(driver->manager, &context, checks, n, on_health, driver, &operation, &error);
        r = driver_wait(driver, r, &error);
        for (size_t i = 0; i < n; i++)
                strv_free((char **) checks[i].command);
        return r;
}

const DriverVerb driver_hook_verbs[] = {
        { "hooks", hooks, 1 },
        { "leftovers", leftovers, 1 },
        { "collect", collect, 1 },
        { "health", health, 0 },
        {},
};
