#pragma once

/* Rows that the option tables of several commands share, so that an option means the same everywhere. STRUCTURE is the
 * command's, MEMBER where the value goes. */

#include "agent/cli/option.h"
#include "agent/config.h"

#define TRUST_ROOT_PATH "/etc/muster/root.json"

#define APP_OPTION(structure, member)                                                                        \
        {                                                                                                    \
                .name = "app", .letter = 'a', .type = OPTION_NAME, OPTION_INTO(structure, member),           \
                .value = "NAME", .help = "the app", .required = true, .environment = "MUSTER_APP"            \
        }

#define GROUP_OPTION(structure, member)                                                                      \
        {                                                                                                    \
                .name = "group", .letter = 'g', .type = OPTION_NAME, OPTION_INTO(structure, member),         \
                .value = "NAME", .help = "the deployment group", .required = true,                           \
                .environment = "MUSTER_GROUP"                                                                \
        }

#define VERSION_OPTION(structure, member, is_required)                                                       \
        {                                                                                                    \
                .name = "version", .type = OPTION_VERSION, OPTION_INTO(structure, member),                   \
                .value = "VERSION", .help = "the version", .required = is_required                           \
        }

/* MEMBER is a DepotValues. */
#define CONFIG_OPTION(structure, member)                                                                     \
        {                                                                                                    \
                .name = "config", .type = OPTION_PATH, OPTION_INTO(structure, member.config),                \
                .value = "FILE", .help = "configuration that says how AWS is reached",                       \
                .initial = CONFIG_PATH, .environment = "MUSTER_CONFIG"                                       \
        }

#define AWS_OPTION(structure, member)                                                                        \
        {                                                                                                    \
                .name = "aws", .type = OPTION_LIST, OPTION_INTO(structure, member.aws),                      \
                .value = "KEY=VALUE", .help = "a key of [aws] in the configuration, such as s3_sse=aws:kms"  \
        }

#define DEPOT_OPTIONS(structure, member)                                                                     \
        { .name = "depot",                                                                                   \
          .letter = 'd',                                                                                     \
          .type = OPTION_TEXT,                                                                               \
          OPTION_INTO(structure, member.uri),                                                                \
          .value = "URI",                                                                                    \
          .help = "the depot: s3://bucket/prefix or file:///folder (otherwise the configuration's)",         \
          .environment = "MUSTER_DEPOT" },                                                                   \
                CONFIG_OPTION(structure, member), AWS_OPTION(structure, member)

#define ROOT_OPTION(structure, member)                                                                       \
        {                                                                                                    \
                .name = "root", .letter = 'r', .type = OPTION_PATH, OPTION_INTO(structure, member),          \
                .value = "FILE", .help = "the trust root", .initial = TRUST_ROOT_PATH,                       \
                .environment = "MUSTER_ROOT"                                                                 \
        }
