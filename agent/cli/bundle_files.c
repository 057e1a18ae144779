#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/bundle_files.h"
#include "hooks/hook_command.h"
#include "units/unit_text.h"

static_assert(ARCHIVE_HEAD_SIZE >= SCRIPT_HEAD_SIZE, "what is read of a file tells what it is");

typedef struct NamedFile {
        const char *section; /* "hooks.AfterInstall"; where: "hooks.AfterInstall[1].location" */
        size_t index;
        const char *key;
        unsigned line;
        bool script;             /* it is a hook's */
        bool idle;               /* its event does not happen */
        const ReleaseUnit *unit; /* it is that one's; NULL: no unit's */
} NamedFile;

typedef struct NamedFiles {
        ArchiveFile *files;
        NamedFile *names; /* of each */
        size_t n, max;
} NamedFiles;

static void named_files_deinit(NamedFiles *named) {
        free(named->files);
        free(named->names);
}

static int named_files_init(NamedFiles *named, const Release *release) {
        named->max = release->units.n + release->health.n;
        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                named->max += release->hooks[event].n;
        named->files = calloc(named->max + 1, sizeof(*named->files));
        named->names = calloc(named->max + 1, sizeof(*named->names));
        return named->files && named->names ? 0 : -ENOMEM;
}

static void add_file(NamedFiles *named, const char *path, const NamedFile *name) {
        if (!path || path[0] == '/')
                return;
        named->files[named->n].path = path;
        named->names[named->n++] = *name;
}

static void collect_hooks(const Release *release, LifecycleEvent event, NamedFiles *named) {
        const ReleaseHooks *hooks = &release->hooks[event];

        for (size_t i = 0; i < hooks->n; i++)
                add_file(named, hooks->items[i].location,
                         &(NamedFile){ .section = lifecycle_event_to_string(event),
                                       .index = i,
                                       .key = "location",
                                       .line = hooks->items[i].line,
                                       .script = true,
                                       .idle = lifecycle_event_is_traffic(event) &&
                                               release->traffic == RELEASE_TRAFFIC_NONE });
}

static void collect_files(const Release *release, NamedFiles *named) {
        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                collect_hooks(release, event, named);
        for (size_t i = 0; i < release->units.n; i++)
                add_file(named, release->units.items[i].file,
                         &(NamedFile){ .section = "units",
                                       .index = i,
                                       .key = "file",
                                       .line = release->units.items[i].line,
                                       .unit = &release->units.items[i] });
        for (size_t i = 0; i < release->health.n; i++)
                if (release->health.items[i].command.n > 0)
                        add_file(named, release->health.items[i].command.items[0],
                                 &(NamedFile){ .section = "health",
                                               .index = i,
                                               .key = "command",
                                               .line = release->health.items[i].line });
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

/* A drop-in of the instances may have what the unit file lacks. */
static int judge_unit(const ArchiveFile *file, const ReleaseUnit *unit, const char **ret_warning) {
        _cleanup_free_ char *reload = NULL, *type = NULL;
        const char *text = (const char *) file->head;
        int r;

        *ret_warning = NULL;
        if (unit->on_deploy != ON_DEPLOY_RELOAD || file->is_link || file->head_size == sizeof(file->head))
                return 0;
        r = unit_text_value(text, file->head_size, "Service", "ExecReload", &reload);
        if (r >= 0)
                r = unit_text_value(text, file->head_size, "Service", "Type", &type);
        if (r >= 0 && (!reload || !*reload) && !string_equal(type, "notify-reload"))
                *ret_warning =
                        "it has no ExecReload=, and on_deploy is reload: every deployment but the first fails";
        return r;
}

static int judge_file(const ArchiveFile *file, const NamedFile *name, const char **ret_warning,
                      Error *error) {
        *ret_warning = NULL;
        if (name->script)
                return judge_script(file, ret_warning, error);
        if (name->unit && judge_unit(file, name->unit, ret_warning) < 0)
                return error_oom(error);
        return 0;
}

/* "app/appspec.yml:9: hooks.AfterInstall[0].location: " */
static const char *say_where(const char *appspec, const NamedFile *name, char ret[static ERROR_MESSAGE_MAX]) {
        char line[16] = "";

        if (name->line > 0)
                (void) snprintf(line, sizeof(line), ":%u", name->line);
        (void) snprintf(ret, ERROR_MESSAGE_MAX, "%s%s: %s%s[%zu].%s", appspec, line,
                        name->script ? "hooks." : "", name->section, name->index, name->key);
        return ret;
}

/* What is missing for an event that does not happen may be made up for by the next release that wants it. */
static int miss(const Bundle *bundle, const ArchiveFile *file, const char *where, bool idle, const Cli *cli,
                Error *error) {
        if (!idle)
                return error_set_fault(error, -ENOENT, FAULT_INPUT, "%s: there is no file %s in %s", where,
                                       file->path, bundle->path);
        cli_warn(cli, "%s: there is no file %s in %s", where, file->path, bundle->path);
        return 0;
}

static int check_file(const Bundle *bundle, const ArchiveFile *file, const NamedFile *name,
                      const char *appspec, const Cli *cli, Error *error) {
        char where[ERROR_MESSAGE_MAX];
        const char *warning = NULL;
        int r;

        say_where(appspec, name, where);
        if (!file->found)
                return miss(bundle, file, where, name->idle, cli, error);
        r = judge_file(file, name, &warning, error);
        if (r < 0) {
                error_blame(error, FAULT_INPUT);
                error_prefix(error, "%s: %s", where, file->path);
        } else if (warning) {
                cli_warn(cli, "%s: %s: %s", where, file->path, warning);
        }
        return r;
}

int bundle_check_files(const Bundle *bundle, const Release *release, const char *appspec, const Cli *cli,
                       Error *error) {
        _cleanup_(named_files_deinit) NamedFiles named = {};
        int r;

        if (named_files_init(&named, release) < 0)
                return error_oom(error);
        collect_files(release, &named);
        r = named.n > 0 ? look(bundle, &named, error) : 0;
        for (size_t i = 0; i < named.n && r >= 0; i++)
                r = check_file(bundle, &named.files[i], &named.names[i], appspec, cli, error);
        return r;
}
