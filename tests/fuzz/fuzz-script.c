#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "artifacts/acl_entry.h"
#include "hooks/script.h"

/* What a bundle brings beside its appspec: the first lines of scripts; and the entries of its access control lists. */

static void try_script(const uint8_t *data, size_t size) {
        Script script;
        Error error;

        if (script_classify(data, size < SCRIPT_HEAD_SIZE ? size : SCRIPT_HEAD_SIZE, &script, &error) < 0)
                return;
        if ((script.kind == SCRIPT_INTERPRETED) != (script.interpreter[0] == '/') ||
            strpbrk(script.interpreter, " \t\r\n") || strpbrk(script.argument, "\n"))
                abort();
}

static void try_acl(const uint8_t *data, size_t size) {
        char text[ACL_ENTRY_TEXT_MAX + 1];
        AclEntry entry;

        if (size >= sizeof(text))
                return;
        memcpy(text, data, size);
        text[size] = '\0';
        if (acl_entry_parse(text, &entry) < 0)
                return;
        if (entry.permissions > 7 || strlen(entry.name) > ACL_NAME_MAX || entry.tag > ACL_TAG_OTHER ||
            (!entry.is_default && !entry.name[0] && entry.tag != ACL_TAG_MASK))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        try_script(data, size);
        try_acl(data, size);
        return 0;
}
