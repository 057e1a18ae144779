#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/layout.h"
#include "artifacts/target.h"

/* Shares: a number of instances or "25%" */

static int read_share(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        TargetShare *share = value;

        if (json_is_integer(field->value) && json_integer_value(field->value) >= 1 &&
            json_integer_value(field->value) <= (json_int_t) TARGET_COUNT_MAX) {
                share->count = (uint64_t) json_integer_value(field->value);
                return 0;
        }
        if (text && string_ends_with(text, "%")) {
                _cleanup_free_ char *digits = strndup(text, strlen(text) - 1);

                if (!digits)
                        return error_oom(error);
                if (parse_u64(digits, &share->percent) >= 0 && share->percent >= 1 && share->percent <= 100)
                        return 0;
                share->percent = 0;
        }
        return json_field_expected(field, error, "a number of instances, or a share such as \"25%\"");
}

static int write_share(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        const TargetShare *share = value;

        if (share->count == 0 && share->percent == 0)
                return 0;
        *ret = share->count > 0 ? json_integer((json_int_t) share->count)
                                : json_sprintf("%" PRIu64 "%%", share->percent);
        return *ret ? 0 : -ENOMEM;
}

static const SchemaKind share_kind = { .read = read_share,
                                       .write = write_share,
                                       .size = sizeof(TargetShare) };
static const SchemaType share_type = {
        .kind = &share_kind,
};

/* Releases */

static bool release_is_set(const void *value) {
        const TargetRelease *release = value;

        return release->version;
}

static const SchemaMember release_members[] = {
        { "version", &document_version_type, offsetof(TargetRelease, version), true },
        { "release_sha256", &document_hex_type, offsetof(TargetRelease, sha256), true },
        {},
};
static const SchemaType release_type = {
        .kind = &schema_object,
        .size = sizeof(TargetRelease),
        .members = release_members,
        .is_set = release_is_set,
};

/* Rollout */

static const SchemaType count_type = {
        .kind = &schema_u64,
        .expected = "a number of instances",
        .min = 1,
        .max = TARGET_COUNT_MAX,
        .zero_is_unset = true,
};
static const SchemaType percent_type = {
        .kind = &schema_u64,
        .expected = "a percentage",
        .min = 1,
        .max = 100,
        .zero_is_unset = true,
};
static const SchemaType failures_type = {
        .kind = &schema_u64,
        .max = TARGET_COUNT_MAX,
};
static const SchemaType bake_type = {
        .kind = &schema_duration,
        .max = TARGET_BAKE_MAX,
};
static const SchemaType min_healthy_time_type = {
        .kind = &schema_duration,
        .max = TARGET_BAKE_MAX,
        .zero_is_unset = true,
};
static const SchemaType progress_deadline_type = {
        .kind = &schema_duration,
        .min = TARGET_PROGRESS_DEADLINE_MIN,
        .max = TARGET_PROGRESS_DEADLINE_MAX,
        .zero_is_unset = true,
};
static const SchemaType canary_type = {
        .kind = &schema_text,
        .is_valid = layout_instance_is_valid,
        .expected = "the name of an instance",
        .min = 1,
        .max = LAYOUT_INSTANCE_MAX,
};
static const SchemaType canaries_type = {
        .kind = &schema_list,
        .element = &canary_type,
        .max = TARGET_CANARIES_MAX,
};
static const SchemaType alarm_type = {
        .kind = &schema_text,
        .is_valid = document_text_is_valid,
        .expected = "the name of an alarm",
        .min = 1,
        .max = TARGET_ALARM_NAME_MAX,
};
static const SchemaType alarms_type = {
        .kind = &schema_list,
        .element = &alarm_type,
        .max = TARGET_ALARMS_MAX,
};
static const char *const promotes[] = { "auto", "manual", NULL };
static const SchemaType promote_type = {
        .kind = &schema_choice,
        .choices = promotes,
};

static int check_stage(const JsonField *field, void *value, Error *error) {
        const TargetStage *stage = value;

        if ((stage->share.count > 0) == (stage->share.percent > 0))
                return json_field_fail(field, error, "expected either count or percent");
        return 0;
}

static const SchemaMember stage_members[] = {
        { "count", &count_type, offsetof(TargetStage, share.count), false },
        { "percent", &percent_type, offsetof(TargetStage, share.percent), false },
        { "bake", &bake_type, offsetof(TargetStage, bake), false },
        {},
};
static const SchemaType stage_type = {
        .kind = &schema_object,
        .size = sizeof(TargetStage),
        .members = stage_members,
        .check = check_stage,
};
static const SchemaType stages_type = {
        .kind = &schema_list,
        .element = &stage_type,
        .min = 1,
        .max = TARGET_STAGES_MAX,
};

