#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "hooks/hook_command.h"

#define SHELL "/bin/sh"

static int refuse(Error *error, const char *what) {
        return error_set_fault(error, -ENOEXEC, FAULT_RELEASE, "%s", what);
}

/* Links within the release are followed, none leads out of it. */
static int open_script(int release_dirfd, const char *location, struct stat *ret_stat, Error *error) {
        _cleanup_close_ int fd = file_open_beneath(release_dirfd, location, O_RDONLY | O_NOCTTY | O_NONBLOCK);

        if (fd == -ENOENT || fd == -ENOTDIR)
                return error_set_fault(error, -ENOENT, FAULT_RELEASE, "the release has no such file");
        if (fd == -EXDEV)
                return refuse(error, "it leads out of the release");
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open it");
        if (fstat(fd, ret_stat) < 0)
                return error_set_errno(error, -errno, "cannot look at it");
        if (!S_ISREG(ret_stat->st_mode))
                return refuse(error, "it is not a file");
        return TAKE_FD(fd);
}

static int read_script(int release_dirfd, const char *location, Script *ret, bool *ret_runnable,
                       Error *error) {
        char head[SCRIPT_HEAD_SIZE];
        _cleanup_close_ int fd = -1;
        struct stat st = {};
        ssize_t n;

        fd = open_script(release_dirfd, location, &st, error);
        if (fd < 0)
                return fd;
        n = pread(fd, head, sizeof(head), 0);
        if (n < 0)
                return error_set_errno(error, -errno, "cannot read it");
        *ret_runnable = st.st_mode & 0111;
        return script_classify(head, (size_t) n, ret, error);
}

int hook_command_judge(const Script *script, bool runnable, const char **ret_warning, Error *error) {
        *ret_warning = NULL;
        switch (script->kind) {
        case SCRIPT_BINARY:
                return runnable ? 0 : refuse(error, "it is a program without a run bit (chmod +x)");
        case SCRIPT_INTERPRETED:
                if (!runnable)
                        *ret_warning = "it has no run bit (chmod +x); it is run all the same";
                return 0;
        case SCRIPT_PLAIN:
                *ret_warning = "its first line names no interpreter (#!/bin/sh); " SHELL " runs it";
                return 0;
        }
        return 0;
}

/* What is put before the script, if it is not executed itself. */
static int add_interpreter(const Script *script, bool runnable, char ***argv, Error *error) {
        int r;

        switch (script->kind) {
        case SCRIPT_BINARY:
                return 0;
        case SCRIPT_INTERPRETED:
                if (access(script->interpreter, X_OK) < 0)
                        return error_set_fault(
                                error, -ENOEXEC, FAULT_RELEASE,
                                "its interpreter %s is not on this instance, or cannot be executed",
                                script->interpreter);
                if (runnable)
                        return 0;
                r = strv_append(argv, script->interpreter);
                if (r >= 0 && *script->argument)
                        r = strv_append(argv, script->argument);
                return r < 0 ? error_oom(error) : 0;
        case SCRIPT_PLAIN:
                return strv_append(argv, SHELL) < 0 ? error_oom(error) : 0;
        }
        return 0;
}

int hook_command_make(int release_dirfd, const char *release_folder, const HookScript *script,
                      char ***ret_argv, const char **ret_warning, Error *error) {
        _cleanup_strv_ char **argv = NULL;
        const char *warning = NULL;
        bool runnable = false;
        Script kind;
        int r;

        if (strv_length(script->args) > HOOK_ARGUMENTS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_RELEASE, "more than %u arguments",
                                       HOOK_ARGUMENTS_MAX);
        r = read_script(release_dirfd, script->location, &kind, &runnable, error);
        if (r >= 0)
                r = hook_command_judge(&kind, runnable, &warning, error);
        if (r >= 0)
                r = add_interpreter(&kind, runnable, &argv, error);
        if (r < 0)
                return r;
        r = strv_appendf(&argv, "%s/%s", release_folder, script->location);
        if (r >= 0)
                r = strv_extend(&argv, script->args);
        if (r < 0)
                return error_oom(error);
        *ret_argv = TAKE_PTR(argv);
        *ret_warning = warning;
        return 0;
}
