#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/output.h"
#include "agent/cli/verify_installed.h"
#include "agent/config.h"
#include "agent/installed.h"
#include "agent/record.h"
#include "agent/root_update.h"

#define APPS_FOLDER "apps"
#define DRIFTS_MAX 10000U /* named of one release; the others are counted */

typedef struct Verification {
        const Cli *cli;
        Config *config;
        TrustRoot *root; /* NULL: there is none that can be read */
        int apps_fd;
        json_t *releases; /* what was found */
        bool failed;
} Verification;

static void verification_deinit(Verification *verification) {
        config_free(verification->config);
        trust_root_free(verification->root);
        close_fd(verification->apps_fd);
        json_decref(verification->releases);
}

static int add_drift(const TreeDrift *drift, void *userdata, Error *error) {
        json_t *drifts = userdata;
        char path[UNPACK_PATH_MAX + 1];

        if (json_array_size(drifts) >= DRIFTS_MAX)
                return 0;
        (void) entry_text_clean(drift->path, path, sizeof(path));
        return json_array_append_new(drifts, json_pack("{s:s, s:s, s:s}", "path", path, "kind",
                                                       tree_drift_kind_to_string(drift->kind), "detail",
                                                       drift->detail)) < 0
                       ? error_oom(error)
                       : 0;
}

/* The record has all digits of the digest of what was deployed, the name only some. */
static bool is_as_recorded(const Record *record, const char *name, const Release *release) {
        const ReleaseRef *refs[] = { &record->good, &record->previous };
        char other[STORE_NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(refs); i++)
                if (refs[i]->version && store_name(refs[i]->version, refs[i]->sha256, other) >= 0 &&
                    strcmp(name, other) == 0 && strcmp(refs[i]->sha256, release->sha256) != 0)
                        return false;
        return true;
}

/* Whether the document beside the release is the one that was deployed, and bears the signatures that the trust root asks
 * for today. */
static const char *check_signature(const Verification *verification, const ReleaseStore *store,
                                   const char *app, const Record *record, const char *name, Error *reason) {
        _cleanup_release_ Release *release = NULL, *verified = NULL;
        _cleanup_buffer_ Buffer document = {};

        if (installed_load(store, name, &document, &release, reason) < 0)
                return "bad";
        if (!is_as_recorded(record, name, release)) {
                (void) error_set(reason, -EBADMSG, "this is not the document that was deployed");
                return "bad";
        }
        if (!installed_is_signed(&document))
                return "none";
        if (!verification->root)
                return "unchecked";
        return release_open(verification->root, document.data, document.size,
                            clock_realtime(verification->cli->clock), app, release->version, NULL, &verified,
                            reason) < 0
                       ? "bad"
                       : "good";
}

/* "current", "previous" or "kept" */
static const char *role_of(const char *name, const char *current, const ReleaseRef *previous) {
        char other[STORE_NAME_SIZE];

        if (strcmp(name, current) == 0)
                return "current";
        if (previous->version && store_name(previous->version, previous->sha256, other) >= 0 &&
            strcmp(name, other) == 0)
                return "previous";
        return "kept";
}

static void print_release(const Cli *cli, const json_t *release) {
        const char *problem = json_string_value(json_object_get(release, "problem"));
        const char *state = json_string_value(json_object_get(release, "state"));
        const char *style = strcmp(state, "whole") == 0 || strcmp(state, "kept") == 0 ? cli->out_style.good
                                                                                      : cli->out_style.bad;
        json_int_t unnamed = json_integer_value(json_object_get(release, "differences"));
        const json_t *drift;
        size_t i;

        cli_say(cli, "%s %s (%s): %s%s%s%s%s", json_string_value(json_object_get(release, "app")),
                json_string_value(json_object_get(release, "release")),
                json_string_value(json_object_get(release, "role")), style, state, cli->out_style.off,
                problem ? ": " : "", problem ? problem : "");
        json_array_foreach(json_object_get(release, "drift"), i, drift) {
                cli_say(cli, "  %-8s %s: %s", json_string_value(json_object_get(drift, "kind")),
                        json_string_value(json_object_get(drift, "path")),
                        json_string_value(json_object_get(drift, "detail")));
                unnamed--;
        }
        if (unnamed > 0)
                cli_say(cli, "  and %" JSON_INTEGER_FORMAT " more", unnamed);
}

/* Takes DRIFTS over. */
static int add_release(Verification *verification, const char *app, const char *role,
                       const InstalledFinding *finding, const char *signature, json_t *drifts, Error *error) {
        json_t *release =
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s?, s:o}", "app", app, "release", finding->name,
                          "role", role, "state", installed_state_to_string(finding->state), "signature",
                          signature, "differences", (json_int_t) installed_differences(finding), "problem",
                          finding->problem[0] ? finding->problem : NULL, "drift", drifts);

        if (!release || json_array_append_new(verification->releases, release) < 0)
                return error_oom(error);
        if ((finding->state != INSTALLED_WHOLE && finding->state != INSTALLED_KEPT) ||
            strcmp(signature, "bad") == 0)
                verification->failed = true;
        print_release(verification->cli, release);
        return 0;
}

