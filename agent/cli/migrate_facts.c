#include <fcntl.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "agent/base/file.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/migrate_facts.h"
#include "units/manager.h"

/* 1, or 0 where there is no such file. */
static int read_config(const char *path, CodedeployFile file, CodedeployConfig *ret, Error *error) {
        _cleanup_buffer_ Buffer buffer = {};
        int r;

        r = file_read_at(AT_FDCWD, path, CODEDEPLOY_CONFIG_SIZE_MAX, &buffer);
        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        r = codedeploy_config_parse(path, file, buffer.data ?: (const uint8_t *) "", buffer.size, ret, error);
        if (buffer.data)
                explicit_bzero(buffer.data, buffer.size);
        return r < 0 ? r : 1;
}

static char *unit_property(sd_bus *bus, const char *path, const char *name) {
        char *value = NULL;

        (void) sd_bus_get_property_string(bus, MANAGER_SERVICE, path, "org.freedesktop.systemd1.Unit", name,
                                          NULL, &value);
        return value;
}

MigrateService migrate_ask_service(void) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *load = NULL, *active = NULL, *file = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        MigrateService service = {};
        const char *path;

        if (sd_bus_open_system(&bus) < 0 ||
            sd_bus_call_method(bus, MANAGER_SERVICE, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit", NULL,
                               &reply, "s", CODEDEPLOY_SERVICE) < 0 ||
            sd_bus_message_read(reply, "o", &path) < 0)
                return service;
        load = unit_property(bus, path, "LoadState");
        active = unit_property(bus, path, "ActiveState");
        file = unit_property(bus, path, "UnitFileState");
        service.known = string_equal(load, "loaded");
        service.active = active && strcmp(active, "inactive") != 0 && strcmp(active, "failed") != 0;
        /* of a script in /etc/init.d it is "generated" */
        service.enabled = service.known && file &&
                          (string_starts_with(file, "enabled") || strcmp(file, "generated") == 0);
        return service;
}

int migrate_read_facts(const char *config, MigrateFacts *ret, Error *error) {
        _cleanup_(migrate_facts_deinit) MigrateFacts facts = {};
        const char *on_premises;
        int r;

        r = read_config(config, CODEDEPLOY_AGENT_FILE, &facts.config, error);
        if (r < 0)
                return r;
        facts.has_config = r > 0;
        on_premises = codedeploy_config_get(&facts.config, "on_premises_config_file");
        r = read_config(on_premises ?: CODEDEPLOY_ON_PREMISES_PATH, CODEDEPLOY_ON_PREMISES_FILE,
                        &facts.on_premises, error);
        if (r < 0)
                return r;
        facts.has_on_premises = r > 0;
        r = codedeploy_state_read(migrate_root_dir(&facts), &facts.state, error);
        if (r < 0)
                return r;
        facts.has_root = r > 0;
        if (!facts.has_root && !facts.has_config)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "there is no CodeDeploy agent here: neither %s nor %s is there",
                                       config, migrate_root_dir(&facts));
        facts.service = migrate_ask_service();
        *ret = facts;
        facts = (MigrateFacts){};
        return 0;
}
