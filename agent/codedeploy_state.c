#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/codedeploy_cleanup.h"
#include "agent/codedeploy_state.h"
#include "artifacts/json.h"

#define INSTRUCTIONS "deployment-instructions"
#define ONGOING "ongoing-deployment"
#define ARCHIVE "deployment-archive"
#define LAST_SUCCESSFUL "_last_successful_install"
#define MOST_RECENT "_most_recent_install"
#define INSTALL "-install.json"
#define CLEANUP "-cleanup"
#define POINTER_SIZE_MAX (2U * PATH_MAX)

static const char *const suffixes[] = { LAST_SUCCESSFUL, MOST_RECENT, INSTALL, CLEANUP };

static void group_deinit(CodedeployGroup *group) {
        free(group->id);
        free(group->last_successful);
        free(group->most_recent);
        free(group->archive);
        strv_free(group->installed);
        free(group->problem);
        *group = (CodedeployGroup){};
}

void codedeploy_state_deinit(CodedeployState *state) {
        for (size_t i = 0; i < state->n; i++)
                group_deinit(&state->groups[i]);
        free(state->groups);
        strv_free(state->ongoing);
        *state = (CodedeployState){};
}

const CodedeployGroup *codedeploy_state_find(const CodedeployState *state, const char *id) {
        for (size_t i = 0; i < state->n; i++)
                if (strcmp(state->groups[i].id, id) == 0)
                        return &state->groups[i];
        return NULL;
}

/* Parts */

int codedeploy_parse_pointer(const char *group, const void *data, size_t size, char **ret) {
        _cleanup_free_ char *text = strndup(data, size);
        size_t length = strlen(group);
        char *deployment;

        if (!text)
                return -ENOMEM;
        if (memchr(data, '\0', size))
                return -EBADMSG;
        text[strcspn(text, "\n")] = '\0';
        deployment = strrchr(text, '/');
        if (text[0] != '/' || !deployment || (size_t) (deployment - text) <= length ||
            strncmp(deployment - length, group, length) != 0 || *(deployment - length - 1) != '/' ||
            !name_is_valid(deployment + 1))
                return -EBADMSG;
        *ret = strdup(deployment + 1);
        return *ret ? 0 : -ENOMEM;
}

int codedeploy_parse_instructions(const char *name, const void *data, size_t size,
                                  CodedeployInstructions *ret, Error *error) {
        _cleanup_json_ json_t *whole = NULL;
        CodedeployInstructions found = {};
        json_t *list, *item;
        size_t i;
        int r;

        r = json_read(name, data, size, CODEDEPLOY_INSTRUCTIONS_SIZE_MAX, &whole, error);
        if (r < 0)
                return r;
        list = json_object_get(whole, "instructions");
        if (!json_is_array(list))
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "%s: expected instructions", name);
        json_array_foreach(list, i, item) {
                const char *type = json_string_value(json_object_get(item, "type"));
                const char *source = json_string_value(json_object_get(item, "source"));
                bool is_copy = string_equal(type, "copy");

                found.n += is_copy || string_equal(type, "mkdir");
                if (is_copy && source && !found.source && string_set(&found.source, source) < 0)
                        return error_oom(error);
        }
        *ret = found;
        return 0;
}

/* The folder */

typedef struct Reader {
        const char *root_dir;
        int root_fd;
        int instructions_fd; /* -1: there is none */
} Reader;

/* 1, or 0 where there is no such file. */
static int read_instruction(const Reader *reader, const char *group, const char *suffix, size_t limit,
                            Buffer *buffer, Error *error) {
        char name[NAME_MAX + 1];
        int r;

        (void) snprintf(name, sizeof(name), "%s%s", group, suffix);
        r = reader->instructions_fd < 0 ? -ENOENT
                                        : file_read_at(reader->instructions_fd, name, limit, buffer);
        if (r < 0 && r != -ENOENT)
                return error_set_errno(error, r, "cannot read %s/" INSTRUCTIONS "/%s", reader->root_dir,
                                       name);
        return r >= 0;
}

static _printf_(2, 3) int set_problem(CodedeployGroup *group, const char *format, ...) {
        va_list arguments;
        int r;

        if (group->problem)
                return 0;
        va_start(arguments, format);
        r = vasprintf(&group->problem, format, arguments);
        va_end(arguments);
        if (r < 0)
                group->problem = NULL;
        return r < 0 ? -ENOMEM : 0;
}

