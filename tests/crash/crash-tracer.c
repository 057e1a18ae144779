/* crash-tracer PLAN PROGRAM ARGUMENT…: runs a program and all that it forks, writes down every call by which it changes
 * what a disk holds, and at one of them kills the program or has the call fail.
 *
 * It does what `strace -f -e inject=CALL:when=N` does, but for two things that a list of points needs: calls are counted
 * over all processes and threads of the program, where strace counts in each by itself; and a point is named by what
 * the call is about ("the second renameat to …/record.json"), so that it stays the same point when another call comes
 * or goes before it.
 *
 * The plan is a file of lines KEY=VALUE, read when the program starts; without it the program is run and nothing else:
 *
 *     log=FILE       a line for each call: "main" or "child" (another process or thread), its name, what it is about;
 *                    "inject ACTION" where it is met, and at last "end signal 9" or "end status 0"
 *     call=NAME      the call to meet; "any" for each of them
 *     path=PATTERN   what it must be about, as in fnmatch(3)
 *     nth=N          the first such call is 1
 *     action=kill    the program with all its processes, before the call is made
 *            kill-process   only the process that makes it
 *            EIO, ENOSPC, EDQUOT    the call is not made and fails with this error
 */

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/elf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define NAME_SIZE 32
#define PATH_SIZE (2 * PATH_MAX)
#define EXIT_CANNOT 125

/* A call, and where in its arguments it says what it is about: a path (beneath a folder, or not), or a descriptor. */
typedef struct Call {
        const char *name;
        int number;
        int folder; /* the argument that is a folder's descriptor, NONE where there is none */
        int path;   /* the argument that is a path, NONE for a call about the descriptor `folder` */
} Call;

#define NONE (-1)

static const Call calls[] = {
#ifdef SYS_rename
        { "rename", SYS_rename, NONE, 1 },       { "link", SYS_link, NONE, 1 },
        { "symlink", SYS_symlink, NONE, 1 },     { "unlink", SYS_unlink, NONE, 0 },
        { "rmdir", SYS_rmdir, NONE, 0 },         { "mkdir", SYS_mkdir, NONE, 0 },
#endif
#ifdef SYS_renameat
        { "renameat", SYS_renameat, 2, 3 },
#endif
        { "renameat2", SYS_renameat2, 2, 3 },    { "linkat", SYS_linkat, 2, 3 },
        { "symlinkat", SYS_symlinkat, 1, 2 },    { "unlinkat", SYS_unlinkat, 0, 1 },
        { "mkdirat", SYS_mkdirat, 0, 1 },        { "fsync", SYS_fsync, 0, NONE },
        { "fdatasync", SYS_fdatasync, 0, NONE }, { "syncfs", SYS_syncfs, 0, NONE },
        { "write", SYS_write, 0, NONE },         { "pwrite64", SYS_pwrite64, 0, NONE },
        { "writev", SYS_writev, 0, NONE },       { "copy_file_range", SYS_copy_file_range, 2, NONE },
        { "fallocate", SYS_fallocate, 0, NONE }, { "ftruncate", SYS_ftruncate, 0, NONE },
        { "fchown", SYS_fchown, 0, NONE },       { "fchownat", SYS_fchownat, 0, 1 },
        { "fchmod", SYS_fchmod, 0, NONE },       { "fchmodat", SYS_fchmodat, 0, 1 },
        { "fsetxattr", SYS_fsetxattr, 0, NONE }, { "fremovexattr", SYS_fremovexattr, 0, NONE },
};

typedef struct Plan {
        char log[PATH_MAX];
        char call[NAME_SIZE];
        char path[PATH_MAX];
        char action[NAME_SIZE];
        unsigned nth;
} Plan;

typedef struct Tracer {
        Plan plan;
        int log_fd;
        pid_t program;
        unsigned met; /* how many calls that the plan speaks of were made */
} Tracer;

_Noreturn static void give_up(const char *what) {
        fprintf(stderr, "crash-tracer: %s: %s\n", what, strerror(errno));
        exit(EXIT_CANNOT);
}

static void take_setting(Plan *plan, char *line) {
        char *value = strchr(line, '=');

        line[strcspn(line, "\n")] = '\0';
        if (!value)
                return;
        *value++ = '\0';
        if (strcmp(line, "log") == 0)
                (void) snprintf(plan->log, sizeof(plan->log), "%s", value);
        else if (strcmp(line, "call") == 0)
                (void) snprintf(plan->call, sizeof(plan->call), "%s", value);
        else if (strcmp(line, "path") == 0)
                (void) snprintf(plan->path, sizeof(plan->path), "%s", value);
        else if (strcmp(line, "action") == 0)
                (void) snprintf(plan->action, sizeof(plan->action), "%s", value);
        else if (strcmp(line, "nth") == 0)
                plan->nth = (unsigned) strtoul(value, NULL, 10);
}

