#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/machine.h"

#define FILE_SIZE_MAX 256U

/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html: the asset tag is the instance's id on
 * Nitro; the product's id begins with "ec2" on all of EC2. */
static const char asset_tag[] = "/sys/class/dmi/id/board_asset_tag";
static const char *const fingerprints[] = { "/sys/class/dmi/id/product_uuid", "/etc/machine-id" };

/* NULL where there is none. */
static int read_line(const char *root, const char *path, char **ret) {
        _cleanup_free_ char *whole = NULL;
        _cleanup_buffer_ Buffer text = {};

        *ret = NULL;
        if (asprintf(&whole, "%s%s", root, path) < 0) {
                whole = NULL;
                return -ENOMEM;
        }
        if (file_read_at(AT_FDCWD, whole, FILE_SIZE_MAX, &text) < 0)
                return 0;
        if (text.size > 0)
                text.data[strcspn(buffer_string(&text), "\n")] = '\0';
        return name_is_valid(buffer_string(&text)) ? string_set(ret, buffer_string(&text)) : 0;
}

int machine_read(const char *root, Machine *ret) {
        Machine machine = {};
        int r;

        r = read_line(root, asset_tag, &machine.instance);
        if (r >= 0 && machine.instance && !string_starts_with(machine.instance, "i-")) {
                free(machine.instance);
                machine.instance = NULL;
        }
        for (size_t i = 0; i < ELEMENTSOF(fingerprints) && r >= 0 && !machine.fingerprint; i++)
                r = read_line(root, fingerprints[i], &machine.fingerprint);
        if (r < 0)
                machine_deinit(&machine);
        else
                *ret = machine;
        return r;
}

void machine_deinit(Machine *machine) {
        free(machine->instance);
        free(machine->fingerprint);
        *machine = (Machine){};
}
