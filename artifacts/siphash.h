#pragma once

/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys a stranger chose. */

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16

uint64_t siphash(const void *data, size_t size, const uint8_t key[static SIPHASH_KEY_SIZE]);
