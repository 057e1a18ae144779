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

/* Whether what was answered to ACTION is its answer, and not the page of a proxy or a portal that answers everything
 * with 200: a lifecycle action that nobody has heard of must not count as completed. -EBADMSG. */
int aws_query_check_answer(const AwsCall *call, const char *action, Error *error);
