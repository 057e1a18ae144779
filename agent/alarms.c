#include <string.h>

#include "agent/alarms.h"
#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/base/utf8.h"

#define CONNECT_MAX (3 * USEC_PER_SEC)

struct AlarmsLook {
        sd_event_source *timer;
        CloudWatchRequest *request;
        char *const *names; /* borrowed */
        bool nobody;        /* to ask */
        AlarmsDone done;
        void *userdata;
};

/* Judging */

static const CloudWatchAlarm *find(const CloudWatchAlarm *alarms, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(alarms[i].name, name) == 0)
                        return alarms + i;
        return NULL;
}

static RegisterAlarms judge_one(const CloudWatchAlarm *alarm) {
        if (!alarm)
                return REGISTER_ALARMS_UNKNOWN;
        if (strcmp(alarm->state, "OK") == 0)
                return REGISTER_ALARMS_QUIET;
        return strcmp(alarm->state, "ALARM") == 0 ? REGISTER_ALARMS_RING : REGISTER_ALARMS_UNKNOWN;
}

/* CloudWatch's words may be of several lines, and longer than there is room for. */
static void make_line(char *text) {
        utf8_make_printable(text, strlen(text));
        for (; *text; text++)
                if (*text == '\n' || *text == '\t')
                        *text = ' ';
}

static void describe(const char *name, const CloudWatchAlarm *alarm, char ret[static ALARMS_REASON_MAX]) {
        if (!alarm)
                (void) snprintf(ret, ALARMS_REASON_MAX, "there is no alarm %s", name);
        else
                (void) snprintf(ret, ALARMS_REASON_MAX, "alarm %s is in %s%s%s", name, alarm->state,
                                *alarm->reason ? ": " : "", alarm->reason);
        make_line(ret);
}

void alarms_judge(char *const *names, const CloudWatchAlarm *alarms, size_t n, AlarmsSight *ret) {
        AlarmsSight worst = { .state = REGISTER_ALARMS_QUIET };

        STRV_FOREACH(name, names) {
                const CloudWatchAlarm *alarm = find(alarms, n, *name);
                RegisterAlarms state = judge_one(alarm);

                if (state <= worst.state)
                        continue;
                worst.state = state;
                describe(*name, alarm, worst.reason);
        }
        *ret = worst;
}

/* Looking */

static void finish(AlarmsLook *look, const AlarmsSight *sight) {
        look->request = cloudwatch_request_free(look->request);
        (void) sd_event_source_set_enabled(look->timer, SD_EVENT_OFF);
        look->done(look, sight, look->userdata);
}

static void finish_unknown(AlarmsLook *look, const char *why) {
        AlarmsSight sight = { .state = REGISTER_ALARMS_UNKNOWN };

        (void) snprintf(sight.reason, sizeof(sight.reason), "nobody knows of its alarms: %.*s",
                        (int) ALARMS_REASON_MAX - 64, why);
        make_line(sight.reason);
        finish(look, &sight);
}

static void on_alarms(CloudWatchRequest *request, int result, const Error *error, void *userdata) {
        AlarmsLook *look = userdata;
        const CloudWatchAlarm *alarms;
        AlarmsSight sight;
        size_t n;

        if (result < 0) {
                finish_unknown(look, error->message);
                return;
        }
        alarms = cloudwatch_request_alarms(request, &n);
        alarms_judge(look->names, alarms, n, &sight);
        finish(look, &sight);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        AlarmsLook *look = userdata;

        finish_unknown(look, look->nobody ? "the depot is not on AWS" : "CloudWatch does not answer");
        return 0;
}

int alarms_look_start(sd_event *event, AwsContext *aws, char *const *names, AlarmsDone done, void *userdata,
                      AlarmsLook **ret, Error *error) {
        const HttpTimeouts timeouts = { .connect = CONNECT_MAX, .total = ALARMS_PATIENCE };
        _cleanup_(alarms_look_freep) AlarmsLook *look = malloc(sizeof(*look));
        int r;

        if (!look)
                return error_oom(error);
        *look = (AlarmsLook){ .names = names, .nobody = !aws, .done = done, .userdata = userdata };
        r = timer_new(event, CLOCK_BOOTTIME, on_timer, look, &look->timer);
        if (r >= 0)
                r = sd_event_source_set_time_relative(look->timer, aws ? ALARMS_PATIENCE : 0);
        if (r >= 0)
                r = sd_event_source_set_enabled(look->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        if (aws)
                r = cloudwatch_alarms_start(aws, names, &timeouts, on_alarms, look, &look->request, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(look);
        return 0;
}

AlarmsLook *alarms_look_free(AlarmsLook *look) {
        if (!look)
                return NULL;
        sd_event_source_disable_unref(look->timer);
        cloudwatch_request_free(look->request);
        free(look);
        return NULL;
}
