#include "agent/app_history.h"
#include "agent/app_status.h"
#include "agent/deployment_json.h"
#include "agent/record_history.h"

static int append(const char *app, json_t *array, const Deployment *deployment) {
        json_t *item;
        int r;

        r = app_history_to_json(app, deployment, &item);
        return r < 0 ? r : json_array_append_new(array, item);
}

/* What the disk has damaged is left out: it must not hide the rest. */
static int append_stored(const char *app, json_t *array, json_t *stored) {
        Deployment deployment;
        int r;

        if (deployment_from_json(stored, &deployment, NULL) < 0)
                return 0;
        r = append(app, array, &deployment);
        deployment_deinit(&deployment);
        return r;
}

int app_history_read(const char *app, int app_fd, const Deployment *running, size_t limit, json_t **ret,
                     Error *error) {
        json_auto_t *array = json_array(), *stored = NULL;
        int r;

        if (!array || (running && append(app, array, running) < 0))
                return error_oom(error);
        r = record_read_history(app_fd, limit, &stored, error);
        for (size_t i = 0; r >= 0 && i < json_array_size(stored) && json_array_size(array) < limit; i++)
                if (append_stored(app, array, json_array_get(stored, i)) < 0)
                        return error_oom(error);
        if (r >= 0)
                *ret = TAKE_PTR(array);
        return r;
}
