#include "agent/identity_check.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"

struct IdentityCheck {
        sd_event *event; /* borrowed */
        const Config *config;
        AwsContext *aws;
        const Identity *guess;
        IdentityChecked checked;
        void *userdata;
        Identify *identify;
        sd_event_source *timer;
        uint64_t delay;
};

static void ask_after(IdentityCheck *check) {
        (void) sd_event_source_set_time_relative(check->timer, check->delay);
        (void) sd_event_source_set_enabled(check->timer, SD_EVENT_ONESHOT);
        check->delay = MIN(check->delay * 2, (uint64_t) IDENTITY_CHECK_MAX);
}

static void on_identified(Identify *identify, int result, const Error *error, void *userdata) {
        IdentityCheck *check = userdata;
        _cleanup_(identity_deinit) Identity found = {};

        if (result < 0)
                log_debug("%s", error->message);
        if (result < 0 || identify_doubt(identify)) {
                ask_after(check);
                return;
        }
        found = identify_take(identify);
        check->checked(check, &found, !identity_equal(check->guess, &found), check->userdata);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        IdentityCheck *check = userdata;
        Error error = {};

        check->identify = identify_free(check->identify);
        if (identify_start(check->event, check->config, check->aws, on_identified, check, &check->identify,
                           &error) < 0)
                ask_after(check);
        return 0;
}

int identity_check_new(sd_event *event, const Config *config, AwsContext *aws, const Identity *guess,
                       IdentityChecked checked, void *userdata, IdentityCheck **ret, Error *error) {
        _cleanup_(identity_check_freep) IdentityCheck *check = NULL;
        int r;

        check = malloc(sizeof(*check));
        if (!check)
                return error_oom(error);
        *check = (IdentityCheck){
                .event = event,
                .config = config,
                .aws = aws,
                .guess = guess,
                .checked = checked,
                .userdata = userdata,
                .delay = IDENTITY_CHECK_FIRST,
        };
        r = sd_event_add_time_relative(event, &check->timer, CLOCK_BOOTTIME, check->delay,
                                       TIMER_ACCURACY_EXACT, on_timer, check);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(check);
        return 0;
}

IdentityCheck *identity_check_free(IdentityCheck *check) {
        if (!check)
                return NULL;
        sd_event_source_unref(check->timer);
        identify_free(check->identify);
        free(check);
        return NULL;
}
