#include <string.h>
#include <sys/stat.h>

#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "units/unit_file.h"
#include "units/unit_name.h"

#define MARK_BEGIN "# Installed by muster: "
#define MARK_APP " of app "
#define MARK_END ". Changes made here are lost.\n"
#define MARK_MAX (UNIT_NAME_MAX + UNIT_FILE_APP_MAX + 128U)
#define DROP_IN_PATH_MAX (UNIT_NAME_MAX + sizeof(".d/" UNIT_FILE_DROP_IN))

const char *const unit_files_reserved[] = {
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/run/systemd/generator.early",
        "/etc/systemd/system.attached",
        "/run/systemd/system",
        "/run/systemd/system.attached",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
        "/run/systemd/generator.late",
        NULL,
};

int unit_files_open(Error *error) {
        int fd;

        fd = file_open_folder_at(AT_FDCWD, UNIT_FILES_INSTALL_FOLDER, 0755);
        return fd < 0 ? error_set_errno(error, fd, UNIT_FILES_INSTALL_FOLDER) : fd;
}

bool unit_file_is_marked(const char *text, const char *name, char ret_app[static UNIT_FILE_APP_MAX]) {
        const char *p = text, *end;
        size_t n = strlen(name);

        if (!string_starts_with(p, MARK_BEGIN))
                return false;
        p += strlen(MARK_BEGIN);
        if (strncmp(p, name, n) != 0 || !string_starts_with(p + n, MARK_APP))
                return false;
        p += n + strlen(MARK_APP);
        end = strstr(p, MARK_END);
        if (!end || (size_t) (end - p) >= UNIT_FILE_APP_MAX || memchr(p, '\n', (size_t) (end - p)))
                return false;
        memcpy(ret_app, p, (size_t) (end - p));
        ret_app[end - p] = '\0';
        return name_is_valid(ret_app);
}

static int check_name(const char *app, const char *name, Error *error) {
        if (!name_is_valid(app))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "'%s' is not the name of an app", app);
        if (!unit_name_is_valid(name))
                return error_set_fault(
                        error, -EINVAL, FAULT_RELEASE,
                        "'%s' is not the name of a service, socket, timer, path, target or slice unit", name);
        return 0;
}

/* Masking is the operator's doing, who does not want the unit to run here now. */
static bool is_masked(int dirfd, const char *path) {
        char target[sizeof("/dev/null")];
        ssize_t n = readlinkat(dirfd, path, target, sizeof(target));

        return n == (ssize_t) strlen("/dev/null") && memcmp(target, "/dev/null", (size_t) n) == 0;
}

static int set_masked(Error *error, const char *name, const char *folder) {
        return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_HOST,
                               "%s is masked on this instance (in %s): systemctl unmask it", name, folder);
}

/* Whose the file PATH is, that would carry the mark of unit NAME. */
static int owner_by_mark(int dirfd, const char *path, const char *app, const char *name, Error *error) {
        char text[MARK_MAX], other[UNIT_FILE_APP_MAX];
        _cleanup_close_ int fd = -1;
        struct stat st;
        ssize_t n;

        fd = file_open_at(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        if (fd == -ENOENT)
                return UNIT_OWNER_NOBODY;
        if (fd == -ELOOP && is_masked(dirfd, path))
                return set_masked(error, name, UNIT_FILES_INSTALL_FOLDER);
        if (fd == -ELOOP)
                return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_RELEASE,
                                       "%s is a link on this instance (another unit's alias, say)", path);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", path);
        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "%s", path);
        n = S_ISREG(st.st_mode) ? pread(fd, text, sizeof(text) - 1, 0) : 0;
        if (n < 0)
                return error_set_errno(error, -errno, "%s", path);
        text[n] = '\0';
        if (!unit_file_is_marked(text, name, other))
                return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_RELEASE,
                                       "%s is there already, and was not installed by muster", path);
        if (strcmp(other, app) != 0)
                return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_RELEASE, "%s belongs to app %s", path,
                                       other);
        return UNIT_OWNER_APP;
}

