#pragma once

/* How the commands change a group's target: read what is there, verify the release, edit, sign, make the register of what it
 * says (target_register.h), and write it over what was read (If-Match), so that of two people who change it at the same time
 * one is told. What the trust root would not believe is never written. */

#include "agent/base/parse.h"
#include "agent/cli/documents.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/target_edit.h"

#define TARGET_KEY_VARIABLE "MUSTER_TARGET_KEY"
#define FRESHNESS_KEY_VARIABLE "MUSTER_FRESHNESS_KEY"
#define FRESH_FOR_DEFAULT "7d"
#define TARGET_SERIALS_SKIPPED_MAX 100U

/* What the options say. */
typedef struct TargetValues {
        const char *app;
        const char *group;
        const char *root;
        const char *key;
        const char *freshness_key;
        OptionNumber fresh_for;
        OptionNumber expect_serial;
        bool force;
        DepotValues depot;
} TargetValues;

typedef struct TargetChange {
        Cli *cli;
        const TargetValues *values;
        uint64_t now;
        TrustRoot *root;
        DepotAccess access;
        Key *key; /* NULL until something is signed */

        StoredDocument stored; /* what is there */
        uint8_t *payload;      /* NULL: no target yet */
        size_t payload_size;
        Target *present;

        Release *release; /* that the target is to name, verified */
        Target *next;     /* what is there after target_change_write() */
        bool changed;
} TargetChange;

void target_change_deinit(TargetChange *change);
#define _cleanup_target_change_ _cleanup_(target_change_deinit)

/* Opens trust root and depot. VALUES must stay. */
int target_change_open(TargetChange *change, Cli *cli, const TargetValues *values, Error *error);

/* Takes the private key of the role target, from its option or the environment. */
int target_change_take_key(TargetChange *change, Error *error);

/* Reads the target that is there, which may be none; with --force also one whose signature the trust root does not
 * accept. -ESTALE if it has not the serial of --expect-serial. */
int target_change_read(TargetChange *change, Error *error);

/* The same; -ENOENT if there is none. */
int target_change_read_present(TargetChange *change, Error *error);

/* -EEXIST if the present target is a pin. */
int target_change_check_not_pinned(const TargetChange *change, Error *error);

/* Gets and verifies the release. SHA256 may be NULL. -ENOENT. */
int target_change_get_release(TargetChange *change, const char *version, const char *sha256, Error *error);

/* Writes the next target, its register first; nothing where it would say what is said already. EDIT says what is special
 * about it: app, group, serial, time and, where there is a release, that are filled in. -ESTALE if somebody else wrote
 * meanwhile, -EEXIST if the id of a rollout was used before. */
int target_change_write(TargetChange *change, const TargetEdit *edit, Error *error);

/* Prints what is in force now and, where there is a key for that, refreshes it: "api in prod: SENTENCE (serial 18)". */
int target_change_say(const TargetChange *change, const char *sentence, Error *error);

/* Prints what is in force now, with HOW for a person: "api in prod: now 1.4.2 (serial 18)". */
int target_change_tell(const TargetChange *change, const char *how, Error *error);

/* Signs that TARGET is current for as long as the options say, and says so. */
int target_change_refresh(const TargetChange *change, const Target *target, Error *error);
void target_change_fresh_until(const TargetChange *change, char ret[static TIME_TEXT_MAX]);

/* Rows of option tables; MEMBER is a TargetValues. */
#define FRESHNESS_OPTIONS(structure, member)                                                                 \
        { .name = "freshness-key",                                                                           \
          .type = OPTION_PATH,                                                                               \
          OPTION_INTO(structure, member.freshness_key),                                                      \
          .value = "FILE",                                                                                   \
          .help = "private key of the role freshness (or the PEM text in MUSTER_FRESHNESS_KEY)",             \
          .environment = "MUSTER_FRESHNESS_KEY_FILE" },                                                      \
        {                                                                                                    \
                .name = "fresh-for", .type = OPTION_DURATION, OPTION_INTO(structure, member.fresh_for),      \
                .value = "TIME", .help = "how long instances may believe the target from now on",            \
                .initial = FRESH_FOR_DEFAULT                                                                 \
        }

#define SIGNING_OPTIONS(structure, member)                                                                   \
        { .name = "expect-serial",                                                                           \
          .type = OPTION_NUMBER,                                                                             \
          OPTION_INTO(structure, member.expect_serial),                                                      \
          .value = "N",                                                                                      \
          .help = "refuse (exit 6) unless the target that is there has this serial; 0: there is none" },     \
                { .name = "key",                                                                             \
                  .letter = 'k',                                                                             \
                  .type = OPTION_PATH,                                                                       \
                  OPTION_INTO(structure, member.key),                                                        \
                  .value = "FILE",                                                                           \
                  .help = "private key of the role target (or the PEM text in MUSTER_TARGET_KEY)",           \
                  .environment = "MUSTER_TARGET_KEY_FILE" },                                                 \
                FRESHNESS_OPTIONS(structure, member), ROOT_OPTION(structure, member.root),                   \
                DEPOT_OPTIONS(structure, member.depot)

/* Only where the command line itself says which release: what nobody signed is not to choose it. */
#define FORCE_OPTION(structure, member)                                                                      \
        {                                                                                                    \
                .name = "force", .type = OPTION_FLAG, OPTION_INTO(structure, member.force),                  \
                .help = "replace a target whose signature the trust root does not accept"                    \
        }
