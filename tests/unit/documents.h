#pragma once

/* The documents in tests/unit/data/documents: the golden ones, the keys that signed them, and lists of hostile changes.
 *
 * <kind>.json is a payload in canonical form, <kind>.envelope.json its envelope; tests/lab/test_documents.py made them with
 * another implementation. hostile-<kind>.txt lists changes to the payload, each followed by the message it must give:
 *
 *   set artifacts.any.size 5        the member gets this JSON value
 *   drop app                        the member is removed
 *   text {"app":1,"app":1}          the whole text instead
 *       release api 1.4.2: app: missing; expected ...
 *
 * Several changes before a message are one case; the message "good" means that it is no error. */

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "artifacts/key.h"

#define DOCUMENTS_FOLDER "tests/unit/data/documents/"

/* Within the validity of the golden root: 2026-11-21T12:00:00Z. */
#define DOCUMENTS_NOW (UINT64_C(1795262400) * 1000000)

/* Fails the test if the file is not there. */
void documents_read(const char *name, Buffer *ret);

/* Key 1 to 3: those of RFC 8032, section 7.1, TEST 1 to TEST 3, with their private parts. */
Key *documents_key(unsigned number);

/* cmocka setup and teardown: *STATE has all three. */
typedef struct DocumentsKeys {
        Key *key[3];
} DocumentsKeys;

int documents_keys_setup(void **state);
int documents_keys_teardown(void **state);

/* Parses one text; a negative errno and the message, as all parsers have it. */
typedef int (*DocumentsParse)(const void *data, size_t size, Error *error);

/* Runs every case of hostile-<kind>.txt on <kind>.json and fails the test on the first that goes otherwise. */
void documents_try_hostile(const char *kind, DocumentsParse parse);
