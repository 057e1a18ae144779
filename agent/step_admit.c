#include "agent/app_clean.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/engine_step.h"

/* VERIFY: is there room for the release, by the sizes that are signed? Where there is not, releases that nothing needs
 * make room, the one that was used longest ago first, before the deployment fails; that is then the host's fault, and tried
 * again later. */

static int admit(const Engine *engine, Error *error) {
        const ReleaseArtifact *artifact = release_find_artifact(engine->to, release_platform());
        const Config *config = engine->context.config;
        const StoreReserve reserve = { .bytes = config->reserve_bytes, .inodes = config->reserve_inodes };
        StoreNeed need = { .bytes = artifact->unpacked_size, .entries = artifact->entries };

        if (archive_format_needs_seek(artifact->format)) /* it is received whole before it is unpacked */
                need.bytes += artifact->size;
        return store_admit(engine->context.store, &need, &reserve, error);
}

static void end(Engine *engine, int result, Error *error) {
        if (result < 0 && step_use_stored(engine, error))
                result = 0;
        engine_step_done(engine, result, error);
}

static bool is_needed(const char *name, void *userdata) {
        const Engine *engine = userdata;

        return app_clean_is_needed(engine->context.store, engine->context.record, name);
}

static int make_room(Engine *engine, Error *error);

static size_t count_releases(const Engine *engine) {
        _cleanup_free_ StoreEntry *entries = NULL;
        size_t n = 0;

        return store_list(engine->context.store, &entries, &n, NULL) < 0 ? 0 : n;
}

static void on_cleaned(_unused_ StoreClean *clean, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        if (result < 0)
                log_warning("%s: old releases: %s", engine->context.app, error->message);
        engine->work.clean = store_clean_free(engine->work.clean);
        r = admit(engine, &problem);
        if (r == -ENOSPC && result >= 0 && count_releases(engine) < engine->work.releases &&
            make_room(engine, NULL) >= 0)
                return;
        end(engine, r, &problem);
}

/* One release less than there is now, and every leftover. */
static int make_room(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        StoreRetention retention = { .bytes = STORE_KEEP_ALL, .urgent = true };

        engine->work.releases = count_releases(engine);
        retention.releases = engine->work.releases > 0 ? engine->work.releases - 1 : 0;
        return store_clean_start(context->store, context->event, NULL, &retention, is_needed, on_cleaned,
                                 engine, &engine->work.clean, error);
}

int step_admit(Engine *engine, Error *error) {
        int r;

        r = admit(engine, error);
        if (r != -ENOSPC)
                return r < 0 ? r : STEP_FINISHED;
        log_info("%s: %s; releases that nothing needs make room", engine->context.app, error->message);
        return make_room(engine, NULL) < 0 ? r : STEP_STARTED;
}
