#pragma once

/* A copy of the local pin in a file of its own beside the deploy record. A record that cannot be read is made anew from the
 * history and the store, and neither knows of the pin: without the copy an instance that root holds would follow its target
 * again. The record is what counts; the copy is read only when that had to be made anew. */

#include "agent/record.h"

#define PIN_COPY_FILE "pin.json"

/* Makes the copy what the record's pin is, durably; nothing is written where it is that already, or where there is neither. */
int pin_copy_keep(int app_fd, const Record *record, Error *error);

/* 1, or 0 where there is none of this INSTANCE that can be read: another machine's pin holds nothing here. -ENOMEM. */
int pin_copy_take(int app_fd, const char *instance, LocalPin *ret);
