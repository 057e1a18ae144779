#pragma once

/* Follows a rollout to its end: a page that is drawn over itself on a terminal, lines of what is new elsewhere. */

#include "agent/cli/rollout_survey.h"

#define ROLLOUT_FOLLOW_INTERVAL (UINT64_C(2) * USEC_PER_SEC)

/* From the survey's last picture on. 0: it is complete, or was finished; EXIT_CODE_FAILED: it was aborted, and all are back,
 * or it was replaced, or it has not ended within TIMEOUT (0: for ever), which has been said. What cannot be read for a while
 * is waited for; -ENOENT, -EBADMSG: the register is lost. */
int rollout_follow(RolloutSurvey *survey, uint64_t timeout, Error *error);

/* Whether --timeout was given with --watch, or not at all. -EDESTADDRREQ. */
int rollout_follow_check(bool watch, const OptionNumber *timeout, Error *error);
