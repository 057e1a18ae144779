#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/cleanup.h"
#include "agent/net/ip_route.h"

/* Addresses that only a default route leads to: those for documentation (RFC 5737, RFC 3849). */
#define ANYWHERE_IPV4 "192.0.2.1"
#define ANYWHERE_IPV6 "2001:db8::1"
#define ANY_PORT 80

static socklen_t parse_address(const char *address, struct sockaddr_storage *ret) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *) ret;
        struct sockaddr_in *ipv4 = (struct sockaddr_in *) ret;

        memset(ret, 0, sizeof(*ret));
        if (inet_pton(AF_INET, address, &ipv4->sin_addr) == 1) {
                ipv4->sin_family = AF_INET;
                ipv4->sin_port = htons(ANY_PORT);
                return sizeof(*ipv4);
        }
        if (inet_pton(AF_INET6, address, &ipv6->sin6_addr) == 1) {
                ipv6->sin6_family = AF_INET6;
                ipv6->sin6_port = htons(ANY_PORT);
                return sizeof(*ipv6);
        }
        return 0;
}

bool ip_has_route(const char *address) {
        struct sockaddr_storage peer;
        socklen_t size = parse_address(address, &peer);
        _cleanup_close_ int fd = -1;

        if (size == 0)
                return false;
        fd = socket(peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && connect(fd, (struct sockaddr *) &peer, size) == 0;
}

bool ip_is_ipv6_only(void) {
        return !ip_has_route(ANYWHERE_IPV4) && ip_has_route(ANYWHERE_IPV6);
}
