#include <string.h>

#include "agent/cli/output.h"

int output_json(const Cli *cli, json_t *value, Error *error) {
        json_auto_t *owned = value;

        if (!owned)
                return error_oom(error);
        if (json_dumpf(owned, cli->out, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
                return error_set(error, -EIO, "standard output: %s", strerror(errno));
        fputc('\n', cli->out);
        return 0;
}
