#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/adopt.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/codedeploy_cleanup.h"
#include "agent/placement.h"

#define FILE_MODE 0600

static int parse(const Buffer *buffer, char ***ret, Error *error) {
        size_t n;
        int r = codedeploy_cleanup_parse(buffer->data ?: (const uint8_t *) "", buffer->size, ret, &n, error);

        if (r < 0)
                error_prefix(error, "the list of what is installed");
        return r;
}

int adopt_keep_paths(const ReleaseStore *store, int fd, Error *error) {
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_strv_ char **paths = NULL;
        int r;

        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, -errno, "cannot read the list of what is installed");
        r = file_read_fd(fd, CODEDEPLOY_CLEANUP_SIZE_MAX, &buffer);
        if (r < 0)
                return error_set_errno(error, r, "cannot read the list of what is installed");
        if (parse(&buffer, &paths, error) < 0)
                return -EINVAL;
        r = file_replace_at(store->app_fd, ADOPT_FILE, buffer.data, buffer.size, FILE_MODE);
        return r < 0 ? error_set_errno(error, r, "%s/" ADOPT_FILE, store->path) : 0;
}

int adopt_read_paths(const ReleaseStore *store, char ***ret, Error *error) {
        _cleanup_buffer_ Buffer buffer = {};
        int r = file_read_at(store->app_fd, ADOPT_FILE, CODEDEPLOY_CLEANUP_SIZE_MAX, &buffer);

        if (r < 0)
                return error_set_errno(error, r, "%s/" ADOPT_FILE, store->path);
        return parse(&buffer, ret, error);
}

void adopt_end(const ReleaseStore *store, const Record *record) {
        Placement placement = { .store = store };
        Error error = {};
        int r;

        if (!record->good.version && placement_clear(&placement, &error) < 0)
                log_warning("%s: %s", store->path, error.message);
        r = file_remove_at(store->app_fd, ADOPT_FILE); /* at last: as long as it is there, this is not over */
        if (r < 0)
                log_warning("%s/" ADOPT_FILE ": %s", store->path, strerror(-r));
}

void adopt_end_after_crash(const ReleaseStore *store, const Record *record) {
        bool goes_on = record->deployment.kind == KIND_ADOPT && record->deployment.outcome == OUTCOME_RUNNING;

        if (!goes_on && faccessat(store->app_fd, ADOPT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                adopt_end(store, record);
}
