#pragma once

/* What CloudWatch says of the alarms that a target names: one more gate of the stages of its rollout. */

#include "agent/net/cloudwatch.h"
#include "agent/register.h"

#define ALARMS_PATIENCE (UINT64_C(10) * 1000000) /* then nobody knows */
#define ALARMS_REASON_MAX 512U

typedef struct AlarmsSight {
        RegisterAlarms state;
        char reason[ALARMS_REASON_MAX]; /* one line, with the alarm's name; "" if they are quiet */
} AlarmsSight;

/* What N alarms make of NAMES, a strv: one that rings counts more than one of which there is no data, or which there
 * is not. Pure. */
void alarms_judge(char *const *names, const CloudWatchAlarm *alarms, size_t n, AlarmsSight *ret);

typedef struct AlarmsLook AlarmsLook;

/* There is always an answer: who gets none from CloudWatch does not know. */
typedef void (*AlarmsDone)(AlarmsLook *look, const AlarmsSight *sight, void *userdata);

/* AWS may be NULL: there is nobody to ask. */
int alarms_look_start(sd_event *event, AwsContext *aws, char *const *names, AlarmsDone done, void *userdata,
                      AlarmsLook **ret, Error *error);
AlarmsLook *alarms_look_free(AlarmsLook *look);
DEFINE_CLEANUP(AlarmsLook *, alarms_look_free)
