#include "agent/base/log.h"
#include "agent/engine_step.h"
#include "artifacts/dsse.h"
#include "artifacts/layout.h"

/* VERIFY, first: the document of the release that serves. It was verified when that release was deployed, and the
 * record has its digest: what the depot has under its name is the same document, or none. */

static int restore(Engine *engine, const DepotReply *reply, Error *error) {
        const EngineContext *context = &engine->context;
        const ReleaseRef *from = &engine_deployment(engine)->from;
        _cleanup_release_ Release *release = NULL;
        char name[STORE_NAME_SIZE];
        int r;

        if (reply->outcome != DEPOT_OK)
                return error_set_fault(error, -ENOENT, FAULT_HOST, "it is not in the depot %s either",
                                       depot_uri(context->depot));
        r = release_open(context->root, reply->body, reply->body_size, clock_realtime(context->clock),
                         context->app, from->version, from->sha256, &release, error);
        if (r >= 0 && store_name(from->version, from->sha256, name) >= 0)
                r = store_write_envelope(context->store, name, reply->body, reply->body_size, error);
        if (r < 0)
                return r;
        engine->from = TAKE_PTR(release);
        return 0;
}

static void say(const Engine *engine, int result, const Error *error) {
        const char *app = engine->context.app, *version = engine_deployment(engine)->from.version;

        if (result < 0)
                log_warning("%s: there is no way back to release %s, since its document is lost: %s", app,
                            version, error->message);
        else
                log_info("%s: the document of release %s, which was lost, is there again", app, version);
}

static void on_document(DepotOp *op, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        if (result < 0)
                problem = *error;
        r = result < 0 ? result : restore(engine, depot_op_reply(op), &problem);
        say(engine, r, &problem);
        engine->work.depot = depot_op_free(engine->work.depot);
        problem = (Error){};
        r = step_verify_to(engine, &problem);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &problem);
}

static bool is_lost(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);
        char name[STORE_NAME_SIZE];

        return deployment->kind == KIND_DEPLOY && !engine->from && deployment->from.version &&
               store_name(deployment->from.version, deployment->from.sha256, name) >= 0 &&
               store_is_current(engine->context.store, name);
}

bool step_restore_document(Engine *engine) {
        const EngineContext *context = &engine->context;
        char key[LAYOUT_KEY_MAX];
        Error error = {};
        int r;

        if (!is_lost(engine) || !context->depot || !context->root)
                return false;
        r = layout_release(context->app, engine_deployment(engine)->from.version, key, &error);
        if (r >= 0)
                r = depot_get_start(context->depot, key, NULL, DSSE_ENVELOPE_SIZE_MAX, on_document, engine,
                                    &engine->work.depot, &error);
        if (r < 0)
                say(engine, r, &error);
        return r >= 0;
}
