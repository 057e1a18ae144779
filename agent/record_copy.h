#pragma once

/* A copy of the local pin, and of as what the instance was taken out of its target groups, in a file of its own
 * beside the deploy record. A record that cannot be read is made anew from the history and the store, and neither
 * knows of these: without the copy an instance that root holds would follow its target again, and one that was out of
 * its load balancer would stay out of it. The record is what counts; the copy is read only when that had to be made
 * anew. */

#include "agent/record.h"

#define RECORD_COPY_FILE "record-copy.json"

/* Makes the copy what the record has of these, durably; nothing is written where it is that already, or where there is none. */
int record_copy_keep(int app_fd, const Record *record, Error *error);

/* Gives RECORD what it has none of itself, if a copy of this INSTANCE can be read: another machine's says nothing here.
 * -ENOMEM. */
int record_copy_take(int app_fd, const char *instance, Record *record);
