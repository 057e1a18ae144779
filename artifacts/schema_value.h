#pragma once

/* The kinds of single values that documents are made of, for schemas. In memory and in a type's members:
 *
 *   text      char *, NULL if it is not there; min and max bytes, is_valid
 *   u64       uint64_t from min to max; zero_is_unset
 *   boolean   bool; zero_is_unset
 *   duration  uint64_t, microseconds from min to max ("90s"); zero_is_unset
 *   time      uint64_t, microseconds since 1970, whole seconds in UTC; 0 (not there) is left out when written
 *   digest    uint8_t[DIGEST_SIZE], written as lower-case hex
 *   hex       char[DIGEST_HEX_SIZE], the same kept as text
 *   base64    uint8_t[size]
 *   choice    an enum that counts from 0; choices */

#include "artifacts/schema.h"

extern const SchemaKind schema_text;
extern const SchemaKind schema_u64;
extern const SchemaKind schema_boolean;
extern const SchemaKind schema_duration;
extern const SchemaKind schema_time;
extern const SchemaKind schema_digest;
extern const SchemaKind schema_hex;
extern const SchemaKind schema_base64;
extern const SchemaKind schema_choice;
