#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/files_attributes.h"
#include "agent/installed.h"
#include "artifacts/dsse.h"
#include "artifacts/layout.h"
#include "units/unit_file.h"

/* VERIFY: the release's document, from the store where it is there already (so that going back needs no network), else
 * from the depot; its signatures, digest and platform; and room on the disk. */

static int load_document(const ReleaseStore *store, const ReleaseRef *ref, Buffer *document, Release **ret,
                         Error *error) {
        _cleanup_release_ Release *release = NULL;
        char name[STORE_NAME_SIZE];
        int r;

        r = store_name(ref->version, ref->sha256, name);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", ref->version);
        r = installed_load(store, name, document, &release, error);
        if (r < 0)
                return r;
        if (strcmp(release->sha256, ref->sha256) != 0)
                return error_set_fault(
                        error, -EBADMSG, FAULT_HOST,
                        "the document of release %s in the store is not the one that was verified",
                        ref->version);
        *ret = TAKE_PTR(release);
        return 0;
}

int engine_load_release(const ReleaseStore *store, const ReleaseRef *ref, Release **ret, Error *error) {
        _cleanup_buffer_ Buffer document = {};

        return load_document(store, ref, &document, ret, error);
}

static bool has_unit(const Release *release, const char *name) {
        for (size_t i = 0; release && i < release->units.n; i++)
                if (release->units.items[i].file && strcmp(release->units.items[i].name, name) == 0)
                        return true;
        return false;
}

/* One that the release before has as well was installed here: who has replaced it since is no matter of the release. */
static int check_unit(const Engine *engine, const UnitFiles *files, const char *name, Error *error) {
        int r;

        r = unit_file_check_masked(files, name, error);
        if (r < 0 || !has_unit(engine->from, name))
                return r;
        r = unit_file_owner(files, engine->context.app, name, error);
        if (r != UNIT_OWNER_OTHER)
                return r < 0 ? r : 0;
        error_blame(error, FAULT_HOST);
        error_prefix(error, "somebody has replaced a unit of this app");
        return -EEXIST;
}

/* Before anything is changed: SWITCH would be refused, and so would the way back. */
static int check_units(const Engine *engine, Error *error) {
        const char *folder = engine->context.config->unit_dir;
        _cleanup_close_ int unit_dir_fd = file_open_at(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
        const UnitFiles files = { .reserved = unit_files_reserved, .dirfd = unit_dir_fd };
        int r = 0;

        if (unit_dir_fd < 0) /* SWITCH makes it */
                return unit_dir_fd == -ENOENT ? 0
                                              : error_set_errno(error, unit_dir_fd, "cannot open %s", folder);
        for (size_t i = 0; i < engine->to->units.n && r >= 0; i++)
                if (engine->to->units.items[i].file)
                        r = check_unit(engine, &files, engine->to->units.items[i].name, error);
        return r;
}

/* As a step function returns. */
static int check_release(Engine *engine, Error *error) {
        const ReleaseStore *store = engine->context.store;
        const ReleaseArtifact *artifact;
        char name[STORE_NAME_SIZE];
        int r;

        if (engine->to->created < engine->release_floor)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "release %s is older than the target's release_floor allows",
                                       engine->to->version);
        artifact = release_find_artifact(engine->to, release_platform());
        if (!artifact)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "release %s has no artifact for %s, nor one for any platform",
                                       engine->to->version, release_platform());
        r = check_units(engine, error);
        if (r >= 0)
                r = files_attributes_check(&engine->to->permissions, error);
        if (r < 0)
                return r;
        if (store_name(engine->to->version, engine->to->sha256, name) >= 0 && store_has(store, name))
                return step_check_stored(engine, name, error);
        return step_admit(engine, error);
}

static int keep_document(Engine *engine, Buffer *document, Release *release) {
        free(engine->to_document);
        release_free(engine->to);
        engine->to = release;
        return buffer_steal(document, &engine->to_document, &engine->to_document_size);
}

static void on_document(DepotOp *op, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        const EngineContext *context = &engine->context;
        const ReleaseRef *ref = &engine_deployment(engine)->to;
        DepotReply *reply = depot_op_reply(op);
        _cleanup_buffer_ Buffer document = {};
        Release *release = NULL;
        Error problem = {};
        int r = result;

        if (r < 0) {
                engine_step_done(engine, r, error);
                return;
        }
        if (reply->outcome == DEPOT_NOT_FOUND)
                /* Not yet, where a bucket is replicated, or not any more: another target may be there already. */
                r = error_set_fault(&problem, -ENOENT, FAULT_HOST, "release %s of %s is not in the depot %s",
                                    ref->version, context->app, depot_uri(context->depot));
        if (r >= 0)
                r = release_open(context->root, reply->body, reply->body_size, clock_realtime(context->clock),
                                 context->app, ref->version, ref->sha256, &release, &problem);
        if (r >= 0 && (buffer_append(&document, reply->body, reply->body_size, SIZE_MAX) < 0 ||
                       keep_document(engine, &document, TAKE_PTR(release)) < 0))
                r = error_oom(&problem);
        if (r >= 0)
                r = check_release(engine, &problem);
        release_free(release);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &problem);
}

static int get_document(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        char key[LAYOUT_KEY_MAX];
        int r;

        if (!context->depot || !context->root)
                return error_set(error, -ENOTCONN, "there is no depot to get release %s from",
                                 engine_deployment(engine)->to.version);
        r = layout_release(context->app, engine_deployment(engine)->to.version, key, error);
        if (r < 0)
                return r;
        r = depot_get_start(context->depot, key, NULL, DSSE_ENVELOPE_SIZE_MAX, on_document, engine,
                            &engine->work.depot, error);
        return r < 0 ? r : STEP_STARTED;
}

static int read_local(Engine *engine, Error *error) {
        _cleanup_buffer_ Buffer document = {};
        Release *release;
        int r;

        r = release_parse(engine->release_json, strlen(engine->release_json), &release, error);
        if (r < 0)
                return r;
        if (buffer_append(&document, engine->release_json, strlen(engine->release_json), SIZE_MAX) < 0 ||
            keep_document(engine, &document, release) < 0)
                return error_oom(error);
        return 0;
}

int step_verify_to(Engine *engine, Error *error) {
        const Deployment *deployment = engine_deployment(engine);
        _cleanup_buffer_ Buffer document = {};
        char name[STORE_NAME_SIZE];
        Release *release;
        int r;

        if (engine->release_json) {
                r = read_local(engine, error);
        } else {
                if (store_name(deployment->to.version, deployment->to.sha256, name) < 0 ||
                    !store_has(engine->context.store, name) ||
                    load_document(engine->context.store, &deployment->to, &document, &release, NULL) < 0)
                        return get_document(engine, error);
                r = keep_document(engine, &document, release);
        }
        if (r >= 0)
                r = check_release(engine, error);
        return r;
}

int step_verify(Engine *engine, Error *error) {
        return step_restore_document(engine) ? STEP_STARTED : step_verify_to(engine, error);
}
