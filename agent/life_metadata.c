#include <ctype.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/life_metadata.h"

bool life_metadata_is_word(const char *text) {
        size_t n = strlen(text);

        for (; *text; text++)
                if (!isgraph((unsigned char) *text))
                        return false;
        return n > 0 && n < LIFE_WORD_SIZE;
}

static int malformed(Error *error, const char *what, const char *expected) {
        return error_set_fault(error, -EBADMSG, FAULT_HOST, "the instance metadata's %s: expected %s", what,
                               expected);
}

int life_metadata_spot(const char *text, SpotAction *ret, Error *error) {
        json_auto_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        const char *action, *at;
        SpotAction spot = {};

        if (!json || json_unpack(json, "{s:s, s:s}", "action", &action, "time", &at) < 0 ||
            !life_metadata_is_word(action) || parse_time(at, &spot.at) < 0)
                return malformed(error, "spot/instance-action", "an action and its time");
        snprintf(spot.action, sizeof(spot.action), "%s", action);
        *ret = spot;
        return 0;
}

int life_metadata_rebalance(const char *text, uint64_t *ret_at, Error *error) {
        json_auto_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        const char *at;

        if (!json || json_unpack(json, "{s:s}", "noticeTime", &at) < 0 || parse_time(at, ret_at) < 0)
                return malformed(error, "events/recommendations/rebalance", "a noticeTime");
        return 0;
}

/* "21 Jan 2019 09:00:43 GMT", or the notation that all the other times have. */
static int read_time(const char *text, uint64_t *ret) {
        struct tm tm = {};
        const char *end;
        time_t seconds;

        if (parse_time(text, ret) >= 0)
                return 0;
        end = strptime(text, "%d %b %Y %H:%M:%S GMT", &tm);
        if (!end || *end)
                return -EINVAL;
        seconds = timegm(&tm);
        if (seconds < 0)
                return -EINVAL;
        *ret = (uint64_t) seconds * USEC_PER_SEC;
        return 0;
}

static bool is_over(const char *state) {
        return state && (strcmp(state, "completed") == 0 || strcmp(state, "canceled") == 0);
}

/* Takes in one that begins before the one in RET. */
static int take_event(json_t *json, Maintenance *ret) {
        const char *code, *not_before, *state = NULL;
        uint64_t at;

        if (json_unpack(json, "{s:s, s:s, s?s}", "Code", &code, "NotBefore", &not_before, "State", &state) <
                    0 ||
            !life_metadata_is_word(code) || read_time(not_before, &at) < 0)
                return -EBADMSG;
        if (is_over(state) || (ret->code[0] && ret->not_before <= at))
                return 0;
        snprintf(ret->code, sizeof(ret->code), "%s", code);
        ret->not_before = at;
        return 0;
}

int life_metadata_maintenance(const char *text, Maintenance *ret, Error *error) {
        json_auto_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        Maintenance next = {};
        json_t *event;
        size_t i;

        if (!json_is_array(json))
                return malformed(error, "events/maintenance/scheduled", "an array of events");
        json_array_foreach(json, i, event)
                if (take_event(event, &next) < 0)
                        return malformed(error, "events/maintenance/scheduled",
                                         "a Code and a NotBefore of each event");
        *ret = next;
        return next.code[0] ? 1 : 0;
}