static bool read_plan(const char *path, Plan *ret) {
        char line[PATH_MAX + NAME_SIZE];
        FILE *file = fopen(path, "re");

        if (!file && errno == ENOENT)
                return false;
        if (!file)
                give_up(path);
        while (fgets(line, sizeof(line), file))
                take_setting(ret, line);
        fclose(file);
        return true;
}

static void say(const Tracer *tracer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const Tracer *tracer, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vdprintf(tracer->log_fd, format, arguments);
        va_end(arguments);
}

/* Only the calls of the table stop the program; all others are as fast as ever. */
static void install_filter(void) {
        struct sock_filter code[2 * ELEMENTSOF(calls) + 2];
        struct sock_fprog program = { .filter = code };
        unsigned short n = 0;

        code[n++] =
                (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                          (unsigned) calls[i].number, 0, 1);
                code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
        }
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        program.len = n;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                give_up("seccomp");
}

_Noreturn static void run_program(int go_fd, char **argv) {
        char byte;

        if (read(go_fd, &byte, 1) != 1)
                exit(EXIT_CANNOT);
        (void) signal(SIGTERM, SIG_DFL);
        (void) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0,
                     0); /* what it takes to look at it is not its own */
        install_filter();
        execv(argv[0], argv);
        give_up(argv[0]);
}

static void start(Tracer *tracer, char **argv) {
        const uintptr_t options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                  PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                give_up("pipe");
        tracer->program = fork();
        if (tracer->program < 0)
                give_up("fork");
        if (tracer->program == 0)
                run_program(fds[0], argv);
        if (ptrace(PTRACE_SEIZE, tracer->program, NULL, options) < 0)
                give_up("ptrace");
        if (write(fds[1], "", 1) != 1)
                give_up("pipe");
        close(fds[0]);
        close(fds[1]);
}

/* Where a descriptor of the process leads: a path, or "pipe:[…]" and the like; "" if nowhere. */
static void follow(pid_t pid, int fd, char ret[static PATH_SIZE]) {
        char link[64];
        ssize_t n;

        if (fd == AT_FDCWD)
                (void) snprintf(link, sizeof(link), "/proc/%d/cwd", (int) pid);
        else
                (void) snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int) pid, fd);
        n = readlink(link, ret, PATH_MAX - 1);
        ret[n < 0 ? 0 : n] = '\0';
}

/* The text at an address of the process. It is read up to the end of a page at a time: the next may not be there. */
static void read_text(pid_t pid, uint64_t address, char ret[static PATH_MAX]) {
        const uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
        _cleanup_close_ int memory = -1;
        char name[64];
        size_t n = 0;

        (void) snprintf(name, sizeof(name), "/proc/%d/mem", (int) pid);
        memory = open(name, O_RDONLY | O_CLOEXEC);
        while (n < PATH_MAX - 1) {
                size_t left = MIN((size_t) (page - (address + n) % page), PATH_MAX - 1 - n);
                ssize_t got = pread(memory, ret + n, left, (off_t) (address + n));

                if (got <= 0)
                        break;
                if (memchr(ret + n, '\0', (size_t) got))
                        return;
                n += (size_t) got;
        }
        ret[n] = '\0';
}

/* What a call is about, as an absolute path. */
static void find_subject(pid_t pid, const Call *call, const uint64_t *arguments, char ret[static PATH_SIZE]) {
        int folder = call->folder == NONE ? AT_FDCWD : (int) arguments[call->folder];
        char name[PATH_MAX];
        size_t n;

        if (call->path == NONE) {
                follow(pid, folder, ret);
                return;
        }
        read_text(pid, arguments[call->path], name);
        if (name[0] != '/')
                follow(pid, folder, ret);
        n = name[0] == '/' ? 0 : strlen(ret);
        (void) snprintf(ret + n, PATH_SIZE - n, "%s%s", n > 0 ? "/" : "", name);
}

/* Pipes, sockets, devices and what the kernel only shows as files hold nothing. */
static bool is_on_disk(const char *subject) {
        static const char *const others[] = { "/dev/", "/proc/", "/sys/", "/memfd:" };

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (strncmp(subject, others[i], strlen(others[i])) == 0)
                        return false;
        return subject[0] == '/';
}

