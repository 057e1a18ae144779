#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/bundle_files.h"
#include "agent/cli/bundle_install.h"
#include "agent/cli/release_source.h"
#include "artifacts/appspec.h"

void release_source_deinit(ReleaseSource *source) {
        for (size_t i = 0; i < source->n; i++) {
                bundle_deinit(&source->bundles[i]);
                free(source->platforms[i]);
        }
        source->n = 0;
        free(source->appspec);
        source->appspec = NULL;
        source->release = release_free(source->release);
}

static int add_bundle(ReleaseSource *source, const BundleContext *context, const char *platform,
                      size_t length, const char *path, Error *error) {
        char **name;
        int r;

        if (source->n >= RELEASE_PLATFORMS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT, "more than %u platforms",
                                       RELEASE_PLATFORMS_MAX);
        name = &source->platforms[source->n];
        *name = strndup(platform, length);
        if (!*name)
                return error_oom(error);
        r = bundle_open(*name, path, context, &source->bundles[source->n], error);
        if (r < 0)
                free(*name);
        else
                source->n++;
        return r;
}

static int add_platforms(ReleaseSource *source, const ReleaseRequest *request, const BundleContext *context,
                         const char **for_path, Error *error) {
        STRV_FOREACH(platform, request->platforms) {
                const char *equals = strchr(*platform, '=');
                int r;

                if (equals)
                        r = add_bundle(source, context, *platform, (size_t) (equals - *platform), equals + 1,
                                       error);
                else if (request->path && strv_length(request->platforms) == 1) {
                        *for_path = *platform;
                        r = 0;
                } else
                        r = error_set_fault(
                                error, -EINVAL, FAULT_INPUT,
                                "--platform is \"%.64s\", expected a platform and its folder, such as linux/amd64=DIR",
                                *platform);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int open_bundles(ReleaseSource *source, const ReleaseRequest *request, const Cli *cli, Error *error) {
        const BundleContext context = { .appspec_names = source->appspec_names,
                                        .aws = request->aws,
                                        .in_use = request->in_use,
                                        .cli = cli };
        const char *platform = PLATFORM_ANY;
        int r;

        r = add_platforms(source, request, &context, &platform, error);
        if (r >= 0 && request->path)
                r = add_bundle(source, &context, platform, strlen(platform), request->path, error);
        if (r >= 0 && source->n == 0)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "of what? Give a folder, an archive, or --platform linux/amd64=DIR");
        return r;
}

/* Which appspec it is */

/* An absolute path, or one that begins with a dot, is never looked for in the bundles. */
static bool is_own_path(const char *appspec) {
        return appspec[0] == '/' || string_starts_with(appspec, "./") || string_starts_with(appspec, "../");
}

/* CodeDeploy's names, in its order. */
static void choose_names(ReleaseSource *source, const char *appspec) {
        if (!appspec) {
                source->appspec_names[0] = APPSPEC_FILE_NAME;
                source->appspec_names[1] = APPSPEC_OTHER_NAME;
        } else if (!is_own_path(appspec)) {
                source->appspec_names[0] = appspec;
        }
}

static int no_appspec(const ReleaseSource *source, const Bundle *bundle, Error *error) {
        const char *hint = bundle->appspec_elsewhere;

        return error_set_fault(error, -ENOENT, FAULT_INPUT,
                               "%s has no %s at its root%s%s%s; --appspec names another one", bundle->path,
                               source->appspec_names[0], hint ? " (but " : "", hint ?: "", hint ? ")" : "");
}

/* The appspec of the bundles, which must all have the same one. */
static int common_appspec(const ReleaseSource *source, const Bundle **ret, Error *error) {
        const Bundle *first = &source->bundles[0];

        for (size_t i = 0; i < source->n; i++) {
                const Bundle *bundle = &source->bundles[i];

                if (!bundle->appspec_name)
                        return no_appspec(source, bundle, error);
                if (strcmp(buffer_string(&bundle->appspec), buffer_string(&first->appspec)) != 0)
                        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                               "the %s of %s differs from that of %s; one for both can be "
                                               "given with --appspec",
                                               bundle->appspec_name, bundle->path, first->path);
        }
        *ret = first;
        return 0;
}

static bool some_have_appspec(const ReleaseSource *source) {
        for (size_t i = 0; i < source->n; i++)
                if (source->bundles[i].appspec_name)
                        return true;
        return false;
}

static int compile(ReleaseSource *source, const ReleaseRequest *request, const Buffer *text, const Cli *cli,
                   Error *error) {
        _cleanup_appspec_ Appspec *appspec = NULL;
        int r;

        r = appspec_parse(source->appspec, text->data, text->size, &appspec, error);
        STRV_FOREACH(warning, r >= 0 ? appspec->warnings : NULL)
                cli_warn(cli, "%s", *warning);
        if (r >= 0)
                r = appspec_compile(appspec, request->app, request->version, clock_realtime(cli->clock),
                                    &source->release, error);
        if (r >= 0 && string_set(&source->release->commit, request->commit) < 0)
                r = error_oom(error);
        return r;
}

static int read_appspec(ReleaseSource *source, const ReleaseRequest *request, const Cli *cli, Error *error) {
        _cleanup_buffer_ Buffer file = {};
        const Bundle *bundle = NULL;
        int r;

        if (request->appspec && !some_have_appspec(source)) {
                r = file_read_at(AT_FDCWD, request->appspec, APPSPEC_SIZE_MAX, &file);
                if (r < 0)
                        return error_set_errno(error, r, "%s", request->appspec);
                if (string_set(&source->appspec, request->appspec) < 0)
                        return error_oom(error);
                return compile(source, request, &file, cli, error);
        }
        r = common_appspec(source, &bundle, error);
        if (r < 0)
                return r;
        if (asprintf(&source->appspec, "%s/%s", bundle->path, bundle->appspec_name) < 0) {
                source->appspec = NULL;
                return error_oom(error);
        }
        return compile(source, request, &bundle->appspec, cli, error);
}

int release_source_open(const ReleaseRequest *request, const Cli *cli, ReleaseSource *ret, Error *error) {
        int r;

        *ret = (ReleaseSource){};
        choose_names(ret, request->appspec);
        r = open_bundles(ret, request, cli, error);
        if (r >= 0)
                r = read_appspec(ret, request, cli, error);
        for (size_t i = 0; i < ret->n && r >= 0; i++)
                r = bundle_check_files(&ret->bundles[i], ret->release, ret->appspec, cli, error);
        return r;
}

int release_source_seal(ReleaseSource *source, const Cli *cli, Error *error) {
        int r = 0;

        for (size_t i = 0; i < source->n && r >= 0; i++) {
                r = bundle_seal(&source->bundles[i], cli, error);
                if (r >= 0)
                        r = bundle_check_install(&source->bundles[i], source->release, source->appspec,
                                                 error);
                if (r >= 0)
                        r = bundle_add_to_release(&source->bundles[i], source->release, error);
        }
        return r;
}
