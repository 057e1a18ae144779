#pragma once

/* What exists in AWS of the queue that this instance made, in <state_dir>/queue.json: written before each thing is made
 * and before it is forgotten, so that whatever a crash or another configuration leaves behind is known and goes. */

#include "agent/base/error.h"

typedef struct QueueNote {
        char *instance; /* of which it is; another one's, in an image of that, is none of ours */
        char *name;     /* NULL: there is no queue */
        char *url;      /* NULL: it may exist, or not */
        char *topic;
        char *subscription; /* ARN; NULL: none that is known */
} QueueNote;

void queue_note_deinit(QueueNote *note);

/* An empty one where there is no file, it cannot be understood, or it is of another instance. */
int queue_note_load(int state_fd, const char *instance, QueueNote *ret, Error *error);

/* Without a queue the file goes. */
int queue_note_save(int state_fd, const QueueNote *note, Error *error);
