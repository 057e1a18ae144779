#include <jansson.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/identity_cache.h"
#include "artifacts/layout.h"

#define CACHE_FILE "identity.json"
#define CACHE_SIZE_MAX 4096U
#define CACHE_MODE 0600
#define FOLDER_MODE 0755

/* What was asked for: with other answers to these, other ones would have been found. */
static json_t *questions_of(const Config *config) {
        return json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?}", "instance_id", config->instance_id, "role_id",
                         config->role_id, "group", config->group, "auto_scaling_group", config->launch_group,
                         "depot", config->depot);
}

static int unpack(json_t *json, const Config *config, Identity *identity) {
        const char *instance, *group, *scaling_group = NULL, *report_id;
        json_auto_t *questions = questions_of(config);
        json_t *asked;

        if (json_unpack(json, "{s:o, s:s, s:s, s?s, s:s}", "asked", &asked, "instance", &instance, "group",
                        &group, "scaling_group", &scaling_group, "report_id", &report_id) < 0 ||
            !name_is_valid(instance) || !name_is_valid(group) || !layout_instance_is_valid(report_id) ||
            !json_equal(asked, questions))
                return -ENOENT;
        if (string_set(&identity->instance, instance) < 0 || string_set(&identity->group, group) < 0 ||
            string_set(&identity->scaling_group, scaling_group) < 0 ||
            string_set(&identity->report_id, report_id) < 0)
                return -ENOMEM;
        return 0;
}

int identity_cache_load(const char *folder, const Config *config, Identity *ret, Error *error) {
        _cleanup_(identity_deinit) Identity identity = {};
        _cleanup_buffer_ Buffer text = {};
        _cleanup_close_ int fd = -1;
        json_auto_t *json = NULL;
        int r;

        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        r = fd < 0 ? fd : file_read_at(fd, CACHE_FILE, CACHE_SIZE_MAX, &text);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s/" CACHE_FILE, folder);
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        r = json ? unpack(json, config, &identity) : -ENOENT;
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0)
                return error_set(error, r, "%s/" CACHE_FILE " is of another configuration", folder);
        *ret = identity;
        identity = (Identity){};
        return 0;
}

int identity_cache_save(const char *folder, const Config *config, const Identity *identity, Error *error) {
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        json_auto_t *json = NULL;
        int r;

        json = json_pack("{s:o, s:s, s:s, s:s*, s:s}", "asked", questions_of(config), "instance",
                         identity->instance, "group", identity->group, "scaling_group",
                         identity->scaling_group, "report_id", identity->report_id);
        text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
        if (!text)
                return error_oom(error);
        fd = file_open_folder_at(AT_FDCWD, folder, FOLDER_MODE);
        r = fd < 0 ? fd : file_replace_at(fd, CACHE_FILE, text, strlen(text), CACHE_MODE);
        return r < 0 ? error_set_errno(error, r, "cannot write %s/" CACHE_FILE, folder) : 0;
}
