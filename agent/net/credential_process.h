#pragma once

/* credential_process of the AWS configuration: a command whose standard output is JSON with Version 1, AccessKeyId,
 * SecretAccessKey and, where there are, SessionToken and Expiration ("Process credential provider", AWS SDKs and
 * Tools Reference Guide). No shell runs it: its words are split at white space, with quotes and backslashes as a
 * shell has them. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/net/credentials.h"

#define CREDENTIAL_PROCESS_OUTPUT_MAX (64U * 1024U)
#define CREDENTIAL_PROCESS_TIMEOUT (60 * USEC_PER_SEC)

/* The words of a command, new memory. -EINVAL for an open quote, or no word at all; -ENOMEM. */
int credential_process_split(const char *command, char ***ret);

typedef struct CredentialProcess CredentialProcess;

/* RESULT is 0 or a negative errno: the command could not be run, failed (the sentence has the last line that it wrote to
 * standard error), took too long, or printed something else. */
typedef void (*CredentialProcessDone)(CredentialProcess *process, int result, const Error *error,
                                      void *userdata);

int credential_process_start(sd_event *event, const char *command, CredentialProcessDone done, void *userdata,
                             CredentialProcess **ret, Error *error);

/* Kills one that still runs. Returns NULL. */
CredentialProcess *credential_process_free(CredentialProcess *process);
DEFINE_CLEANUP(CredentialProcess *, credential_process_free)

/* Hands them over. */
Credentials credential_process_take(CredentialProcess *process);
