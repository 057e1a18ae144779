#pragma once

/* The Query protocol of the older AWS services: a form that names the action, an answer in XML ("AWS Query protocol" in
 * the Smithy documentation). */

#include "agent/net/aws_call.h"

/* PARAMETERS as url_query_add() makes them; NULL: none. */
int aws_query_start_in(AwsContext *aws, AwsService service, const char *region, const char *version,
                       const char *action, const Buffer *parameters, AwsDone done, void *userdata,
                       AwsCall **ret, Error *error);

/* The same in the context's region. */
int aws_query_start(AwsContext *aws, AwsService service, const char *version, const char *action,
                    const Buffer *parameters, AwsDone done, void *userdata, AwsCall **ret, Error *error);