static bool rollout_is_set(const void *value) {
        const TargetRollout *rollout = value;

        return rollout->id;
}

/* How counts and percentages compare depends on the fleet; among themselves each may only grow. */
static int check_rollout(const JsonField *field, void *value, Error *error) {
        const TargetRollout *rollout = value;
        JsonField stages = json_field_member(field, "stages");
        JsonField id = json_field_member(field, "id");
        TargetShare last = {};

        if (string_starts_with(rollout->id, TARGET_SERIAL_PREFIX))
                return json_field_fail(&id, error,
                                       "\"" TARGET_SERIAL_PREFIX
                                       "...\" is what changes without a rollout are called");
        for (size_t i = 0; i < rollout->stages.n; i++) {
                const TargetShare *share = &rollout->stages.items[i].share;
                JsonField stage = json_field_element(&stages, i);

                if ((share->count > 0 && share->count <= last.count) ||
                    (share->percent > 0 && share->percent <= last.percent))
                        return json_field_fail(&stage, error,
                                               "expected more instances than the stage before it");
                last.count = MAX(last.count, share->count);
                last.percent = MAX(last.percent, share->percent);
        }
        if (rollout->stages.items[rollout->stages.n - 1].share.percent != 100)
                return json_field_fail(&stages, error, "expected the last stage to be 100 percent");
        return 0;
}

static const SchemaMember rollout_members[] = {
        { "id", &document_name_type, offsetof(TargetRollout, id), true },
        { "not_before", &document_time_type, offsetof(TargetRollout, not_before), true },
        { "stages", &stages_type, offsetof(TargetRollout, stages), true },
        { "max_failures", &failures_type, offsetof(TargetRollout, max_failures), false },
        { "promote", &promote_type, offsetof(TargetRollout, promote), false },
        { "min_healthy_time", &min_healthy_time_type, offsetof(TargetRollout, min_healthy_time), false },
        { "progress_deadline", &progress_deadline_type, offsetof(TargetRollout, progress_deadline), false },
        { "canaries", &canaries_type, offsetof(TargetRollout, canaries), false },
        { "alarms", &alarms_type, offsetof(TargetRollout, alarms), false },
        {},
};
static const SchemaType rollout_type = {
        .kind = &schema_object,
        .size = sizeof(TargetRollout),
        .members = rollout_members,
        .is_set = rollout_is_set,
        .check = check_rollout,
};

/* Freezes */

static int check_freeze(const JsonField *field, void *value, Error *error) {
        const TargetFreeze *freeze = value;

        if (freeze->until <= freeze->from)
                return json_field_fail(field, error, "expected until to be later than from");
        return 0;
}

static const SchemaMember freeze_members[] = {
        { "from", &document_time_type, offsetof(TargetFreeze, from), true },
        { "until", &document_time_type, offsetof(TargetFreeze, until), true },
        { "reason", &document_text_type, offsetof(TargetFreeze, reason), false },
        {},
};
static const SchemaType freeze_type = {
        .kind = &schema_object,
        .size = sizeof(TargetFreeze),
        .members = freeze_members,
        .check = check_freeze,
};
static const SchemaType freezes_type = {
        .kind = &schema_list,
        .element = &freeze_type,
        .max = TARGET_FREEZES_MAX,
};

/* The target */

static int check_target(const JsonField *field, void *value, Error *error) {
        const Target *target = value;
        JsonField candidate = json_field_member(field, "candidate"),
                  rollout = json_field_member(field, "rollout");

        if (target->candidate.version && !target->rollout.id)
                return json_field_fail(&rollout, error, "missing; a candidate needs a rollout");
        if (!target->candidate.version && target->rollout.id)
                return json_field_fail(&candidate, error, "missing; a rollout needs a candidate");
        if (target->pinned && target->candidate.version)
                return json_field_fail(&candidate, error, "a pinned target starts no rollout");
        if (target->candidate.version && strcmp(target->candidate.sha256, target->stable.sha256) == 0)
                return json_field_fail(&candidate, error, "the candidate is the stable release");
        return 0;
}

static const SchemaType serial_type = {
        .kind = &schema_u64,
        .min = 1,
        .max = TARGET_SERIAL_MAX,
};

