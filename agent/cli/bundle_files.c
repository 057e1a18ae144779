#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/cli/bundle_files.h"
#include "hooks/hook_command.h"

static_assert(ARCHIVE_HEAD_SIZE >= SCRIPT_HEAD_SIZE, "what is read of a file tells what it is");

typedef struct NamedFiles {
        ArchiveFile *files;
        const char **sections; /* where each is named */
        bool *scripts;         /* whether it is a hook's */
        size_t n, max;
} NamedFiles;

static void named_files_deinit(NamedFiles *named) {
        free(named->files);
        free(named->sections);
        free(named->scripts);
}

static int named_files_init(NamedFiles *named, const Release *release) {
        named->max = release->units.n + release->health.n;
        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                named->max += release->hooks[event].n;
        named->files = calloc(named->max + 1, sizeof(*named->files));
        named->sections = calloc(named->max + 1, sizeof(*named->sections));
        named->scripts = calloc(named->max + 1, sizeof(*named->scripts));
        return named->files && named->sections && named->scripts ? 0 : -ENOMEM;
}

static void add_file(NamedFiles *named, const char *path, const char *section, bool script) {
        if (!path || path[0] == '/')
                return;
        named->files[named->n].path = path;
        named->sections[named->n] = section;
        named->scripts[named->n++] = script;
}

static void collect_files(const Release *release, NamedFiles *named) {
        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                for (size_t i = 0; i < release->hooks[event].n; i++)
                        add_file(named, release->hooks[event].items[i].location,
                                 lifecycle_event_to_string(event), true);
        for (size_t i = 0; i < release->units.n; i++)
                add_file(named, release->units.items[i].file, "units", false);
        for (size_t i = 0; i < release->health.n; i++)
                if (release->health.items[i].command.n > 0)
                        add_file(named, release->health.items[i].command.items[0], "health", false);
}

/* A link is left to what it leads to: the packer has its rules for links. */
static int look_in_folder(int folder, ArchiveFile *file, Error *error) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        ssize_t n;

        fd = file_open_at(folder, file->path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
        if (fd == -ENOENT || fd == -ENOTDIR)
                return 0;
        file->is_link = fd == -ELOOP;
        file->found = fd == -ELOOP;
        if (file->is_link)
                return 0;
        if (fd < 0)
                return error_set_errno(error, fd, "%s", file->path);
        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "%s", file->path);
        file->found = S_ISREG(st.st_mode);
        if (!file->found)
                return 0;
        file->mode = st.st_mode;
        n = pread(fd, file->head, sizeof(file->head), 0);
        if (n < 0)
                return error_set_errno(error, -errno, "%s", file->path);
        file->head_size = (size_t) n;
        return 0;
}

static int look(const Bundle *bundle, NamedFiles *named, Error *error) {
        int r = 0;

        if (bundle->folder < 0)
                return archive_find(bundle->archive, &bundle->facts, named->files, named->n, error);
        for (size_t i = 0; i < named->n && r >= 0; i++)
                r = look_in_folder(bundle->folder, &named->files[i], error);
        return r;
}

static int judge_script(const ArchiveFile *file, const char **ret_warning, Error *error) {
        Script script;
        int r;

        *ret_warning = NULL;
        if (file->is_link)
                return 0;
        r = script_classify(file->head, MIN(file->head_size, (size_t) SCRIPT_HEAD_SIZE), &script, error);
        return r < 0 ? r : hook_command_judge(&script, file->mode & 0111, ret_warning, error);
}

static int check_file(const Bundle *bundle, const NamedFiles *named, size_t i, const Cli *cli, Error *error) {
        const ArchiveFile *file = &named->files[i];
        const char *warning = NULL;
        int r = 0;

        if (!file->found)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "%s: there is no file %s, which %s names in its appspec", bundle->path,
                                       file->path, named->sections[i]);
        if (named->scripts[i])
                r = judge_script(file, &warning, error);
        if (r < 0) {
                error_blame(error, FAULT_INPUT);
                error_prefix(error, "%s: %s of %s", bundle->path, file->path, named->sections[i]);
        } else if (warning) {
                cli_warn(cli, "%s: %s of %s: %s", bundle->path, file->path, named->sections[i], warning);
        }
        return r;
}

int bundle_check_files(const Bundle *bundle, const Release *release, const Cli *cli, Error *error) {
        _cleanup_(named_files_deinit) NamedFiles named = {};
        int r;

        if (named_files_init(&named, release) < 0)
                return error_oom(error);
        collect_files(release, &named);
        r = named.n > 0 ? look(bundle, &named, error) : 0;
        for (size_t i = 0; i < named.n && r >= 0; i++)
                r = check_file(bundle, &named, i, cli, error);
        return r;
}