/* Has the process, which is about to make a call, make another one; NUMBER -1 for none, which gives RESULT. */
static void change_call(pid_t pid, long number, long argument1, long argument2, long result) {
        struct user_regs_struct registers;
        struct iovec all = { &registers, sizeof(registers) };

        if (ptrace(PTRACE_GETREGSET, pid, (void *) NT_PRSTATUS, &all) < 0)
                give_up("ptrace");
#if defined(__x86_64__)
        registers.orig_rax = (unsigned long) number;
        registers.rdi = (unsigned long) argument1;
        registers.rsi = (unsigned long) argument2;
        registers.rax = (unsigned long) result;
#elif defined(__aarch64__)
        struct iovec call = { &(int){ (int) number }, sizeof(int) };

        registers.regs[0] = (unsigned long) (number < 0 ? result : argument1);
        registers.regs[1] = (unsigned long) argument2;
        if (ptrace(PTRACE_SETREGSET, pid, (void *) NT_ARM_SYSTEM_CALL, &call) < 0)
                give_up("ptrace");
#else
#error "how does a tracer change a system call on this architecture?"
#endif
        if (ptrace(PTRACE_SETREGSET, pid, (void *) NT_PRSTATUS, &all) < 0)
                give_up("ptrace");
}

/* It kills itself, no longer traced: its parent is to see the end of an ordinary child (see on_stop()). */
static void kill_process(pid_t pid) {
        change_call(pid, SYS_kill, pid, SIGKILL, 0);
        (void) ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static int error_of(const char *action) {
        if (strcmp(action, "EIO") == 0)
                return -EIO;
        return strcmp(action, "EDQUOT") == 0 ? -EDQUOT : -ENOSPC;
}

static void act(const Tracer *tracer, pid_t pid) {
        const char *action = tracer->plan.action;

        say(tracer, "inject %s\n", action);
        if (strcmp(action, "kill") == 0) {
                say(tracer, "end signal %d\n", SIGKILL);
                (void) kill(getpid(), SIGKILL); /* and PTRACE_O_EXITKILL does the rest */
        } else if (strcmp(action, "kill-process") == 0) {
                kill_process(pid);
        } else {
                change_call(pid, -1, 0, 0, error_of(action));
        }
}

static bool is_planned(const Plan *plan, const Call *call, const char *subject) {
        return (strcmp(plan->call, "any") == 0 || strcmp(plan->call, call->name) == 0) &&
               fnmatch(plan->path, subject, 0) == 0;
}

static void on_call(Tracer *tracer, pid_t pid) {
        struct __ptrace_syscall_info info;
        char subject[PATH_SIZE];
        const Call *call = NULL;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
                return; /* it died meanwhile */
        for (size_t i = 0; i < ELEMENTSOF(calls) && !call; i++)
                if (info.seccomp.nr == (uint64_t) calls[i].number)
                        call = &calls[i];
        if (!call)
                return;
        find_subject(pid, call, (const uint64_t *) info.seccomp.args, subject);
        if (!is_on_disk(subject))
                return;
        say(tracer, "%s %s %s\n", pid == tracer->program ? "main" : "child", call->name, subject);
        if (is_planned(&tracer->plan, call, subject) && ++tracer->met == tracer->plan.nth)
                act(tracer, pid);
}

/* A child is let go as it ends: sd-event waits for children by pidfd, and one that is dead but still has a tracer makes
 * the pidfd ready without there being anything to reap, after which sd-event never looks again. */
static void on_stop(Tracer *tracer, pid_t pid, int status) {
        int event = status >> 16, signal = WSTOPSIG(status);
        bool stays = event == PTRACE_EVENT_STOP && signal != SIGTRAP;

        if (event == PTRACE_EVENT_SECCOMP)
                on_call(tracer, pid);
        if (event == PTRACE_EVENT_EXIT && pid != tracer->program)
                (void) ptrace(PTRACE_DETACH, pid, NULL, NULL);
        else
                (void) ptrace(stays ? PTRACE_LISTEN : PTRACE_CONT, pid, NULL,
                              event == 0 ? (uintptr_t) signal : 0);
}

/* Until the program has ended; gives how, as waitpid() does. */
static int trace(Tracer *tracer) {
        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, __WALL);

                if (pid < 0)
                        give_up("waitpid");
                if (WIFSTOPPED(status))
                        on_stop(tracer, pid, status);
                else if (pid == tracer->program)
                        return status;
        }
}

int main(int argc, char **argv) {
        Tracer tracer = {};
        int status;

        if (argc < 3) {
                fputs("usage: crash-tracer PLAN PROGRAM ARGUMENT...\n", stderr);
                return EXIT_CANNOT;
        }
        if (!read_plan(argv[1], &tracer.plan)) {
                execv(argv[2], argv + 2);
                give_up(argv[2]);
        }
        tracer.log_fd = open(tracer.plan.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (tracer.log_fd < 0)
                give_up(tracer.plan.log);
        (void) signal(SIGTERM, SIG_IGN); /* systemd sends it to all; the program decides when to end */
        start(&tracer, argv + 2);
        status = trace(&tracer);
        if (WIFEXITED(status)) {
                say(&tracer, "end status %d\n", WEXITSTATUS(status));
                return WEXITSTATUS(status);
        }
        say(&tracer, "end signal %d\n", WTERMSIG(status));
        (void) signal(WTERMSIG(status), SIG_DFL);
        (void) raise(WTERMSIG(status));
        return EXIT_CANNOT;
}
