#pragma once

/* Amazon Resource Names, arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE ("Amazon Resource Names" in the IAM User Guide).
 * Pure. */

#include <stdbool.h>

#define ARN_PART_MAX 64

typedef struct Arn {
        char partition[ARN_PART_MAX];
        char service[ARN_PART_MAX];
        char region[ARN_PART_MAX];  /* "" where the service has none */
        char account[ARN_PART_MAX]; /* likewise */
        const char *resource;       /* points into what was parsed; never "" */
} Arn;

/* Printable ASCII without spaces, six parts. */
bool arn_parse(const char *text, Arn *ret);
