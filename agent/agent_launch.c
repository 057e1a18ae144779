#include "agent/agent_parts.h"
#include "agent/base/log.h"
#include "agent/config_aws.h"
#include "agent/failure.h"
#include "units/unit_journal.h"

#define UNIT "musterd.service"

/* What happened, as musterd told it: without it, where the journal cannot be read. */
static void read_journal(UnitJournal *ret) {
        const UnitJournalSpec spec = {
                .unit = UNIT,
                .lines = FAILURE_JOURNAL_LINES,
                .size = FAILURE_JOURNAL_MAX,
                .times = true,
        };
        Error error = {};

        if (unit_journal_read_spec(&spec, ret, &error) < 0)
                log_debug("%s", error.message);
}

/* What has failed; if nothing has, what is still on its way and hangs. */
static bool is_to_blame(const Setup *setup, const App *app) {
        AppReadiness worst = APP_READY;

        for (size_t i = 0; i < setup->n_apps && worst != APP_FAILED; i++)
                if (app_is_required(setup->apps[i]) && app_readiness(setup->apps[i]) != APP_READY)
                        worst = app_readiness(setup->apps[i]);
        return app_is_required(app) && worst != APP_READY && app_readiness(app) == worst;
}

static int on_upload(void *userdata, FailureUploadDone done, void *done_userdata, FailureUpload **ret,
                     Error *error) {
        const Agent *agent = userdata;
        const Setup *setup = &agent->setup;
        const FailureUploadSpec spec = {
                .event = agent->event,
                .depot = setup->depot,
                .report_id = setup->identity.report_id,
                .limit = setup->config->abandon_limit,
                .window = setup->config->abandon_window,
        };
        FailureNote notes[CONFIG_APPS_MAX];
        UnitJournal journal = {};
        size_t n = 0;
        int r = 0;

        if (setup->config->report_output)
                read_journal(&journal);
        for (size_t i = 0; i < setup->n_apps && r >= 0; i++)
                if (is_to_blame(setup, setup->apps[i])) {
                        r = app_failure(setup->apps[i], launch_group(setup->launch), journal.text, &notes[n],
                                        error);
                        n += r >= 0;
                }
        unit_journal_deinit(&journal);
        if (r >= 0)
                return failure_upload_start(&spec, notes, n, done, done_userdata, ret, error);
        for (size_t i = 0; i < n; i++)
                free(notes[i].text);
        return r;
}

json_t *agent_launch_status(const Setup *setup) {
        LaunchState state = setup->launch ? launch_state(setup->launch) : LAUNCH_NONE;
        char *const *hooks = setup->launch ? launch_hooks(setup->launch) : NULL;
        json_t *names = json_array();
        bool alarm = false;
        uint64_t since;

        for (; hooks && *hooks; hooks++)
                (void) json_array_append_new(names, json_string(*hooks));
        if (setup->launch)
                (void) launch_undelivered(setup->launch, &since, &alarm);
        return json_pack("{s:s?, s:o, s:s, s:b, s:s}", "hook", json_string_value(json_array_get(names, 0)),
                         "hooks", names, "state", launch_state_to_string(state), "alarm", alarm, "reason",
                         setup->launch ? launch_reason(setup->launch) : "");
}

static int make_notify(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const Config *config = setup->config;
        NotifyOptions options = {
                .event = agent->event,
                .depot = setup->depot,
                .aws = setup->aws,
                .webhook = config->notify_webhook,
                .topic = config->notify_topic,
                .ca_bundle = config->ca_bundle,
                .reporter = setup->identity.report_id,
        };
        int r = 0;

        if (options.topic && !options.aws)
                r = config_aws_context(config, agent->event, &setup->notify_aws, error);
        options.aws = options.aws ?: setup->notify_aws;
        return r < 0 ? r : notify_new(&options, &setup->notify, error);
}

void agent_start_notify(Agent *agent) {
        const Config *config = agent->setup.config;
        Error error = {};

        if (!agent->setup.depot || (!config->notify_webhook && !config->notify_topic))
                return;
        if (make_notify(agent, &error) < 0)
                log_warning("nobody is told of rollouts: %s", error.message);
}

static void tell_held(const Setup *setup) {
        for (size_t i = 0; i < setup->n_apps; i++)
                if (app_is_required(setup->apps[i]) && app_readiness(setup->apps[i]) == APP_FAILED)
                        app_notify_held(setup->apps[i], launch_reason(setup->launch));
}

static void on_launch(void *userdata) {
        Agent *agent = userdata;
        const Setup *setup = &agent->setup;

        for (size_t i = 0; i < setup->n_apps; i++)
                app_set_report_member(setup->apps[i], "launch", agent_launch_status(setup));
        if (setup->launch && launch_state(setup->launch) == LAUNCH_HOLDING)
                tell_held(setup);
        bus_service_changed(agent->bus);
        agent_update_launch(
                agent); /* the apps may have been ready before it was known that the instance is held */
}

int agent_start_launch(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const LaunchContext context = {
                .event = agent->event,
                .config = setup->config,
                .identity = &setup->identity,
                .aws = setup->aws,
                .state_fd = setup->state_fd,
                .boot_id = agent->boot_id,
                .upload = on_upload,
        };

        return launch_new(&context, on_launch, agent, &setup->launch, error);
}

void agent_update_launch(Agent *agent) {
        const Setup *setup = &agent->setup;
        LaunchApp required[CONFIG_APPS_MAX];
        size_t n = 0;

        /* Not before every app of the configuration is there: none missing is not none required. */
        if (!setup->launch || setup->n_apps != setup->config->n_apps)
                return;
        for (size_t i = 0; i < setup->n_apps; i++) {
                const App *app = setup->apps[i];

                if (app_is_required(app))
                        required[n++] = (LaunchApp){ app_readiness(app), app_work(app), app_reason(app) };
        }
        launch_update(setup->launch, required, n);
}
