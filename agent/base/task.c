#include <fcntl.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/task.h"

#define GENTLE_NICE 19

struct Task {
        const char *name;
        pid_t pid;
        int result_fd; /* the child writes one TaskResult */
        sd_event_source *child;
        TaskDone done;
        void *userdata;
};

typedef struct TaskResult {
        int result;
        Error error;
} TaskResult;

static _Noreturn void run_child(pid_t parent, int fd, TaskFunction function, void *userdata) {
        TaskResult result = {};
        sigset_t none;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(EXIT_FAILURE);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        result.result = function(userdata, &result.error);
        _exit(file_write_fd(fd, &result, sizeof(result)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void read_result(const Task *task, const siginfo_t *si, TaskResult *ret) {
        ssize_t n = read(task->result_fd, ret, sizeof(*ret));

        if (n == (ssize_t) sizeof(*ret) && si->si_code == CLD_EXITED && si->si_status == EXIT_SUCCESS)
                return;
        ret->result = error_set(&ret->error, -EIO, "%s: the process that does it ended by %s %d", task->name,
                                si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status);
}

static int on_child(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata) {
        Task *task = userdata;
        TaskResult result = {};

        task->pid = 0; /* sd-event reaps it */
        read_result(task, si, &result);
        task->done(task, result.result, &result.error, task->userdata);
        return 0;
}

int task_start(sd_event *event, const char *name, TaskFunction function, void *function_userdata,
               TaskDone done, void *done_userdata, Task **ret, Error *error) {
        _cleanup_(task_freep) Task *task = NULL;
        _cleanup_close_ int write_fd = -1;
        pid_t parent = getpid();
        int fds[2], r;

        task = malloc(sizeof(*task));
        if (!task)
                return error_oom(error);
        *task = (Task){ .name = name, .result_fd = -1, .done = done, .userdata = done_userdata };
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(error, -errno, "%s: cannot make a pipe", name);
        task->result_fd = fds[0];
        write_fd = fds[1];
        task->pid = fork();
        if (task->pid < 0)
                return error_set_errno(error, -errno, "%s: cannot start a process", name);
        if (task->pid == 0)
                run_child(parent, write_fd, function, function_userdata);
        r = sd_event_add_child(event, &task->child, task->pid, WEXITED, on_child, task);
        if (r < 0)
                return error_set_errno(error, r, "%s: cannot watch a process", name);
        *ret = TAKE_PTR(task);
        return 0;
}

void task_be_gentle(void) {
        (void) setpriority(PRIO_PROCESS, 0, GENTLE_NICE);
        (void) syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

Task *task_free(Task *task) {
        if (!task)
                return NULL;
        task->child = sd_event_source_unref(task->child);
        if (task->pid > 0) {
                (void) kill(task->pid, SIGKILL);
                (void) waitpid(task->pid, NULL, 0);
        }
        close_fd(task->result_fd);
        free(task);
        return NULL;
}
