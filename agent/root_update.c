#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/root_update.h"
#include "artifacts/layout.h"

#define KEPT_FILE "root.json"
#define KEPT_MODE 0644
#define RETRY_DELAY (60 * USEC_PER_SEC)

struct RootUpdate {
        RootUpdateContext context;
        RootUpdateDone done;
        void *userdata;
        sd_event_source *timer;
        DepotOp *op;
        bool asked; /* to look again while a look was on its way */
        uint64_t begun, judged;
};

static int load(int dirfd, const char *path, const char *name, TrustRoot **ret, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(dirfd, path, TRUST_ROOT_SIZE_MAX, &text);
        if (r < 0)
                return error_set_errno(error, r, "cannot read the trust root %s", name);
        return trust_root_load(name, buffer_string(&text), text.size, ret, error);
}

/* A kept root that cannot be read is no more than one that has to be fetched again. */
int root_update_load(const char *path, int state_fd, TrustRoot **ret, Error *error) {
        _cleanup_trust_root_ TrustRoot *installed = NULL, *kept = NULL;
        Error problem = {};
        int r;

        r = load(AT_FDCWD, path, path, &installed, error);
        if (r < 0)
                return r;
        r = load(state_fd, KEPT_FILE, "the trust root that was kept", &kept, &problem);
        if (r < 0 && r != -ENOENT)
                log_warning("%s", problem.message);
        if (kept && trust_root_version(kept) > trust_root_version(installed))
                *ret = TAKE_PTR(kept);
        else
                *ret = TAKE_PTR(installed);
        return 0;
}

static int keep(RootUpdate *update, const DepotReply *reply, Error *error) {
        const RootUpdateContext *context = &update->context;
        _cleanup_trust_root_ TrustRoot *next = NULL;
        int r;

        r = trust_root_load_successor(context->root, depot_op_key(update->op), reply->body, reply->body_size,
                                      clock_realtime(context->clock), &next, error);
        if (r < 0)
                return r;
        r = file_replace_at(context->state_fd, KEPT_FILE, reply->body, reply->body_size, KEPT_MODE);
        if (r < 0)
                return error_set_errno(error, r, "cannot keep trust root %llu",
                                       (unsigned long long) trust_root_version(next));
        log_info("trust root %llu is believed from now on", (unsigned long long) trust_root_version(next));
        return 1;
}

static void look_after(RootUpdate *update, uint64_t usec) {
        (void) sd_event_source_set_time_relative(update->timer, usec);
        (void) sd_event_source_set_enabled(update->timer, SD_EVENT_ONESHOT);
}

static void on_root(DepotOp *op, int result, const Error *error, void *userdata) {
        RootUpdate *update = userdata;
        Error problem = {};

        if (result < 0)
                problem = *error;
        else if (depot_op_reply(op)->outcome == DEPOT_OK)
                result = keep(update, depot_op_reply(op), &problem);
        update->op = depot_op_free(update->op);
        if (result < 0)
                log_message(problem.fault == FAULT_HOST ? LOG_DEBUG : LOG_WARNING, NULL, NULL,
                            "trust root: %s", problem.message);
        if (result >= 0 || problem.fault != FAULT_HOST)
                update->judged = update->begun;
        look_after(update, update->asked ? 0 : result < 0 ? RETRY_DELAY : ROOT_UPDATE_INTERVAL);
        update->asked = false;
        update->done(update, result > 0, update->userdata);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        RootUpdate *update = userdata;
        char key[LAYOUT_KEY_MAX];
        Error error = {};
        int r;

        if (update->op)
                return 0;
        update->begun++;
        r = layout_root(trust_root_version(update->context.root) + 1, key, &error);
        if (r >= 0)
                r = depot_get_start(update->context.depot, key, NULL, TRUST_ROOT_SIZE_MAX, on_root, update,
                                    &update->op, &error);
        if (r < 0) {
                log_warning("trust root: %s", error.message);
                look_after(update, RETRY_DELAY);
        }
        return 0;
}

int root_update_new(const RootUpdateContext *context, RootUpdateDone done, void *userdata, RootUpdate **ret,
                    Error *error) {
        _cleanup_(root_update_freep) RootUpdate *update = NULL;
        int r;

        update = malloc(sizeof(*update));
        if (!update)
                return error_oom(error);
        *update = (RootUpdate){ .context = *context, .done = done, .userdata = userdata };
        r = sd_event_add_time_relative(context->event, &update->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, update);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(update);
        return 0;
}

uint64_t root_update_poll(RootUpdate *update) {
        if (update->op)
                update->asked = true;
        else
                look_after(update, 0);
        return update->begun + 1;
}

bool root_update_has_looked(const RootUpdate *update, uint64_t look) {
        return update->judged >= look;
}

RootUpdate *root_update_free(RootUpdate *update) {
        if (!update)
                return NULL;
        sd_event_source_unref(update->timer);
        depot_op_free(update->op);
        free(update);
        return NULL;
}
