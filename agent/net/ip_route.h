#pragma once

/* Which of the internet's two protocols this machine can speak at all, by the kernel's routes. Asks nobody: to connect a
 * datagram socket sends nothing. */

#include <stdbool.h>

/* ADDRESS is an IPv4 or an IPv6 address. */
bool ip_has_route(const char *address);

/* Whether there is a way to anywhere by IPv6, and none by IPv4, as in an IPv6-only subnet. */
bool ip_is_ipv6_only(void);
