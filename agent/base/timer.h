#pragma once

/* A timer that is set later, perhaps many times. */

#include <time.h>

#include <systemd/sd-event.h>

/* Makes one that is off. Once set it is exact, and calls CALLBACK once. Errors: sd_event_add_time()'s. */
int timer_new(sd_event *event, clockid_t clock, sd_event_time_handler_t callback, void *userdata,
              sd_event_source **ret);
