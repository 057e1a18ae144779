#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/utf8.h"
#include "hooks/health_track.h"

void health_track_init(HealthTrack *track, const HealthCheck *check, uint64_t now) {
        *track = (HealthTrack){
                .interval = check->interval_usec ? check->interval_usec : HEALTH_INTERVAL_USEC,
                .deadline = usec_add(now, check->deadline_usec ? check->deadline_usec : HEALTH_DEADLINE_USEC),
                .needed = check->healthy ? check->healthy : 1,
                .next = now,
        };
}

bool health_track_is_due(const HealthTrack *track, uint64_t now) {
        return !track->running && now >= track->next;
}

void health_track_begin(HealthTrack *track, uint64_t now) {
        track->running = true;
        track->next = usec_add(now, track->interval);
}

void health_track_end(HealthTrack *track, const Error *error) {
        track->running = false;
        track->attempts++;
        if (!error) {
                track->streak++;
                return;
        }
        track->streak = 0;
        track->failures++;
        track->fault = error->fault;
        utf8_format(track->reason, sizeof(track->reason), "%s", error->message);
}

bool health_track_is_healthy(const HealthTrack *track) {
        return track->streak >= track->needed;
}

HealthVerdict health_judge(const HealthTrack *tracks, size_t n, uint64_t now) {
        bool all = true;

        for (size_t i = 0; i < n; i++) {
                if (health_track_is_healthy(&tracks[i]))
                        continue;
                if (now >= tracks[i].deadline)
                        return HEALTH_DEADLINE_MISSED;
                all = false;
        }
        return all ? HEALTH_ALL_HEALTHY : HEALTH_GOES_ON;
}

uint64_t health_next_wakeup(const HealthTrack *tracks, size_t n, uint64_t now) {
        uint64_t next = USEC_INFINITY;

        for (size_t i = 0; i < n; i++) {
                if (!tracks[i].running)
                        next = MIN(next, tracks[i].next);
                if (tracks[i].deadline > now) /* the deadline of one that is healthy is behind it */
                        next = MIN(next, tracks[i].deadline);
        }
        return next;
}

void health_track_describe(const HealthTrack *track, char *ret, size_t size) {
        if (track->attempts == 0)
                (void) snprintf(ret, size, "no attempt has ended yet");
        else if (track->failures == 0)
                (void) snprintf(ret, size, "%u of %u successes in a row so far", track->streak,
                                track->needed);
        else
                utf8_format(ret, size, "%s; %u of %u attempts failed%s", track->reason, track->failures,
                            track->attempts, track->streak > 0 ? ", the last one did not" : "");
}
