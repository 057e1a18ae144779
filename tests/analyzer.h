#pragma once

/* For make lint only. The analyzer looks at one source at a time, so it has to be told that these give back the
 * result that they are given: else it follows paths on which a failure comes back as success. */

#include "agent/base/error.h"
#include "artifacts/json.h"

#define error_set(error, r, ...) ((error_set) (error, r, __VA_ARGS__), (r))
#define error_set_fault(error, r, ...) ((error_set_fault) (error, r, __VA_ARGS__), (r))
#define error_set_errno(error, r, ...) ((error_set_errno) (error, r, __VA_ARGS__), (r))
#define error_oom(error) ((error_oom) (error), -ENOMEM)
#define json_field_fail(field, error, ...) ((json_field_fail) (field, error, __VA_ARGS__), -EBADMSG)
#define json_field_expected(field, error, expected) ((json_field_expected) (field, error, expected), -EBADMSG)
