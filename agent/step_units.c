#include <string.h>

#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/environment.h"

/* UNITS and ROLLBACK_UNITS: unit after unit, in the order of the release. */

static const UnitVerb verbs[] = {
        [ON_DEPLOY_RELOAD] = UNIT_VERB_RELOAD,
        [ON_DEPLOY_RESTART] = UNIT_VERB_RESTART,
        [ON_DEPLOY_RELOAD_OR_RESTART] = UNIT_VERB_RELOAD_OR_RESTART,
        [ON_DEPLOY_START] = UNIT_VERB_START,
};

static int next_unit(Engine *engine, Error *error);

/* Whether the two releases see other values, as far as is known: also with the agent restarted in between. */
static int compare_environments(const Engine *engine, bool *ret) {
        _cleanup_strv_ char **from = NULL, **to = NULL;
        int r = 0;

        if (engine->from)
                r = environment_of_app(engine->from, engine->context.record->good_environment, &from);
        if (r >= 0 && engine->to)
                r = environment_of_app(engine->to, engine_deployment(engine)->environment, &to);
        if (r < 0)
                return r;
        *ret = !strv_equal(from, to);
        return 0;
}

/* A reload hands no new environment to a process, so a unit whose environment changed is restarted. */
static UnitVerb verb_of(const Engine *engine, const ReleaseUnit *unit) {
        UnitVerb verb = verbs[unit->on_deploy];
        bool reload = verb == UNIT_VERB_RELOAD || verb == UNIT_VERB_RELOAD_OR_RESTART;

        return reload && (engine->work.env_differs || engine->work.job_forced) ? UNIT_VERB_RESTART : verb;
}

static bool version_is_asserted(const Release *release) {
        for (size_t i = 0; i < release->health.n; i++)
                if (release_health_asserts_version(release, &release->health.items[i]))
                        return true;
        return false;
}

/* What a reload or a restart must leave running: this release's code, for units that the release brought and whose
 * version no health check asserts. */
static int code_folder(const Engine *engine, const ReleaseUnit *unit, UnitVerb verb, char **ret,
                       Error *error) {
        const ReleaseRef *ref = engine_subject_ref(engine);
        char name[STORE_NAME_SIZE];
        int r;

        *ret = NULL;
        if (!unit->file || (verb != UNIT_VERB_RELOAD && verb != UNIT_VERB_RELOAD_OR_RESTART) ||
            version_is_asserted(engine_subject(engine)))
                return 0;
        r = store_name(ref->version, ref->sha256, name);
        if (r >= 0)
                r = asprintf(ret, "%s/releases/%s", engine->context.store->path, name);
        if (r < 0) {
                *ret = NULL;
                return error_oom(error);
        }
        return 0;
}

static void on_unit(UnitJob *job, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        StepWork *work = &engine->work;
        const char *journal = unit_job_journal(job);
        Error problem = {};
        int r;

        if (result > 0 && step_is_rollback(engine_deployment(engine)->step) && !work->job_forced) {
                log_warning("%s: %s; restarting the unit instead", engine->context.app, error->message);
                work->job_forced = true;
        } else if (result != 0) {
                if (journal && *journal)
                        (void) buffer_append(&work->tail, journal, strnlen(journal, STEP_TAIL_MAX),
                                             STEP_TAIL_MAX);
                engine_step_done(engine, result, error);
                return;
        } else {
                work->unit++;
                work->job_forced = false;
        }
        work->job = unit_job_free(work->job);
        r = next_unit(engine, &problem);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &problem);
}

static int start_job(Engine *engine, const ReleaseUnit *unit, Error *error) {
        UnitJobSpec spec = {
                .unit = unit->name,
                .verb = verb_of(engine, unit),
                .settle_usec = engine->context.config->settle_time,
        };
        _cleanup_free_ char *folder = NULL;
        int r;

        r = code_folder(engine, unit, spec.verb, &folder, error);
        if (r < 0)
                return r;
        spec.runs_from = folder;
        return unit_job_start(engine->context.manager, &spec, on_unit, engine, &engine->work.job, error);
}

static int next_unit(Engine *engine, Error *error) {
        const Release *release = engine_subject(engine);

        while (engine->work.unit < release->units.n) {
                const ReleaseUnit *unit = &release->units.items[engine->work.unit];

                if (unit->on_deploy != ON_DEPLOY_NONE) {
                        int r = start_job(engine, unit, error);

                        return r < 0 ? r : STEP_STARTED;
                }
                engine->work.unit++;
        }
        return STEP_FINISHED;
}

int step_units(Engine *engine, Error *error) {
        if (compare_environments(engine, &engine->work.env_differs) < 0)
                return error_oom(error);
        return next_unit(engine, error);
}
