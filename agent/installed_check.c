#include <string.h>
#include <sys/mman.h>

#include "agent/base/clock.h"
#include "agent/base/task.h"
#include "agent/installed_check.h"

struct InstalledCheck {
        const ReleaseStore *store;
        InstalledCheckDone done;
        void *userdata;
        Task *task;
        InstalledFinding *shared; /* holds what is known, with the name, and then what the child found */
        bool gentle;
};

InstalledCheck *installed_check_free(InstalledCheck *check) {
        if (!check)
                return NULL;
        task_free(check->task);
        if (check->shared)
                (void) munmap(check->shared, sizeof(*check->shared));
        free(check);
        return NULL;
}

static int run_check(void *userdata, _unused_ Error *error) {
        const TreeRules rules = {}; /* root's */
        InstalledCheck *check = userdata;
        InstalledFinding finding;

        if (check->gentle)
                task_be_gentle();
        if (installed_is_unchanged(check->store, check->shared)) {
                check->shared->at = clock_realtime(&clock_system);
                return 0;
        }
        installed_check(check->store, check->shared->name, &rules, true, NULL, NULL, &finding);
        *check->shared = finding;
        return 0;
}

static void on_checked(_unused_ Task *task, int result, const Error *error, void *userdata) {
        InstalledCheck *check = userdata;

        if (result < 0) {
                check->shared->state = INSTALLED_FAILED;
                (void) snprintf(check->shared->problem, sizeof(check->shared->problem), "%s", error->message);
        }
        check->done(check, check->shared, check->userdata);
}

static int share(InstalledCheck *check, const InstalledCheckSpec *spec) {
        void *shared =
                mmap(NULL, sizeof(*check->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (shared == MAP_FAILED)
                return -ENOMEM;
        check->shared = shared;
        if (spec->known)
                *check->shared = *spec->known;
        (void) snprintf(check->shared->name, sizeof(check->shared->name), "%s", spec->name);
        return 0;
}

int installed_check_start(const InstalledCheckSpec *spec, sd_event *event, InstalledCheckDone done,
                          void *userdata, InstalledCheck **ret, Error *error) {
        _cleanup_(installed_check_freep) InstalledCheck *check = calloc(1, sizeof(*check));
        int r;

        if (!check || share(check, spec) < 0)
                return error_oom(error);
        check->store = spec->store;
        check->done = done;
        check->userdata = userdata;
        check->gentle = spec->gentle;
        r = task_start(event, "comparison of a release with what was published", run_check, check, on_checked,
                       check, &check->task, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(check);
        return 0;
}
