#include <string.h>

#include "agent/cli/key_source.h"
#include "agent/cli/output.h"
#include "agent/cli/target_change.h"
#include "agent/cli/target_register.h"
#include "artifacts/layout.h"

void target_change_deinit(TargetChange *change) {
        depot_access_deinit(&change->access);
        trust_root_free(change->root);
        key_free(change->key);
        stored_document_deinit(&change->stored);
        free(change->payload);
        target_free(change->present);
        release_free(change->release);
        target_free(change->next);
}

int target_change_open(TargetChange *change, Cli *cli, const TargetValues *values, Error *error) {
        int r;

        *change = (TargetChange){ .cli = cli, .values = values, .now = clock_realtime(cli->clock) };
        r = trust_root_read(values->root, &change->root, error);
        return r < 0 ? r : depot_access_open(&values->depot, &change->access, error);
}

int target_change_take_key(TargetChange *change, Error *error) {
        return key_source_private(change->values->key, TARGET_KEY_VARIABLE, "key", &change->key, error);
}

/* Freshness */

static bool has_freshness_key(const TargetValues *values) {
        const char *text = getenv(FRESHNESS_KEY_VARIABLE);

        return values->freshness_key || (text && *text);
}

static bool root_asks_for_freshness(const TrustRoot *root) {
        uint64_t threshold;
        size_t n;

        (void) trust_root_keys(root, TRUST_ROLE_FRESHNESS, &n, &threshold);
        return n > 0;
}

static int sign_freshness(const TargetChange *change, const Target *target, char **ret, size_t *ret_size,
                          Error *error) {
        const TargetValues *values = change->values;
        _cleanup_freshness_ Freshness *check = NULL;
        _cleanup_key_ Key *key = NULL;
        _cleanup_free_ char *payload = NULL;
        Freshness freshness = { .app = target->app,
                                .group = target->group,
                                .serial = target->serial,
                                .issued = change->now,
                                .expires = usec_add(change->now, values->fresh_for.value) };
        size_t size;
        int r;

        memcpy(freshness.target_sha256, target->sha256, sizeof(freshness.target_sha256));
        r = key_source_private(values->freshness_key, FRESHNESS_KEY_VARIABLE, "freshness-key", &key, error);
        if (r >= 0)
                r = freshness_to_json(&freshness, &payload, &size, error);
        if (r >= 0)
                r = dsse_sign(FRESHNESS_TYPE, payload, size, &key, 1, ret, ret_size, error);
        if (r < 0)
                return r;
        return freshness_open(change->root, *ret, *ret_size, change->now, target->app, target->group, &check,
                              error);
}

void target_change_fresh_until(const TargetChange *change, char ret[static TIME_TEXT_MAX]) {
        format_time(usec_add(change->now, change->values->fresh_for.value), ret);
}

int target_change_refresh(const TargetChange *change, const Target *target, Error *error) {
        _cleanup_free_ char *envelope = NULL;
        char key[LAYOUT_KEY_MAX], until[TIME_TEXT_MAX];
        size_t size;
        int r;

        r = sign_freshness(change, target, &envelope, &size, error);
        if (r >= 0)
                r = layout_freshness(target->app, target->group, key, error);
        if (r >= 0)
                r = depot_access_put(&change->access, key, envelope, size, DEPOT_ALWAYS, NULL, error);
        if (r < 0)
                return r;
        target_change_fresh_until(change, until);
        cli_say(change->cli, "fresh until %s", until);
        return 0;
}

/* Reading */

/* With --force a target that the trust root does not accept (its key was withdrawn) is taken for what it says. */
static int open_present(TargetChange *change, Error *error) {
        const TargetValues *values = change->values;
        const StoredDocument *stored = &change->stored;
        int r;

        r = documents_payload("target", stored, &change->payload, &change->payload_size, error);
        if (r >= 0)
                r = target_open(change->root, stored->envelope, stored->size, change->now, values->app,
                                values->group, &change->present, error);
        if (r < 0 && values->force && change->payload)
                r = target_parse(change->payload, change->payload_size, &change->present, error);
        return r;
}

