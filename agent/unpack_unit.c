#include <errno.h>
#include <string.h>

#include "agent/unpack_unit.h"

#define PROGRAM MUSTER_LIBEXECDIR "/muster-unpack"
#define STAGING "/staging" /* where the folder lies inside */

/* Names as in org.freedesktop.systemd1(5). What needs neither a list of its own nor the staging folder. */
static const UnitProperty sandbox[] = {
        /* nothing to see */
        { .name = "TemporaryFileSystem",
          .signature = "a(ss)",
          .list = (const char *const[]){ "/:ro,size=64k", NULL } },
        { .name = "BindReadOnlyPaths",
          .signature = "a(ssbt)",
          .list = (const char *const[]){ "/usr:/usr", "/usr/lib:/lib", "-/usr/lib64:/lib64",
                                         "-/etc/ld.so.cache:/etc/ld.so.cache", NULL } },
        { .name = "MountAPIVFS", .signature = "b", .number = false },
        { .name = "NoExecPaths", .signature = "as", .list = (const char *const[]){ STAGING, NULL } },
        { .name = "DevicePolicy", .signature = "s", .text = "strict" },
        { .name = "KeyringMode", .signature = "s", .text = "private" },

        /* nobody to talk to */
        { .name = "PrivateNetwork", .signature = "b", .number = true },
        { .name = "RestrictAddressFamilies",
          .signature = "(bas)",
          .allow = true,
          .list = (const char *const[]){ NULL } },

        /* nobody to become */
        { .name = "NoNewPrivileges", .signature = "b", .number = true },
        { .name = "CapabilityBoundingSet", .signature = "t", .number = 0 },
        { .name = "AmbientCapabilities", .signature = "t", .number = 0 },
        { .name = "RestrictNamespaces", .signature = "t", .number = 0 },
        { .name = "RestrictSUIDSGID", .signature = "b", .number = true },
        { .name = "RestrictRealtime", .signature = "b", .number = true },
        { .name = "LockPersonality", .signature = "b", .number = true },
        { .name = "MemoryDenyWriteExecute", .signature = "b", .number = true },
        { .name = "ProtectClock", .signature = "b", .number = true },
        { .name = "SystemCallErrorNumber",
          .signature = "i",
          .number = ENOSYS }, /* ENOSYS: take another way, if there is one */
        { .name = "SystemCallArchitectures",
          .signature = "as",
          .list = (const char *const[]){ "native", NULL } },

        /* What the loader, the C library, its threads and unpack_writer.c need, and no more: no socket, no signal to others,
         * no change of owner or attributes, no rename, no removal, no reading of folders. */
        { .name = "SystemCallFilter",
          .signature = "(bas)",
          .allow = true,
          .list = (const char *const[]){ "@default",
                                         "@basic-io",
                                         "access",
                                         "brk",
                                         "clone",
                                         "clone3",
                                         "faccessat",
                                         "fchmod",
                                         "fcntl",
                                         "fstat",
                                         "futex",
                                         "linkat",
                                         "lseek",
                                         "madvise",
                                         "mkdirat",
                                         "mprotect",
                                         "mremap",
                                         "newfstatat",
                                         "open",
                                         "openat",
                                         "prctl",
                                         "rt_sigaction",
                                         "rt_sigprocmask",
                                         "setrlimit",
                                         "stat",
                                         "statx",
                                         "symlinkat",
                                         "sync_file_range",
                                         "sync_file_range2",
                                         "syncfs",
                                         "umask",
                                         "utimensat",
                                         NULL } },

        /* Nothing to exhaust. Where no cgroup counts (a container, say), the limits of the process hold. */
        { .name = "MemoryMax", .signature = "t", .number = UNPACK_MEMORY_MAX },
        { .name = "MemorySwapMax", .signature = "t", .number = 0 },
        { .name = "LimitAS", .signature = "t", .number = UNPACK_MEMORY_MAX },
        { .name = "LimitDATA", .signature = "t", .number = UNPACK_DATA_MAX },
        { .name = "LimitCORE", .signature = "t", .number = 0 },
        { .name = "LimitNOFILE", .signature = "t", .number = UNPACK_FILES_MAX },
        { .name = "LimitNPROC", .signature = "t", .number = UNPACK_USER_TASKS_MAX },
        { .name = "TasksMax", .signature = "t", .number = UNPACK_TASKS_MAX },
        { .name = "OOMScoreAdjust", .signature = "i", .number = 500 }, /* before anything that serves */
        { .name = "CPUWeight", .signature = "t", .number = 50 },
        { .name = "IOWeight", .signature = "t", .number = 50 },
        { .name = "UMask", .signature = "u", .number = 0 },
};

/* A staging folder has a name of 16 digits: "api" must not match what is of "api-2". */
int unpack_unit_pattern(const char *app, char **ret) {
        if (asprintf(ret, UNPACK_UNIT_FORMAT, app, "????????????????") < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

int unpack_unit_start_program(Manager *manager, const char *app, const char *deployment, const char *staging,
                              char *const *argv, int stdin_fd, int stdout_fd, TransientDone done,
                              void *userdata, Transient **ret, Error *error) {
        UnitProperty properties[ELEMENTSOF(sandbox) + 1];
        _cleanup_free_ char *name = NULL, *description = NULL, *bind = NULL;
        const char *slash = strrchr(staging, '/');
        TransientSpec spec = {
                .type = TRANSIENT_EXEC,
                .argv = argv,
                .user = UNPACK_USER,
                .group = UNPACK_USER,
                .working_directory = STAGING,
                .stdin_fd = stdin_fd,
                .stdout_fd = stdout_fd,
                .timeout_usec = UNPACK_TIMEOUT_USEC,
                .properties = properties,
                .n_properties = ELEMENTSOF(properties),
        };

        if (asprintf(&name, UNPACK_UNIT_FORMAT, app, slash ? slash + 1 : staging) < 0 ||
            asprintf(&description, "muster: unpacks %s (deployment %s)", app, deployment) < 0 ||
            asprintf(&bind, "%s:" STAGING, staging) < 0)
                return error_oom(error);
        memcpy(properties, sandbox, sizeof(sandbox));
        properties[ELEMENTSOF(sandbox)] = UNIT_BIND("BindPaths", bind);
        spec.name = name;
        spec.description = description;
        return transient_start(manager, &spec, done, userdata, ret, error);
}

int unpack_unit_start(Manager *manager, const char *app, const char *deployment, const char *staging,
                      int stdin_fd, int stdout_fd, TransientDone done, void *userdata, Transient **ret,
                      Error *error) {
        char *const argv[] = { (char[]){ PROGRAM }, NULL };

        return unpack_unit_start_program(manager, app, deployment, staging, argv, stdin_fd, stdout_fd, done,
                                         userdata, ret, error);
}
