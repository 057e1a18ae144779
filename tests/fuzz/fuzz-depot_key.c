/* Names from outside become keys, and keys names: what comes out never leads out of the depot. */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "artifacts/depot_operation.h"
#include "artifacts/layout.h"

#define PARTS 5U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What depot_file relies on. */
static void check_harmless(const char *key) {
        assert(*key && *key != '/' && *key != '.');
        assert(!strstr(key, "/.") && !strstr(key, "//") && !strchr(key, '\n'));
        assert(key[strlen(key) - 1] != '/' && strlen(key) <= DEPOT_KEY_MAX);
}

static void check_layout(char *const parts[static PARTS]) {
        char key[LAYOUT_KEY_MAX], name[LAYOUT_KEY_MAX], prefix[LAYOUT_KEY_MAX];

        if (layout_mark(parts[0], parts[1], parts[2], parts[3], parts[4], key, NULL) == 0) {
                assert(!depot_key_problem(key));
                assert(layout_group_folder_length(key) > 0);
                assert(layout_marks(parts[0], parts[1], parts[2], parts[3], prefix, NULL) == 0);
                assert(layout_document_name(key, prefix, name) == 0);
                assert(strcmp(name, parts[4]) == 0);
        }
        if (layout_release(parts[0], parts[1], key, NULL) == 0) {
                assert(!depot_key_problem(key));
                assert(layout_releases(parts[0], prefix, NULL) == 0);
                assert(layout_document_name(key, prefix, name) == 0);
                assert(strcmp(name, parts[1]) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        char name[LAYOUT_KEY_MAX], *parts[PARTS], *rest = text;

        if (!text)
                return 0;
        if (!depot_key_problem(text))
                check_harmless(text);
        (void) layout_document_name(text, LAYOUT_APPS, name);
        assert(layout_group_folder_length(text) <= strlen(text));
        for (size_t i = 0; i < PARTS; i++) {
                char *part = strsep(&rest, "\n");

                parts[i] = part ? part : text + strlen(text);
        }
        check_layout(parts);
        return 0;
}