/* Leaves *RET NULL where there is no pointer. */
static int read_pointer(const Reader *reader, CodedeployGroup *group, const char *suffix, char **ret,
                        Error *error) {
        _cleanup_buffer_ Buffer buffer = {};
        int r;

        r = read_instruction(reader, group->id, suffix, POINTER_SIZE_MAX, &buffer, error);
        if (r <= 0)
                return r;
        r = codedeploy_parse_pointer(group->id, buffer_string(&buffer), buffer.size, ret);
        if (r == -EBADMSG)
                r = set_problem(group, "%s%s names no folder of a deployment: it was not written to its end",
                                group->id, suffix);
        return r < 0 ? error_oom(error) : 0;
}

static int find_archive(const Reader *reader, CodedeployGroup *group, Error *error) {
        _cleanup_free_ char *path = NULL;
        struct stat st;

        if (!group->last_successful)
                return 0;
        if (asprintf(&path, "%s/%s/%s/" ARCHIVE, reader->root_dir, group->id, group->last_successful) < 0)
                return error_oom(error);
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                return set_problem(group, "the deployment-archive of %s is not there",
                                   group->last_successful) < 0
                               ? error_oom(error)
                               : 0;
        group->archive = TAKE_PTR(path);
        return 0;
}

static int read_cleanup(const Reader *reader, CodedeployGroup *group, Error *error) {
        _cleanup_buffer_ Buffer buffer = {};
        Error problem;
        int r;

        r = read_instruction(reader, group->id, CLEANUP, CODEDEPLOY_CLEANUP_SIZE_MAX, &buffer, error);
        if (r < 0)
                return r;
        if (r == 0)
                return set_problem(group,
                                   "there is no list of what was installed (%s" CLEANUP
                                   "): an install removed it and wrote none anew",
                                   group->id) < 0
                               ? error_oom(error)
                               : 0;
        r = codedeploy_cleanup_parse(buffer.data ?: (const uint8_t *) "", buffer.size, &group->installed,
                                     &group->n_installed, &problem);
        if (r < 0 && r != -ENOMEM)
                r = set_problem(group, "%s" CLEANUP ": %s", group->id, problem.message);
        return r < 0 ? error_oom(error) : 0;
}

/* Whether what is installed is the last successful install, and all of it. */
static int check_instructions(const Reader *reader, CodedeployGroup *group, Error *error) {
        _cleanup_free_ char *folder = NULL, *name = NULL, *source = NULL;
        _cleanup_buffer_ Buffer buffer = {};
        CodedeployInstructions found = {};
        Error problem;
        int r;

        r = read_instruction(reader, group->id, INSTALL, CODEDEPLOY_INSTRUCTIONS_SIZE_MAX, &buffer, error);
        if (r <= 0 || !group->last_successful)
                return r;
        if (asprintf(&folder, "/%s/%s/" ARCHIVE "/", group->id, group->last_successful) < 0 ||
            asprintf(&name, "%s" INSTALL, group->id) < 0)
                return error_oom(error);
        r = codedeploy_parse_instructions(name, buffer.data, buffer.size, &found, &problem);
        source = found.source;
        if (r < 0)
                r = set_problem(group, "%s", problem.message);
        else if (source && !strstr(source, folder))
                r = set_problem(group, "an install after %s was begun and did not end",
                                group->last_successful);
        else if (found.n > group->n_installed)
                r = set_problem(group, "of %zu files and folders that %s was to install, %zu are", found.n,
                                group->last_successful, group->n_installed);
        return r < 0 ? error_oom(error) : 0;
}

static int read_group(const Reader *reader, CodedeployGroup *group, Error *error) {
        int r;

        r = read_pointer(reader, group, LAST_SUCCESSFUL, &group->last_successful, error);
        if (r >= 0)
                r = read_pointer(reader, group, MOST_RECENT, &group->most_recent, error);
        if (r >= 0 && !group->last_successful && set_problem(group, "no revision was ever installed") < 0)
                r = error_oom(error);
        if (r >= 0)
                r = find_archive(reader, group, error);
        if (r >= 0 && group->last_successful)
                r = read_cleanup(reader, group, error);
        if (r >= 0)
                r = check_instructions(reader, group, error);
        return r < 0 ? r : 0;
}

/* Names */

static int add_name(char ***names, const char *name, size_t length) {
        _cleanup_free_ char *copy = strndup(name, length);

        if (!copy)
                return -ENOMEM;
        if (!name_is_valid(copy) || strv_contains(*names, copy))
                return 0;
        return strv_length(*names) >= CODEDEPLOY_GROUPS_MAX ? -E2BIG : strv_append(names, copy);
}