int unit_file_owner(const UnitFiles *files, const char *app, const char *name, Error *error) {
        int r;

        r = check_name(app, name, error);
        if (r < 0)
                return r;
        if (unit_name_is_reserved(name))
                return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_RELEASE,
                                       "%s is a name that systemd or muster itself uses", name);
        for (const char *const *folder = files->reserved; *folder; folder++) {
                _cleanup_free_ char *path = NULL;
                struct stat st;

                if (asprintf(&path, "%s/%s", *folder, name) < 0)
                        return error_oom(error);
                if (is_masked(AT_FDCWD, path))
                        return set_masked(error, name, *folder);
                if (lstat(path, &st) == 0)
                        return error_set_fault(error, UNIT_OWNER_OTHER, FAULT_RELEASE,
                                               "%s is a unit of this system: there is %s", name, path);
        }
        return owner_by_mark(files->dirfd, name, app, name, error);
}

int unit_file_check_masked(const UnitFiles *files, const char *name, Error *error) {
        if (is_masked(files->dirfd, name))
                return set_masked(error, name, UNIT_FILES_INSTALL_FOLDER), -EBUSY;
        for (const char *const *folder = files->reserved; *folder; folder++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", *folder, name) < 0)
                        return error_oom(error);
                if (is_masked(AT_FDCWD, path))
                        return set_masked(error, name, *folder), -EBUSY;
        }
        return 0;
}

int unit_file_installed(const UnitFiles *files, const char *app, const char *name, Error *error) {
        int r;

        r = check_name(app, name, error);
        return r < 0 ? r : owner_by_mark(files->dirfd, name, app, name, error);
}

static int add_mark(Buffer *buffer, const char *app, const char *name) {
        return buffer_printf(buffer, MARK_BEGIN "%s" MARK_APP "%s" MARK_END, name, app);
}

/* Writes PATH unless it has this content. */
static int replace_if_different(int dirfd, const char *path, const Buffer *content, bool *ret_changed,
                                Error *error) {
        _cleanup_buffer_ Buffer before = {};
        int r;

        r = file_read_at(dirfd, path, UNIT_FILE_SIZE_MAX + MARK_MAX, &before);
        if (r >= 0 && before.size == content->size &&
            memcmp(before.data, content->data, content->size) == 0) {
                *ret_changed = false;
                return 0;
        }
        r = file_replace_at(dirfd, path, content->data, content->size, 0644);
        if (r < 0)
                return error_set_errno(error, r, "cannot write " UNIT_FILES_INSTALL_FOLDER "/%s", path);
        *ret_changed = true;
        return 0;
}

int unit_file_install(const UnitFiles *files, const char *app, const char *name, int source_fd,
                      bool *ret_changed, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        size_t mark;
        int r;

        r = unit_file_owner(files, app, name, error);
        if (r == UNIT_OWNER_OTHER)
                return -EEXIST;
        if (r < 0)
                return r;
        r = add_mark(&content, app, name);
        if (r < 0)
                return error_oom(error);
        mark = content.size;
        if (lseek(source_fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, -errno, "unit file %s", name);
        r = file_read_fd(source_fd, UNIT_FILE_SIZE_MAX, &content);
        if (r == -E2BIG)
                return error_set_fault(error, r, FAULT_RELEASE, "unit file %s is larger than %u bytes", name,
                                       UNIT_FILE_SIZE_MAX);
        if (r < 0)
                return error_set_errno(error, r, "unit file %s", name);
        if (memchr(content.data + mark, '\0', content.size - mark))
                return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                                       "unit file %s has a zero byte: it is no text", name);
        return replace_if_different(files->dirfd, name, &content, ret_changed, error);
}

/* systemd takes the rest of the line as the path, and % for a specifier. */
static int add_environment(Buffer *content, const char *path) {
        int r;

        r = buffer_printf(content, "[Service]\nEnvironmentFile=");
        for (const char *p = path; r >= 0 && *p; p++)
                r = buffer_printf(content, *p == '%' ? "%%%%" : "%c", *p);
        return r < 0 ? r : buffer_printf(content, "\n");
}

static int check_environment_path(const char *path, Error *error) {
        if (*path != '/' || strlen(path) >= PATH_MAX)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "environment file '%s': not an absolute path", path);
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f || *p == '\\')
                        return error_set_fault(
                                error, -EINVAL, FAULT_INPUT,
                                "environment file: a control character or backslash in its path");
        return 0;
}

static void drop_in_path(const char *name, char ret[static DROP_IN_PATH_MAX]) {
        (void) snprintf(ret, DROP_IN_PATH_MAX, "%s.d/" UNIT_FILE_DROP_IN, name);
}