static const SchemaMember target_members[] = {
        { "app", &document_name_type, offsetof(Target, app), true },
        { "group", &document_name_type, offsetof(Target, group), true },
        { "serial", &serial_type, offsetof(Target, serial), true },
        { "issued", &document_time_type, offsetof(Target, issued), true },
        { "min_agent", &document_agent_version_type, offsetof(Target, min_agent), false },
        { "release_floor", &document_time_type, offsetof(Target, release_floor), false },
        { "stable", &release_type, offsetof(Target, stable), true },
        { "candidate", &release_type, offsetof(Target, candidate), false },
        { "previous", &release_type, offsetof(Target, previous), false },
        { "rollout", &rollout_type, offsetof(Target, rollout), false },
        { "max_parallel", &share_type, offsetof(Target, max_parallel), false },
        { "urgent", &document_boolean_type, offsetof(Target, urgent), false },
        { "pinned", &document_boolean_type, offsetof(Target, pinned), false },
        { "reason", &document_text_type, offsetof(Target, reason), false },
        { "env", &document_environment_type, offsetof(Target, env), false },
        { "freeze", &freezes_type, offsetof(Target, freeze), false },
        {},
};
static const SchemaType target_type = {
        .kind = &schema_object,
        .size = sizeof(Target),
        .members = target_members,
        .check = check_target,
};

Target *target_free(Target *target) {
        if (target)
                schema_clear(&target_type, target);
        free(target);
        return NULL;
}

int target_parse(const void *payload, size_t size, Target **ret, Error *error) {
        static const DocumentName name = { "target", "app", "group" };
        _cleanup_target_ Target *target = calloc(1, sizeof(*target));
        int r;

        if (!target)
                return error_oom(error);
        r = document_parse(&target_type, &name, payload, size, TARGET_PAYLOAD_SIZE_MAX, target, error);
        if (r < 0)
                return r;
        r = document_digest(payload, size, target->sha256, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(target);
        return 0;
}

int target_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                const char *group, Target **ret, Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        _cleanup_target_ Target *target = NULL;
        char name[DOCUMENT_NAME_MAX];
        int r;

        snprintf(name, sizeof(name), "target %s %s", app, group);
        r = trust_root_verify_document(root, TRUST_ROLE_TARGET, name, TARGET_TYPE, envelope, size, now,
                                       &payload, &size, error);
        if (r >= 0)
                r = target_parse(payload, size, &target, error);
        if (r < 0)
                return r;
        if (strcmp(target->app, app) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: app: expected \"%s\", not \"%s\"",
                                       name, app, target->app);
        if (strcmp(target->group, group) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: group: expected \"%s\", not \"%s\"",
                                       name, group, target->group);
        *ret = TAKE_PTR(target);
        return 0;
}

int target_to_json(const Target *target, char **ret, size_t *ret_size, Error *error) {
        _cleanup_target_ Target *check = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = document_write(&target_type, target, &text, &size, error);
        if (r >= 0)
                r = target_parse(text, size, &check, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

/* Rules */

int target_check_successor(const Target *old, const Target *new, Error *error) {
        char floor[TIME_TEXT_MAX];

        if (new->serial < old->serial)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "target %s %s: serial %" PRIu64 " is below %" PRIu64
                                       ", which was accepted before",
                                       new->app, new->group, new->serial, old->serial);
        if (new->serial == old->serial && strcmp(new->sha256, old->sha256) != 0)
                return error_set_fault(error, -EEXIST, FAULT_INPUT,
                                       "target %s %s: serial %" PRIu64
                                       " was accepted before with other content",
                                       new->app, new->group, new->serial);
        if (new->release_floor < old->release_floor) {
                format_time(old->release_floor, floor);
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "target %s %s: release_floor: expected %s or later, as it was before",
                                       new->app, new->group, floor);
        }
        return 0;
}

int target_check_release(const Target *target, const Release *release, Error *error) {
        char created[TIME_TEXT_MAX], floor[TIME_TEXT_MAX];

        if (release->created >= target->release_floor)
                return 0;
        format_time(release->created, created);
        format_time(target->release_floor, floor);
        return error_set_fault(error, -ESTALE, FAULT_INPUT,
                               "release %s %s: created at %s, the target %s has the floor %s", release->app,
                               release->version, created, target->group, floor);
}

uint64_t target_share_of(const TargetShare *share, uint64_t fleet) {
        uint64_t n = fleet;

        if (share->count > 0)
                n = share->count;
        else if (share->percent > 0)
                n = MAX(fleet / 100 * share->percent + fleet % 100 * share->percent / 100, (uint64_t) 1);
        return MIN(n, fleet);
}

const TargetFreeze *target_find_freeze(const Target *target, uint64_t now) {
        for (size_t i = 0; i < target->freeze.n; i++)
                if (target->freeze.items[i].from <= now && now < target->freeze.items[i].until)
                        return target->freeze.items + i;
        return NULL;
}
