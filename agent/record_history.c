#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/deployment_json.h"
#include "agent/record.h"
#include "agent/record_history.h"

#define HISTORY_FOLDER "history"
#define HISTORY_MODE 0600
#define HISTORY_FOLDER_MODE 0700

static int is_history(const struct dirent *entry) {
        return entry->d_name[0] != '.' && string_ends_with(entry->d_name, ".json");
}

static void free_entries(struct dirent **entries, int n) {
        for (int i = 0; i < n; i++)
                free(entries[i]);
        free(entries);
}

/* The names of the history's files, oldest first: ids sort that way (deployment_id.h). */
static int list_history(int app_fd, struct dirent ***ret) {
        int n = scandirat(app_fd, HISTORY_FOLDER, ret, is_history, alphasort);

        return n < 0 ? -errno : n;
}

static void remove_history(int app_fd, const char *name) {
        _cleanup_free_ char *path = NULL, *logs = NULL;

        if (asprintf(&path, HISTORY_FOLDER "/%s", name) < 0)
                path = NULL;
        if (asprintf(&logs, RECORD_LOGS_FOLDER "/%.*s", (int) (strlen(name) - strlen(".json")), name) < 0)
                logs = NULL;
        if (!path || !logs)
                return;
        (void) file_remove_tree_at(app_fd, logs);
        (void) unlinkat(app_fd, path, 0);
}

static void trim_history(int app_fd) {
        struct dirent **entries;
        int n = list_history(app_fd, &entries);

        if (n < 0)
                return;
        for (int i = 0; i + (int) RECORD_HISTORY_MAX < n; i++)
                remove_history(app_fd, entries[i]->d_name);
        free_entries(entries, n);
}

int record_keep_history(int app_fd, const Deployment *deployment, Error *error) {
        _cleanup_free_ char *name = NULL, *text = NULL;
        json_auto_t *json = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_folder_at(app_fd, HISTORY_FOLDER, HISTORY_FOLDER_MODE);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open the history");
        if (asprintf(&name, "%s.json", deployment->id) < 0) {
                name = NULL;
                return error_oom(error);
        }
        r = deployment_to_json(deployment, &json);
        text = r < 0 ? NULL : json_dumps(json, JSON_INDENT(2));
        if (!text)
                return error_oom(error);
        r = file_replace_at(fd, name, text, strlen(text), HISTORY_MODE);
        if (r < 0)
                return error_set_errno(error, r, "cannot write the history");
        trim_history(app_fd);
        return 0;
}

bool record_has_history(int app_fd, const char *id) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, HISTORY_FOLDER "/%s.json", id) < 0) {
                path = NULL;
                return false;
        }
        return faccessat(app_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static json_t *read_history_file(int app_fd, const char *name) {
        _cleanup_free_ char *path = NULL;
        _cleanup_buffer_ Buffer text = {};

        if (asprintf(&path, HISTORY_FOLDER "/%s", name) < 0) {
                path = NULL;
                return NULL;
        }
        if (file_read_at(app_fd, path, RECORD_SIZE_MAX, &text) < 0)
                return NULL;
        return json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
}

int record_read_history(int app_fd, size_t limit, json_t **ret, Error *error) {
        json_auto_t *array = json_array();
        struct dirent **entries;
        int n, r = 0;

        if (!array)
                return error_oom(error);
        n = list_history(app_fd, &entries);
        if (n == -ENOENT) {
                *ret = TAKE_PTR(array);
                return 0;
        }
        if (n < 0)
                return error_set_errno(error, n, "cannot read the history");
        for (int i = n - 1; i >= 0 && json_array_size(array) < limit && r == 0; i--) {
                json_t *item = read_history_file(app_fd, entries[i]->d_name);

                if (item && json_array_append_new(array, item) < 0)
                        r = error_oom(error);
        }
        free_entries(entries, n);
        if (r == 0)
                *ret = TAKE_PTR(array);
        return r;
}

int record_forget_history(int app_fd) {
        int r = file_remove_tree_at(app_fd, HISTORY_FOLDER),
            q = file_remove_tree_at(app_fd, RECORD_LOGS_FOLDER);

        return r < 0 ? r : q;
}
