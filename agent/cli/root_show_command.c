#include "agent/cli/root_show_command.h"
#include "agent/base/parse.h"
#include "agent/cli/depot_access.h"
#include "agent/cli/output.h"
#include "agent/cli/shared_options.h"

static int role_to_json(const TrustRoot *root, TrustRole role, json_t *roles) {
        json_t *ids = json_array();
        uint64_t threshold;
        size_t n;
        Key *const *keys = trust_root_keys(root, role, &n, &threshold);

        for (size_t i = 0; i < n; i++)
                if (json_array_append_new(ids, json_string(key_id(keys[i]))) < 0) {
                        json_decref(ids);
                        return -ENOMEM;
                }
        return json_object_set_new(
                roles, trust_role_to_string(role),
                json_pack("{s:o, s:I}", "keyids", ids, "threshold", (json_int_t) threshold));
}

static int print_root_json(const Cli *cli, const TrustRoot *root, Error *error) {
        char issued[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
        json_auto_t *roles = json_object();

        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                if (role_to_json(root, role, roles) < 0)
                        return error_oom(error);
        format_time(trust_root_issued(root), issued);
        format_time(trust_root_expires(root), expires);
        return output_json(cli,
                           json_pack("{s:I, s:s, s:s, s:O}", "version", (json_int_t) trust_root_version(root),
                                     "issued", issued, "expires", expires, "roles", roles),
                           error);
}

static void print_role(const Cli *cli, const TrustRoot *root, TrustRole role) {
        uint64_t threshold;
        size_t n;
        Key *const *keys = trust_root_keys(root, role, &n, &threshold);

        if (n == 0)
                return;
        fprintf(cli->out, "\n%s%s%s: %llu of %zu must sign\n", cli->out_style.strong,
                trust_role_to_string(role), cli->out_style.off, (unsigned long long) threshold, n);
        for (size_t i = 0; i < n; i++)
                fprintf(cli->out, "  %s\n", key_id(keys[i]));
}

typedef struct ShowValues {
        const char *root;
} ShowValues;

static const Option show_options[] = {
        ROOT_OPTION(ShowValues, root),
        OPTION_END,
};

static int run_show(Cli *cli, void *values, char **arguments, Error *error) {
        const ShowValues *options = values;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        char issued[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
        int r;

        r = trust_root_read(arguments ? arguments[0] : options->root, &root, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_root_json(cli, root, error);
        format_time(trust_root_issued(root), issued);
        format_time(trust_root_expires(root), expires);
        fprintf(cli->out, "trust root %llu, issued %s, %s %s\n",
                (unsigned long long) trust_root_version(root), issued,
                trust_root_expires(root) <= clock_realtime(cli->clock) ? "EXPIRED" : "good until", expires);
        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                print_role(cli, root, role);
        return 0;
}

const Command command_root_show = {
        .name = "show",
        .summary = "print whose signatures a trust root asks for",
        .arguments = "[FILE]",
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = show_options,
        .values_size = sizeof(ShowValues),
        .examples =
                (const Example[]){
                        { "What does this machine believe?", "muster root show" },
                        { "What is in this file?", "muster root show root.json" },
                        {},
                },
        .run = run_show,
};
