#pragma once

/* What the configuration says of AWS, as the context that requests are made in. */

#include "agent/config.h"
#include "agent/net/aws.h"

/* RET is NULL for a depot that needs no AWS. Contacts nobody: region and credentials are looked for by the first
 * request. */
int config_aws_open(const Config *config, const char *depot, sd_event *event, AwsContext **ret, Error *error);

/* The same for those who need AWS whatever the depot is. */
int config_aws_context(const Config *config, sd_event *event, AwsContext **ret, Error *error);
