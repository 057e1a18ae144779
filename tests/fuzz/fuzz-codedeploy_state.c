#include <stdint.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/codedeploy_cleanup.h"
#include "agent/codedeploy_config.h"
#include "agent/codedeploy_state.h"

/* What CodeDeploy's agent left on a disk; the first byte says which file it is. */

static void try_cleanup(const uint8_t *data, size_t size) {
        char **paths = NULL;
        Error error;
        size_t n;

        if (codedeploy_cleanup_parse(data, size, &paths, &n, &error) < 0)
                return;
        if (strv_length(paths) != n)
                __builtin_trap();
        STRV_FOREACH(path, paths)
                if ((*path)[0] != '/' || strstr(*path, "/../") || string_ends_with(*path, "/"))
                        __builtin_trap();
        strv_free(paths);
}

static void try_pointer(const uint8_t *data, size_t size) {
        char *id = NULL;

        if (codedeploy_parse_pointer("group", data, size, &id) >= 0 && (!*id || strchr(id, '/')))
                __builtin_trap();
        free(id);
}

static void try_instructions(const uint8_t *data, size_t size) {
        CodedeployInstructions found = {};
        Error error;

        (void) codedeploy_parse_instructions("install.json", data, size, &found, &error);
        free(found.source);
}

static void try_config(const uint8_t *data, size_t size) {
        _cleanup_(codedeploy_config_deinit) CodedeployConfig config = {};
        Error error;

        if (codedeploy_config_parse("agent.yml", CODEDEPLOY_AGENT_FILE, data, size, &config, &error) < 0)
                return;
        for (size_t i = 0; i < config.n; i++)
                free(codedeploy_setting_show(&config.settings[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const parsers[])(const uint8_t *, size_t) = { try_cleanup, try_pointer,
                                                                    try_instructions, try_config };

        if (size > 0)
                parsers[data[0] % ELEMENTSOF(parsers)](data + 1, size - 1);
        return 0;
}