int target_change_read(TargetChange *change, Error *error) {
        const TargetValues *values = change->values;
        uint64_t serial;
        int r;

        r = documents_read_target(&change->access, values->app, values->group, &change->stored, error);
        if (r >= 0 && change->stored.envelope)
                r = open_present(change, error);
        if (r < 0)
                return r;
        serial = change->present ? change->present->serial : 0;
        if (values->expect_serial.given && values->expect_serial.value != serial)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "the target of %s in %s has serial %llu, not %llu as expected",
                                       values->app, values->group, (unsigned long long) serial,
                                       (unsigned long long) values->expect_serial.value);
        return 0;
}

int target_change_read_present(TargetChange *change, Error *error) {
        int r = target_change_read(change, error);

        if (r < 0 || change->present)
                return r;
        return documents_no_target(&change->access, change->values->app, change->values->group, error);
}

int target_change_check_not_pinned(const TargetChange *change, Error *error) {
        const Target *present = change->present;

        if (!present || !present->pinned)
                return 0;
        return error_set_fault(error, -EEXIST, FAULT_INPUT,
                               "%s in %s is pinned to %s (%s): muster unpin %s %s first", present->app,
                               present->group, present->stable.version,
                               present->reason ?: "no reason was given", present->app, present->group);
}

int target_change_get_release(TargetChange *change, const char *version, const char *sha256, Error *error) {
        return documents_get_release(&change->access, change->root, change->now, change->values->app, version,
                                     sha256, &change->release, error);
}

/* Writing */

static TargetEdit fill_in(const TargetChange *change, const TargetEdit *given, uint64_t skipped) {
        TargetEdit edit = *given;

        edit.app = change->values->app;
        edit.group = change->values->group;
        edit.serial = (change->present ? change->present->serial : 0) + 1 + skipped;
        edit.issued = change->now;
        if (change->release) {
                edit.version = change->release->version;
                edit.release_sha256 = change->release->sha256;
        }
        return edit;
}

/* RET_PAYLOAD is what is to be signed. */
static int make_next(TargetChange *change, const TargetEdit *given, uint64_t skipped, char **ret_payload,
                     size_t *ret_size, Error *error) {
        const TargetEdit edit = fill_in(change, given, skipped);
        int r;

        change->next = target_free(change->next);
        r = target_edit(&edit, change->payload, change->payload_size, ret_payload, ret_size, error);
        if (r >= 0)
                r = target_parse(*ret_payload, *ret_size, &change->next, error);
        if (r >= 0 && change->present)
                r = target_check_successor(change->present, change->next, error);
        if (r >= 0 && change->release)
                r = target_check_release(change->next, change->release, error);
        return r;
}

/* Signs and makes sure that the instances will believe it: the key may be another role's. */
static int sign_next(const TargetChange *change, const char *payload, size_t size, char **ret,
                     size_t *ret_size, Error *error) {
        const TargetValues *values = change->values;
        _cleanup_target_ Target *check = NULL;
        Key *const keys[] = { change->key };
        int r;

        r = dsse_sign(TARGET_TYPE, payload, size, keys, ELEMENTSOF(keys), ret, ret_size, error);
        if (r < 0)
                return r;
        r = target_open(change->root, *ret, *ret_size, change->now, values->app, values->group, &check,
                        error);
        if (r < 0)
                error_prefix(error, "signed with key %.12s", key_id(change->key));
        return r;
}

static int put_next(const TargetChange *change, const char *envelope, size_t size, Error *error) {
        const TargetValues *values = change->values;
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_target(values->app, values->group, key, error);
        if (r >= 0)
                r = depot_access_put(&change->access, key, envelope, size,
                                     change->payload ? DEPOT_MATCH : DEPOT_CREATE, change->stored.etag,
                                     error);
        if (r > 0)
                return error_set_fault(
                        error, -ESTALE, FAULT_INPUT,
                        "somebody else set the target of %s in %s meanwhile: look at it and try again",
                        values->app, values->group);
        return r;
}

