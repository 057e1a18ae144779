#include "units/unit_list.h"

#define UNIT "ssssssouso"
#define AFTER_NAME "sssssouso"

int unit_list_begin(sd_bus_message *reply) {
        return sd_bus_message_enter_container(reply, 'a', "(" UNIT ")");
}

int unit_list_next(sd_bus_message *reply, const char **ret) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(reply, 'r', UNIT);
        if (r <= 0)
                return r;
        r = sd_bus_message_read(reply, "s", &name);
        if (r >= 0)
                r = sd_bus_message_skip(reply, AFTER_NAME);
        if (r >= 0)
                r = sd_bus_message_exit_container(reply);
        if (r < 0)
                return r;
        *ret = name;
        return 1;
}