/* Removes PATH if it carries NAME's mark for APP. */
static int remove_marked(int dirfd, const char *path, const char *app, const char *name, bool *ret_changed,
                         Error *error) {
        int r;

        r = owner_by_mark(dirfd, path, app, name, error);
        if (r == UNIT_OWNER_OTHER)
                return -EEXIST;
        if (r <= 0) {
                *ret_changed = false;
                return r;
        }
        r = file_remove_at(dirfd, path);
        if (r < 0)
                return error_set_errno(error, r, "cannot remove " UNIT_FILES_INSTALL_FOLDER "/%s", path);
        *ret_changed = true;
        return 0;
}

static int remove_drop_in(const UnitFiles *files, const char *app, const char *name, bool *ret_changed,
                          Error *error) {
        char path[DROP_IN_PATH_MAX], folder[UNIT_NAME_MAX + sizeof(".d")];
        int r;

        drop_in_path(name, path);
        r = remove_marked(files->dirfd, path, app, name, ret_changed, error);
        if (r >= 0 && *ret_changed) {
                (void) snprintf(folder, sizeof(folder), "%s.d", name);
                (void) unlinkat(files->dirfd, folder,
                                AT_REMOVEDIR); /* others may have their drop-ins there */
        }
        return r;
}

int unit_file_set_environment(const UnitFiles *files, const char *app, const char *name,
                              const char *environment_file, bool *ret_changed, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        char path[DROP_IN_PATH_MAX], folder[UNIT_NAME_MAX + sizeof(".d")];
        _cleanup_close_ int fd = -1;
        int r;

        r = check_name(app, name, error);
        if (r < 0)
                return r;
        if (strcmp(unit_name_type(name), "service") != 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s: only services have an environment",
                                       name);
        if (!environment_file)
                return remove_drop_in(files, app, name, ret_changed, error);
        r = check_environment_path(environment_file, error);
        if (r < 0)
                return r;
        r = owner_by_mark(files->dirfd, name, app, name, error);
        if (r == UNIT_OWNER_NOBODY)
                return error_set(error, -ENOENT, "%s is not installed", name);
        if (r != UNIT_OWNER_APP)
                return r < 0 ? r : -EEXIST;
        drop_in_path(name, path);
        r = owner_by_mark(files->dirfd, path, app, name, error);
        if (r == UNIT_OWNER_OTHER)
                return -EEXIST;
        if (r < 0)
                return r;
        (void) snprintf(folder, sizeof(folder), "%s.d", name);
        fd = file_open_folder_at(files->dirfd, folder, 0755);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot make " UNIT_FILES_INSTALL_FOLDER "/%s", folder);
        if (add_mark(&content, app, name) < 0 || add_environment(&content, environment_file) < 0)
                return error_oom(error);
        return replace_if_different(files->dirfd, path, &content, ret_changed, error);
}

int unit_file_remove(const UnitFiles *files, const char *app, const char *name, bool *ret_changed,
                     Error *error) {
        bool file = false, drop_in = false;
        int r;

        r = check_name(app, name, error);
        if (r >= 0)
                r = remove_marked(files->dirfd, name, app, name, &file, error);
        if (r >= 0)
                r = remove_drop_in(files, app, name, &drop_in, error);
        if (r >= 0)
                *ret_changed = file || drop_in;
        return r;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int add_owned(const UnitFiles *files, const char *app, const char *name, char ***names, Error *error) {
        int r;

        if (!unit_name_is_valid(name) || owner_by_mark(files->dirfd, name, app, name, NULL) != UNIT_OWNER_APP)
                return 0;
        if (strv_length(*names) >= UNIT_FILES_MAX)
                return error_set(error, -E2BIG, "app %s has more than %u units", app, UNIT_FILES_MAX);
        r = strv_append(names, name);
        return r < 0 ? error_oom(error) : 0;
}

int unit_files_list(const UnitFiles *files, const char *app, char ***ret, Error *error) {
        _cleanup_strv_ char **names = NULL;
        _cleanup_closedir_ DIR *folder = NULL;
        const char *name;
        int fd, r;

        fd = file_open_at(files->dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
        r = fd < 0 ? fd : folder_take(fd, &folder);
        if (r < 0)
                return error_set_errno(error, r, UNIT_FILES_INSTALL_FOLDER);
        while ((r = folder_next(folder, &name)) > 0) {
                r = add_owned(files, app, name, &names, error);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return error_set_errno(error, r, UNIT_FILES_INSTALL_FOLDER);
        if (names)
                qsort(names, strv_length(names), sizeof(*names), compare_names);
        *ret = TAKE_PTR(names);
        return 0;
}
