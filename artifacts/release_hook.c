#include "artifacts/release_hook.h"

#define TIMEOUT_MIN UINT64_C(1000000)

static const SchemaType hook_timeout_type = {
        .kind = &schema_duration,
        .min = TIMEOUT_MIN,
        .max = RELEASE_HOOK_TIMEOUT_MAX,
};

/* CodeDeploy's word for how it becomes `runas`; only an appspec has it. */
static int read_sudo(_unused_ const SchemaType *type, const JsonField *field, _unused_ void *value,
                     Error *error) {
        bool ignored;

        return schema_read(&document_boolean_type, field, &ignored, error);
}

static int write_sudo(_unused_ const SchemaType *type, _unused_ const void *value, _unused_ json_t **ret) {
        return 0;
}

/* A size, though nothing is kept: it is offered among the keys that are known. */
static const SchemaKind sudo_kind = { .read = read_sudo, .write = write_sudo, .size = sizeof(bool) };
static const SchemaType sudo_type = {
        .kind = &sudo_kind,
};

static void prepare_hook(void *value) {
        ReleaseHook *hook = value;

        hook->timeout = RELEASE_HOOK_TIMEOUT_DEFAULT;
}

static int check_hook(const JsonField *field, void *value, _unused_ Error *error) {
        JsonField location = json_field_member(field, "location");
        ReleaseHook *hook = value;

        hook->line = json_field_line(&location);
        return 0;
}

static const SchemaMember hook_members[] = {
        { "location", &document_path_type, offsetof(ReleaseHook, location), true },
        { "args", &document_arguments_type, offsetof(ReleaseHook, args), false },
        { "timeout", &hook_timeout_type, offsetof(ReleaseHook, timeout), false },
        { "runas", &document_user_type, offsetof(ReleaseHook, runas), false },
        { "sudo", &sudo_type, 0, false },
        {},
};
static const SchemaType hook_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseHook),
        .members = hook_members,
        .lenient = true,
        .expected = "a script: a mapping with location",
        .prepare = prepare_hook,
        .check = check_hook,
};
static const SchemaType event_type = {
        .kind = &schema_list,
        .element = &hook_type,
        .expected = "a list of scripts",
        .max = RELEASE_HOOKS_MAX,
};

#define EVENT(name, event)                                                                                   \
        { name, &event_type, LIFECYCLE_##event * sizeof(ReleaseHooks), false }
static const SchemaMember hooks_members[] = {
        EVENT("BeforeBlockTraffic", BEFORE_BLOCK_TRAFFIC),
        EVENT("AfterBlockTraffic", AFTER_BLOCK_TRAFFIC),
        EVENT("ApplicationStop", APPLICATION_STOP),
        EVENT("BeforeInstall", BEFORE_INSTALL),
        EVENT("AfterInstall", AFTER_INSTALL),
        EVENT("ApplicationStart", APPLICATION_START),
        EVENT("ValidateService", VALIDATE_SERVICE),
        EVENT("BeforeAllowTraffic", BEFORE_ALLOW_TRAFFIC),
        EVENT("AfterAllowTraffic", AFTER_ALLOW_TRAFFIC),
        {},
};

static bool hooks_are_set(const void *value) {
        const ReleaseHooks *hooks = value;

        for (unsigned i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                if (hooks[i].n > 0)
                        return true;
        return false;
}

/* What CodeDeploy itself does, on instances or elsewhere. */
static char *const events_without_scripts[] = {
        "Start",       "DownloadBundle",        "Install", "BlockTraffic", "AllowTraffic", "AllowTestTraffic",
        "TestTraffic", "AfterAllowTestTraffic", "End",     NULL,
};

const SchemaType release_hooks_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseHooks[LIFECYCLE_EVENT_COUNT]),
        .members = hooks_members,
        .expected = "a mapping of lifecycle events to lists of scripts",
        .closed = true,
        .lenient = true,
        .ignored = events_without_scripts,
        .passed_over = "no scripts run at this event; it is passed over",
        .is_set = hooks_are_set,
};
