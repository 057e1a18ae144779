#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/net/ip_route.h"
#include "tests/unit/test.h"

static void test_addresses(_unused_ void **state) {
        assert_true(ip_has_route("127.0.0.1"));
        assert_false(ip_has_route("localhost"));
        assert_false(ip_has_route(""));
}

#define NOT_TO_BE_HAD 77

/* A network of one's own: root's right, or that of who is root in a name space of one's own. */
static bool leave_network(void) {
        uid_t uid = getuid();
        FILE *map;

        if (unshare(CLONE_NEWNET) == 0)
                return true;
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
                return false;
        map = fopen("/proc/self/uid_map", "we");
        if (!map)
                return false;
        fprintf(map, "0 %u 1", uid);
        return fclose(map) == 0;
}

static int look_from(const char *commands) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
                if (!leave_network() || system(commands) != 0)
                        _exit(NOT_TO_BE_HAD);
                _exit(ip_is_ipv6_only() | ip_has_route("169.254.169.254") << 1 |
                      ip_has_route("fd00:ec2::254") << 2);
        }
        assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
        return WEXITSTATUS(status);
}

#define LINK "ip link add e type veth peer name f && ip link set e up && ip link set f up && "

static void test_protocols(_unused_ void **state) {
        static const struct {
                const char *commands;
                int expected; /* bits: IPv6 only, IPv4 to the metadata, IPv6 to them */
        } cases[] = {
                { "true", 0 },
                { LINK "ip addr add 10.9.9.2/24 dev e && ip route add default via 10.9.9.1", 2 },
                { LINK "ip addr add fd09::2/64 dev e nodad && ip route add default via fd09::1", 5 },
                { LINK "ip addr add 169.254.9.9/16 dev e && ip addr add fd09::2/64 dev e nodad && "
                       "ip route add default via fd09::1",
                  7 },
                { LINK "ip addr add 10.9.9.2/24 dev e && ip route add default via 10.9.9.1 && "
                       "ip addr add fd09::2/64 dev e nodad && ip route add default via fd09::1",
                  6 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int found = look_from(cases[i].commands);

                if (found == NOT_TO_BE_HAD)
                        skip();
                assert_int_equal(found, cases[i].expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_protocols),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
