#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/release_unit.h"

static const char *const on_deploys[] = {
        [ON_DEPLOY_RELOAD] = "reload",
        [ON_DEPLOY_RESTART] = "restart",
        [ON_DEPLOY_RELOAD_OR_RESTART] = "reload-or-restart",
        [ON_DEPLOY_START] = "start",
        [ON_DEPLOY_NONE] = "none",
        NULL,
};

const char *release_on_deploy_to_string(ReleaseOnDeploy on_deploy) {
        return on_deploys[on_deploy];
}

static bool unit_name_is_valid(const char *text) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".timer", ".path", ".target", ".slice"
        };
        static const char characters[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
        size_t n = strlen(text);

        if (n > 255 || strspn(text, characters) != n || text[0] == '.' || text[0] == '@')
                return false;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (string_ends_with(text, suffixes[i]))
                        return true;
        return false;
}

const SchemaType release_unit_name_type = {
        .kind = &schema_text,
        .is_valid = unit_name_is_valid,
        .expected = "the name of a unit such as api.service",
        .max = 255,
};
static const SchemaType on_deploy_type = {
        .kind = &schema_choice,
        .choices = on_deploys,
};

static void prepare_unit(void *value) {
        ReleaseUnit *unit = value;

        unit->on_deploy = ON_DEPLOY_RESTART;
}

static int check_unit(const JsonField *field, void *value, Error *error) {
        JsonField file = json_field_member(field, "file"), on_deploy = json_field_member(field, "on_deploy");
        ReleaseUnit *unit = value;

        unit->line = json_field_line(&file);
        if (!json_field_is_set(&on_deploy) && string_ends_with(unit->name, ".socket"))
                unit->on_deploy = ON_DEPLOY_START;
        if (strstr(unit->name, "@.") && unit->on_deploy != ON_DEPLOY_NONE)
                return json_field_fail(&on_deploy, error, "%s is a template, which can only have none",
                                       unit->name);
        if (!string_ends_with(unit->name, ".service") &&
            (unit->on_deploy == ON_DEPLOY_RELOAD || unit->on_deploy == ON_DEPLOY_RELOAD_OR_RESTART))
                return json_field_fail(&on_deploy, error, "only a .service can be reloaded, %s cannot",
                                       unit->name);
        return 0;
}

static const SchemaMember unit_members[] = {
        { "name", &release_unit_name_type, offsetof(ReleaseUnit, name), true },
        { "file", &document_path_type, offsetof(ReleaseUnit, file), false },
        { "on_deploy", &on_deploy_type, offsetof(ReleaseUnit, on_deploy), false },
        {},
};
static const SchemaType unit_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseUnit),
        .members = unit_members,
        .prepare = prepare_unit,
        .check = check_unit,
};
static int check_units(const JsonField *field, void *value, Error *error) {
        const ReleaseUnits *units = value;

        for (size_t i = 0; i < units->n; i++)
                for (size_t k = 0; k < i; k++)
                        if (strcmp(units->items[i].name, units->items[k].name) == 0) {
                                JsonField unit = json_field_element(field, i);

                                return json_field_fail(&unit, error, "%s is listed twice",
                                                       units->items[i].name);
                        }
        return 0;
}

const SchemaType release_units_type = {
        .kind = &schema_list,
        .element = &unit_type,
        .max = RELEASE_UNITS_MAX,
        .check = check_units,
};