static int verify_release(Verification *verification, const ReleaseStore *store, const char *app,
                          const Record *record, const char *name, const char *role, Error *error) {
        const TreeRules rules = {}; /* root's */
        InstalledFinding finding;
        json_t *drifts = json_array();
        const char *signature;
        Error reason = {};

        if (!drifts)
                return error_oom(error);
        installed_check(store, name, &rules, false, add_drift, drifts, &finding);
        if (strcmp(role, "current") == 0)
                installed_check_files(store, name, add_drift, drifts, &finding);
        signature = check_signature(verification, store, app, record, name, &reason);
        if (strcmp(signature, "bad") == 0 && !finding.problem[0])
                utf8_format(finding.problem, sizeof(finding.problem), "its signature: %s", reason.message);
        else if (strcmp(signature, "none") == 0 && !finding.problem[0])
                (void) snprintf(finding.problem, sizeof(finding.problem),
                                "deployed locally, so nobody signed it");
        return add_release(verification, app, role, &finding, signature, drifts, error);
}

/* What the record says is here, and is not. */
static int find_missing(Verification *verification, const ReleaseStore *store, const char *app,
                        const ReleaseRef *release, const char *role, Error *error) {
        InstalledFinding finding = { .state = INSTALLED_FAILED };

        if (!release->version || store_name(release->version, release->sha256, finding.name) < 0 ||
            store_has(store, finding.name))
                return 0;
        (void) snprintf(finding.problem, sizeof(finding.problem), "it is not on the disk any more");
        return add_release(verification, app, role, &finding, "unchecked", json_array(), error);
}

static int verify_store(Verification *verification, const ReleaseStore *store, const char *app,
                        const Record *record, Error *error) {
        _cleanup_free_ StoreEntry *entries = NULL;
        char current[STORE_NAME_SIZE] = "";
        size_t n;
        int r;

        if (store_current(store, current, error) < 0)
                *current = '\0'; /* told below, as missing */
        r = store_list(store, &entries, &n, error);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = verify_release(verification, store, app, record, entries[i].name,
                                   role_of(entries[i].name, current, &record->previous), error);
        if (r >= 0)
                r = find_missing(verification, store, app, &record->good, "current", error);
        if (r >= 0)
                r = find_missing(verification, store, app, &record->previous, "previous", error);
        return r;
}

static int verify_app(Verification *verification, const char *app, Error *error) {
        _cleanup_(store_freep) ReleaseStore *store = NULL;
        Record record = {};
        int r;

        r = store_open(verification->config->state_dir, app, &store, error);
        if (r >= 0)
                r = record_load(store->app_fd, &record, error);
        if (r >= 0)
                r = verify_store(verification, store, app, &record, error);
        record_deinit(&record);
        return r;
}

static int verify_apps(Verification *verification, Error *error) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_strv_ char **names = NULL;
        int fd = openat(verification->apps_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

        r = fd < 0 ? -errno : folder_take(fd, &dir);
        if (r >= 0)
                r = folder_names(dir, &names);
        if (r < 0)
                return error_set_errno(error, r, "%s/" APPS_FOLDER, verification->config->state_dir);
        STRV_FOREACH(name, names) {
                r = name_is_valid(*name) ? verify_app(verification, *name, error) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_verification(Verification *verification, const char *config_path, Error *error) {
        _cleanup_close_ int state_fd = -1;
        Error reason = {};
        int r;

        if (geteuid() != 0)
                return error_set_fault(error, -EPERM, FAULT_INPUT,
                                       "only root can compare what is installed with what was signed");
        verification->releases = json_array();
        if (!verification->releases)
                return error_oom(error);
        r = config_load(config_path, &verification->config, error);
        if (r < 0)
                return r;
        state_fd = file_open_at(AT_FDCWD, verification->config->state_dir, O_RDONLY | O_DIRECTORY, 0);
        if (state_fd >= 0)
                verification->apps_fd = file_open_at(state_fd, APPS_FOLDER, O_RDONLY | O_DIRECTORY, 0);
        if (state_fd >= 0 &&
            root_update_load(verification->config->trust_root, state_fd, &verification->root, &reason) < 0)
                fprintf(verification->cli->err, "muster: signatures are not checked: %s\n", reason.message);
        return 0;
}

static int nothing_installed(const Verification *verification, const char *app, Error *error) {
        return error_set_fault(error, -ENOENT, FAULT_INPUT, "%s%s is installed in %s",
                               app ? "no release of " : "no release", app ? app : "",
                               verification->config->state_dir);
}

static int verify(Verification *verification, const char *app, Error *error) {
        int r = 0;

        if (verification->apps_fd >= 0 && !app)
                r = verify_apps(verification, error);
        else if (verification->apps_fd >= 0 && faccessat(verification->apps_fd, app, F_OK, 0) == 0)
                r = verify_app(verification, app, error);
        if (r >= 0 && json_array_size(verification->releases) == 0)
                r = nothing_installed(verification, app, error);
        if (r >= 0 && verification->cli->json)
                r = output_json(verification->cli,
                                json_pack("{s:b, s:O}", "whole", !verification->failed, "releases",
                                          verification->releases),
                                error);
        if (r < 0)
                return r;
        return verification->failed ? EXIT_CODE_FAILED : 0;
}

/* So that its status says the same; it need not run. */
static void tell_musterd(void) {
        _cleanup_bus_ sd_bus *bus = NULL;

        if (bus_client_open(&bus, NULL) >= 0)
                (void) bus_client_check_installed(bus, NULL);
}

int verify_installed(const Cli *cli, const char *config_path, const char *app, Error *error) {
        Verification verification = { .cli = cli, .apps_fd = -1 };
        int r;

        if (app && !name_is_valid(app))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "\"%s\" is no name of an app", app);
        r = open_verification(&verification, config_path, error);
        if (r >= 0)
                r = verify(&verification, app, error);
        if (r >= 0)
                tell_musterd();
        verification_deinit(&verification);
        return r;
}