/* A rollout that goes on has its register, and if that was lost nobody makes a second one. */
static bool has_register(const TargetChange *change, const TargetEdit *edit) {
        return edit->kind == TARGET_EDIT_VALUES && change->next->rollout.id;
}

/* 0: a register of that id is there, and is not this target's. */
static int sign_and_put(const TargetChange *change, const TargetEdit *edit, const char *payload,
                        size_t payload_size, Error *error) {
        _cleanup_free_ char *envelope = NULL;
        size_t size;
        int r;

        r = sign_next(change, payload, payload_size, &envelope, &size, error);
        if (r >= 0 && !has_register(change, edit))
                r = target_register_make(&change->access, change->next, error);
        else if (r >= 0)
                r = 1;
        if (r <= 0)
                return r;
        r = put_next(change, envelope, size, error);
        return r < 0 ? r : 1;
}

/* A rollout that is begun is always another one. */
static int write_once(TargetChange *change, const TargetEdit *edit, uint64_t skipped, Error *error) {
        _cleanup_free_ char *payload = NULL;
        size_t size;
        int r;

        r = make_next(change, edit, skipped, &payload, &size, error);
        if (r < 0)
                return r;
        change->changed = !change->payload || edit->kind == TARGET_EDIT_CANDIDATE ||
                          !target_says_the_same(change->payload, change->payload_size, payload, size);
        return change->changed ? sign_and_put(change, edit, payload, size, error) : 1;
}

/* Who was broken off between the two writes may have left a register of the next serial about another release: then that
 * serial is passed over. Of two who write at the same time still only one finds the target that he has read. */
int target_change_write(TargetChange *change, const TargetEdit *edit, Error *error) {
        int r = 0;

        for (uint64_t skipped = 0; r == 0 && skipped < TARGET_SERIALS_SKIPPED_MAX; skipped++) {
                r = write_once(change, edit, skipped, error);
                if (r == 0 && change->next->rollout.id)
                        break;
        }
        if (r == 0)
                return error_set_fault(
                        error, -EEXIST, FAULT_INPUT,
                        "%s in %s: there is a register of rollout %s already: choose another id",
                        change->values->app, change->values->group,
                        change->next->rollout.id ?: "of the next serials");
        if (r > 0 && !change->changed) {
                target_free(change->next);
                change->next = TAKE_PTR(change->present);
        }
        return r < 0 ? r : 0;
}

static json_t *describe(const TargetChange *change) {
        const Target *target = change->next;

        return json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:b, s:b, s:s*, s:s*, s:s*, s:s*}", "app",
                         target->app, "group", target->group, "serial", (json_int_t) target->serial,
                         "version", target->stable.version, "sha256", target->sha256, "pinned",
                         target->pinned, "urgent", target->urgent, "changed", change->changed, "reason",
                         target->reason, "previous", target->previous.version, "candidate",
                         target->candidate.version, "rollout", target->rollout.id);
}

int target_change_tell(const TargetChange *change, const char *how, Error *error) {
        char sentence[256];

        snprintf(sentence, sizeof(sentence), "%s %s", how, change->next->stable.version);
        return target_change_say(change, sentence, error);
}

int target_change_say(const TargetChange *change, const char *sentence, Error *error) {
        const TargetValues *values = change->values;
        const Target *target = change->next;
        Cli *cli = change->cli;
        int r = 0;

        if (cli->json)
                r = output_json(cli, describe(change), error);
        else
                cli_say(cli, "%s in %s: %s (serial %llu)", target->app, target->group, sentence,
                        (unsigned long long) target->serial);
        if (r < 0 || has_freshness_key(values))
                return r < 0 ? r : target_change_refresh(change, target, error);
        if (change->changed && root_asks_for_freshness(change->root))
                cli_say(cli, "instances wait for: muster target refresh --app %s --group %s", target->app,
                        target->group);
        return 0;
}
