#pragma once

/* Work that would block the event loop (syncing or removing a large tree) runs in a child process: musterd stays one
 * thread. The child inherits everything by fork, does file-system work only, and hands back a result and an Error. */

#include <systemd/sd-event.h>

#include "agent/base/error.h"

typedef struct Task Task;

/* Runs in the child. Must not touch the event loop, the bus or the network. */
typedef int (*TaskFunction)(void *userdata, Error *error);

/* Called from the event loop, never from task_start(). May free the task. A child that was killed gives -EIO. */
typedef void (*TaskDone)(Task *task, int result, const Error *error, void *userdata);

/* NAME is for messages, such as "sync release"; it is not copied. SIGCHLD must be blocked, as sd-event wants it: else
 * -EBUSY. */
int task_start(sd_event *event, const char *name, TaskFunction function, void *function_userdata,
               TaskDone done, void *done_userdata, Task **ret, Error *error);

/* For the child: work that nobody waits for takes the processor and the disk only where nobody else wants them. */
void task_be_gentle(void);

/* Kills a child that still runs, and calls nobody. Returns NULL, once the child has ended: who gives work up goes on with the same
 * files at once, and nothing of it may happen to them after that. That takes as long as the child's running system call, with a
 * disk that hangs as long as that does; the next write of musterd's own record would wait for it as well. */
Task *task_free(Task *task);
DEFINE_CLEANUP(Task *, task_free)
