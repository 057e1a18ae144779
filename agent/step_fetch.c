#include "agent/engine_step.h"

/* FETCH: nothing to do where the release is in the store already, as it was published. Once it is there, it is known what
 * it installs, and whether there is room for that: before anything is changed. */

FilesInstall step_files(const Engine *engine) {
        const EngineContext *context = &engine->context;

        return (FilesInstall){
                .store = context->store,
                .record = context->record,
                .ref = engine_subject_ref(engine),
                .release = engine_subject(engine),
                .reserve = { .bytes = context->config->reserve_bytes,
                             .inodes = context->config->reserve_inodes },
        };
}

/* In a process of its own. */
static int foresee_files(void *userdata, Error *error) {
        const FilesInstall install = step_files(userdata);

        return files_foresee(&install, error);
}

static void on_foreseen(_unused_ Task *task, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

/* The release is in the store. As a step function. */
static int foresee(Engine *engine, Error *error) {
        int r;

        if (engine->to->files.n == 0 || engine_deployment(engine)->kind != KIND_DEPLOY)
                return STEP_FINISHED;
        r = task_start(engine->context.event, "look for room for files", foresee_files, engine, on_foreseen,
                       engine, &engine->work.files, error);
        return r < 0 ? r : STEP_STARTED;
}

static void on_received(_unused_ Receive *receive, int result, const Error *error, void *userdata) {
        Error problem = result < 0 ? *error : (Error){};
        Engine *engine = userdata;
        int r = result;

        if (r < 0 && step_use_stored(engine, &problem))
                r = 0;
        if (r >= 0)
                r = foresee(engine, &problem);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &problem);
}

static void on_progress(_unused_ Receive *receive, uint64_t written, uint64_t total, void *userdata) {
        Engine *engine = userdata;
        int percent = (int) (written * 100 / total);

        engine->work.bytes = written;
        if (engine->percent == percent)
                return;
        engine->percent = percent;
        engine->changed(engine, engine->userdata);
}

int step_fetch(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        const Deployment *deployment = engine_deployment(engine);
        char name[STORE_NAME_SIZE];
        ReceiveSpec spec;
        int r;

        r = store_name(deployment->to.version, deployment->to.sha256, name);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", deployment->to.version);
        if (store_has(context->store, name) && !engine->replace)
                return foresee(engine, error);
        spec = (ReceiveSpec){
                .event = context->event,
                .manager = context->manager,
                .store = context->store,
                .app = context->app,
                .deployment = deployment->id,
                .depot = context->depot,
                .archive_fd = engine->archive_fd,
                .artifact = release_find_artifact(engine->to, release_platform()),
                .version = deployment->to.version,
                .release_sha256 = deployment->to.sha256,
                .created = engine->to->created,
                .document = engine->to_document,
                .document_size = engine->to_document_size,
                .replace = engine->replace,
        };
        r = receive_start(&spec, on_received, on_progress, engine, &engine->work.receive, error);
        return r < 0 ? r : STEP_STARTED;
}
