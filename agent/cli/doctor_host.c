#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/depot_access.h"
#include "agent/cli/doctor_checks.h"
#include "agent/cli/migrate_facts.h"
#include "artifacts/store.h"
#include "units/manager.h"

#define SYSTEMD_TESTED 252L
#define EXPIRES_SOON (30 * 24 * 3600 * USEC_PER_SEC)
#define UNPACKER MUSTER_LIBEXECDIR "/muster-unpack"
#define UNPACK_USER "muster-unpack"

void doctor_check_config(Doctor *doctor) {
        static const char name[] = "configuration";
        Error error = {};

        if (config_load(doctor->config_path, &doctor->config, &error) < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, name, "muster.conf(5) has every key", "%s",
                           error.message);
                if (config_new(&doctor->config) < 0)
                        doctor->config = NULL;
                return;
        }
        if (!config_is_configured(doctor->config))
                doctor_say(doctor->report, DOCTOR_FAILED, name,
                           "write [agent] depot and a section [app NAME]", "%s: there is no depot",
                           doctor->config_path);
        else
                doctor_say(doctor->report, DOCTOR_OK, name, NULL, "%s: %zu app%s from %s, group %s",
                           doctor->config_path, doctor->config->n_apps,
                           doctor->config->n_apps == 1 ? "" : "s", doctor->config->depot,
                           doctor->config->group);
}

void doctor_check_trust_root(Doctor *doctor) {
        uint64_t now = clock_realtime(doctor->report->cli->clock), expires;
        const char *path = doctor->config->trust_root;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        Error error = {};

        if (trust_root_read(path, &root, &error) < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "trust root",
                           "muster root init makes one, see muster(1)", "%s", error.message);
                return;
        }
        expires = trust_root_expires(root);
        if (expires <= now)
                doctor_say(doctor->report, DOCTOR_FAILED, "trust root",
                           "have a successor signed and published: muster root publish", "%s has expired",
                           path);
        else
                doctor_say(doctor->report, expires - now < EXPIRES_SOON ? DOCTOR_WARNING : DOCTOR_OK,
                           "trust root",
                           expires - now < EXPIRES_SOON ? "have a successor signed and published in time"
                                                        : NULL,
                           "%s: version %llu, for %llu more days", path,
                           (unsigned long long) trust_root_version(root),
                           (unsigned long long) ((expires - now) / (24 * 3600 * USEC_PER_SEC)));
}

void doctor_check_systemd(Doctor *doctor) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *version = NULL;
        sd_bus_error problem = SD_BUS_ERROR_NULL;
        long number;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, MANAGER_SERVICE, MANAGER_PATH, MANAGER_INTERFACE,
                                               "Version", &problem, &version);
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "systemd", "systemctl status dbus.socket",
                           "no answer: %s", problem.message ? problem.message : strerror(-r));
                sd_bus_error_free(&problem);
                return;
        }
        number = strtol(version, NULL, 10);
        doctor_say(doctor->report, number < SYSTEMD_TESTED ? DOCTOR_WARNING : DOCTOR_OK, "systemd",
                   number < SYSTEMD_TESTED ? "muster is made for 252 and later" : NULL,
                   "version %s, answers on the bus", version);
}

void doctor_check_musterd(Doctor *doctor) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *text = NULL;
        json_auto_t *status = NULL;
        const char *state, *reason;
        Error error = {};
        int r;

        r = bus_client_open(&bus, &error);
        if (r >= 0)
                r = bus_client_status(bus, &text, &error);
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_WARNING, "musterd",
                           "systemctl start musterd; journalctl -u musterd", "%s", error.message);
                return;
        }
        status = json_loads(text, 0, NULL);
        state = json_string_value(json_object_get(status, "state"));
        reason = json_string_value(json_object_get(status, "reason"));
        r = string_equal(state, "failed") ? DOCTOR_WARNING : DOCTOR_OK;
        doctor_say(doctor->report, (DoctorVerdict) r, "musterd",
                   r == DOCTOR_OK ? NULL : "muster status says more", "%s%s%s", state ?: "it runs",
                   reason && *reason ? ": " : "", reason ?: "");
}

void doctor_check_unpacker(Doctor *doctor) {
        const struct passwd *user = getpwnam(UNPACK_USER);

        if (access(UNPACKER, X_OK) < 0)
                doctor_say(doctor->report, DOCTOR_FAILED, "unpacker", "install the package again", "%s: %m",
                           UNPACKER);
        else if (!user)
                doctor_say(doctor->report, DOCTOR_FAILED, "unpacker", "systemd-sysusers makes it",
                           "there is no user " UNPACK_USER);
        else if (user->pw_uid == 0)
                doctor_say(doctor->report, DOCTOR_FAILED, "unpacker", "give the user a uid of its own",
                           "the user " UNPACK_USER " is root");
        else
                doctor_say(doctor->report, DOCTOR_OK, "unpacker", NULL,
                           UNPACKER ", as " UNPACK_USER " (uid %u)", user->pw_uid);
}

/* The folder itself, or what it will be made in. */
static int look_at_disk(const char *path, struct statvfs *ret) {
        _cleanup_free_ char *folder = strdup(path);
        char *slash;

        if (!folder)
                return -ENOMEM;
        while (statvfs(*folder ? folder : "/", ret) < 0) {
                slash = strrchr(folder, '/');
                if (errno != ENOENT || !slash || !*folder)
                        return -errno;
                *slash = '\0';
        }
        return 0;
}

void doctor_check_disk(Doctor *doctor) {
        static const char advice[] = "make room, or see reserve_bytes and reserve_inodes in muster.conf(5)";
        const Config *config = doctor->config;
        StoreReserve reserve = { .bytes = config->reserve_bytes, .inodes = config->reserve_inodes };
        struct statvfs fs;
        uint64_t bytes;
        bool is_full;
        int r;

        r = look_at_disk(config->state_dir, &fs);
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "disk", NULL, "%s: %s", config->state_dir,
                           strerror(-r));
                return;
        }
        reserve = store_reserve_of(&reserve, &fs);
        bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
        is_full = bytes < reserve.bytes || fs.f_favail < reserve.inodes;
        doctor_say(doctor->report, is_full ? DOCTOR_FAILED : DOCTOR_OK, "disk", is_full ? advice : NULL,
                   "%s: %llu MiB and %llu inodes are free, %llu MiB and %llu stay reserved",
                   config->state_dir, (unsigned long long) (bytes >> 20), (unsigned long long) fs.f_favail,
                   (unsigned long long) (reserve.bytes >> 20), (unsigned long long) reserve.inodes);
}

void doctor_check_codedeploy(Doctor *doctor) {
        MigrateService service = migrate_ask_service();

        if (service.active || service.enabled)
                doctor_say(
                        doctor->report, DOCTOR_WARNING, "CodeDeploy",
                        "systemctl disable --now codedeploy-agent; muster migrate says what moving over changes",
                        "%s is %s: both agents act on this instance", CODEDEPLOY_SERVICE,
                        service.active ? "active" : "enabled");
}
