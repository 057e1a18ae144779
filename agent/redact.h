#pragma once

/* Takes out of text what looks like a secret, before it leaves the machine: values behind a name such as password=, token:
 * or secret_key=, the word behind Authorization: or Bearer, passwords in URLs, AWS access key ids, and private keys in PEM.
 * A last defence, not a proof: what is printed by those who know secrets may hide them in ways that nobody can tell. Pure. */

#define REDACTED "[redacted]"

/* New memory, NULL if there is none. */
char *redact(const char *text);