/* What muster makes for scripts that look for their bundle there (codedeploy_paths.h). */
static bool is_link(int dirfd, const char *deployment) {
        char path[NAME_MAX + sizeof("/" ARCHIVE)];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s/" ARCHIVE, deployment);
        return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* A folder with one in it that is called as deployments are. */
static bool holds_deployments(int root_fd, const char *name) {
        _cleanup_close_ int fd = file_open_at(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        _cleanup_closedir_ DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!folder)
                return false;
        fd = -1;
        while ((entry = readdir(folder)))
                if (string_starts_with(entry->d_name, "d-") && !is_link(dirfd(folder), entry->d_name))
                        return true;
        return false;
}

static int names_of_instructions(const char *name, char ***names) {
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (string_ends_with(name, suffixes[i]))
                        return add_name(names, name, strlen(name) - strlen(suffixes[i]));
        return 0;
}

/* Adds to NAMES what the folder FD has: files of instructions, or folders of groups. FD is closed. */
static int collect_names(int fd, int root_fd, char ***names) {
        _cleanup_closedir_ DIR *folder = fdopendir(fd);
        const struct dirent *entry;
        int r = 0;

        if (!folder) {
                close_fd(fd);
                return -errno;
        }
        while (r >= 0 && (entry = readdir(folder)))
                if (root_fd < 0)
                        r = names_of_instructions(entry->d_name, names);
                else if (entry->d_name[0] != '.' && holds_deployments(root_fd, entry->d_name) &&
                         strcmp(entry->d_name, ONGOING) != 0)
                        r = add_name(names, entry->d_name, strlen(entry->d_name));
        return r;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int read_ongoing(const Reader *reader, char ***ret) {
        int fd = file_open_at(reader->root_fd, ONGOING, O_RDONLY | O_DIRECTORY, 0);
        _cleanup_closedir_ DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;
        int r = 0;

        if (!folder) {
                close_fd(fd);
                return 0;
        }
        while (r >= 0 && (entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        r = add_name(ret, entry->d_name, strlen(entry->d_name));
        return r;
}

static int read_groups(const Reader *reader, char **names, CodedeployState *state, Error *error) {
        state->groups = calloc(strv_length(names) + 1, sizeof(*state->groups));
        if (!state->groups)
                return error_oom(error);
        STRV_FOREACH(name, names) {
                CodedeployGroup *group = &state->groups[state->n++];
                int r = string_set(&group->id, *name) < 0 ? error_oom(error)
                                                          : read_group(reader, group, error);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_all(const Reader *reader, CodedeployState *state, Error *error) {
        _cleanup_strv_ char **names = NULL;
        int fd, r = 0;

        if (reader->instructions_fd >= 0)
                r = collect_names(fcntl(reader->instructions_fd, F_DUPFD_CLOEXEC, 3), -1, &names);
        if (r >= 0) {
                fd = file_open_at(reader->root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
                r = fd < 0 ? fd : collect_names(fd, reader->root_fd, &names);
        }
        if (r >= 0)
                r = read_ongoing(reader, &state->ongoing);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", reader->root_dir);
        if (names)
                qsort(names, strv_length(names), sizeof(char *), compare_names);
        return read_groups(reader, names, state, error);
}

int codedeploy_state_read(const char *root_dir, CodedeployState *ret, Error *error) {
        _cleanup_(codedeploy_state_deinit) CodedeployState state = {};
        _cleanup_close_ int root_fd = -1, instructions_fd = -1;
        Reader reader;
        int r;

        root_fd = file_open_at(AT_FDCWD, root_dir, O_RDONLY | O_DIRECTORY, 0);
        if (root_fd == -ENOENT || root_fd == -ENOTDIR)
                return 0;
        if (root_fd < 0)
                return error_set_errno(error, root_fd, "cannot open %s", root_dir);
        instructions_fd = file_open_at(root_fd, INSTRUCTIONS, O_RDONLY | O_DIRECTORY, 0);
        if (instructions_fd < 0 && instructions_fd != -ENOENT)
                return error_set_errno(error, instructions_fd, "cannot open %s/" INSTRUCTIONS, root_dir);
        reader = (Reader){ root_dir, root_fd, instructions_fd };
        r = read_all(&reader, &state, error);
        if (r < 0)
                return r;
        *ret = state;
        state = (CodedeployState){};
        return 1;
}
