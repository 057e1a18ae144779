#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/base/utf8.h"
#include "agent/net/credential_process.h"

#define REAP_INTERVAL (10 * USEC_PER_MSEC)
#define READ_SIZE 4096U
#define REASON_MAX 200

/* One of the command's outputs. */
typedef struct Output {
        int fd;
        sd_event_source *source;
        Buffer text;
        bool too_long;
} Output;

struct CredentialProcess {
        sd_event *event;
        char *program;
        pid_t pid;      /* 0: it is gone */
        bool has_group; /* that it leads, with what it has started */
        int status;
        Output outputs[2]; /* standard output and standard error */
        sd_event_source *reaper, *deadline;
        Credentials found;
        CredentialProcessDone done;
        void *userdata;
};

/* Adds the word at *C to WORD; *C is then behind it. */
static int take_word(const char **c, Buffer *word) {
        char quote = '\0';

        for (; **c && (quote || !strchr(" \t\r\n", **c)); (*c)++) {
                char byte = **c;

                if (quote ? byte == quote : byte == '"' || byte == '\'') {
                        quote = quote ? '\0' : byte;
                        continue;
                }
                if (byte == '\\' && quote != '\'' && (*c)[1] && (!quote || (*c)[1] == '"' || (*c)[1] == '\\'))
                        byte = *++*c;
                if (buffer_append(word, &byte, 1, CREDENTIAL_PROCESS_OUTPUT_MAX) < 0)
                        return -ENOMEM;
        }
        return quote ? -EINVAL : 0;
}

int credential_process_split(const char *command, char ***ret) {
        _cleanup_strv_ char **words = NULL;

        for (const char *c = command + strspn(command, " \t\r\n"); *c; c += strspn(c, " \t\r\n")) {
                _cleanup_buffer_ Buffer word = {};
                int r;

                r = take_word(&c, &word);
                if (r >= 0)
                        r = strv_append(&words, word.data ? buffer_string(&word) : "");
                if (r < 0)
                        return r;
        }
        if (!words)
                return -EINVAL;
        *ret = TAKE_PTR(words);
        return 0;
}

static void close_output(Output *output) {
        output->source = sd_event_source_disable_unref(output->source);
        output->fd = close_fd(output->fd);
}

CredentialProcess *credential_process_free(CredentialProcess *process) {
        if (!process)
                return NULL;
        if (process->pid > 0) {
                (void) kill(process->has_group ? -process->pid : process->pid, SIGKILL);
                (void) waitpid(process->pid, NULL, 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(process->outputs); i++) {
                Buffer *text = &process->outputs[i].text;

                close_output(&process->outputs[i]);
                if (text->data)
                        OPENSSL_cleanse(text->data, text->allocated);
                buffer_deinit(text);
        }
        sd_event_source_disable_unref(process->reaper);
        sd_event_source_disable_unref(process->deadline);
        credentials_deinit(&process->found);
        sd_event_unref(process->event);
        free(process->program);
        free(process);
        return NULL;
}

static void finish(CredentialProcess *process, int result, Error *error) {
        sd_event_source_set_enabled(process->deadline, SD_EVENT_OFF);
        if (result < 0)
                error_prefix(error, "%s", process->program);
        process->done(process, result, error, process->userdata);
}

/* The last line on standard error, as far as it can be shown. */
static int explain_failure(CredentialProcess *process, Error *error) {
        Buffer *text = &process->outputs[1].text;
        char *line = text->data ? (char *) text->data : (char *) "";
        size_t n = strlen(line);
        char *last;

        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
                line[--n] = '\0';
        last = strrchr(line, '\n');
        last = last ? last + 1 : line;
        utf8_make_printable(last, strlen(last));
        if (WIFSIGNALED(process->status))
                return error_set_fault(error, -EIO, FAULT_HOST, "ended by signal %d",
                                       WTERMSIG(process->status));
        return error_set_fault(error, -EIO, FAULT_HOST, "exit status %d%s%.*s", WEXITSTATUS(process->status),
                               *last ? ": " : "", REASON_MAX, last);
}

static void conclude(CredentialProcess *process) {
        const Output *output = &process->outputs[0];
        Error error = {};
        int r;

        if (!WIFEXITED(process->status) || WEXITSTATUS(process->status) != 0)
                r = explain_failure(process, &error);
        else if (output->too_long)
                r = error_set_fault(&error, -E2BIG, FAULT_HOST, "printed more than 64 KiB");
        else
                r = credentials_parse_process(buffer_string(&output->text), output->text.size,
                                              &process->found, &error);
        finish(process, r, &error);
}

static void reap_after(CredentialProcess *process, uint64_t usec) {
        (void) sd_event_source_set_time_relative(process->reaper, usec);
        (void) sd_event_source_set_enabled(process->reaper, SD_EVENT_ONESHOT);
}

/* It has closed its outputs, so its end is near. SIGCHLD is left to whoever has it. */
static int on_reaper(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        CredentialProcess *process = userdata;
        pid_t pid;

        if (process->outputs[0].fd >= 0 || process->outputs[1].fd >= 0)
                return 0;
        pid = waitpid(process->pid, &process->status, WNOHANG);
        if (pid == 0) {
                reap_after(process, REAP_INTERVAL);
                return 0;
        }
        process->pid = 0;
        conclude(process);
        return 0;
}

static int on_output(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        CredentialProcess *process = userdata;
        Output *output = &process->outputs[fd == process->outputs[0].fd ? 0 : 1];
        char data[READ_SIZE];
        ssize_t n;

        n = read(fd, data, sizeof(data));
        if (n > 0 && buffer_append(&output->text, data, (size_t) n, CREDENTIAL_PROCESS_OUTPUT_MAX) < 0)
                output->too_long = true; /* the rest is read and dropped */
        OPENSSL_cleanse(data, sizeof(data));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                close_output(output);
                reap_after(process, 0);
        }
        return 0;
}

static int on_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        CredentialProcess *process = userdata;
        Error error = {};

        finish(process, error_set_fault(&error, -ETIMEDOUT, FAULT_HOST, "no answer within 60 s"), &error);
        return 0;
}

static int watch(CredentialProcess *process) {
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(process->outputs) && r >= 0; i++)
                r = sd_event_add_io(process->event, &process->outputs[i].source, process->outputs[i].fd,
                                    EPOLLIN, on_output, process);
        if (r >= 0)
                r = timer_new(process->event, CLOCK_BOOTTIME, on_reaper, process, &process->reaper);
        if (r >= 0)
                r = sd_event_add_time_relative(process->event, &process->deadline, CLOCK_BOOTTIME,
                                               CREDENTIAL_PROCESS_TIMEOUT, TIMER_ACCURACY_EXACT, on_deadline,
                                               process);
        return r;
}

/* posix_spawn() takes the signal mask of a loop that blocks SIGCHLD and others back to an ordinary one. */
static int spawn(CredentialProcess *process, char **words, const int fds[static 2]) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int r;

        sigemptyset(&none);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, fds[0], STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setpgroup(&attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes, process->has_group ? POSIX_SPAWN_SETSIGMASK |
                                                                                       POSIX_SPAWN_SETPGROUP
                                                                             : POSIX_SPAWN_SETSIGMASK);
        if (r == 0)
                r = posix_spawnp(&process->pid, words[0], &actions, &attributes, words, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        if (r != 0)
                process->pid = 0;
        return -r;
}

/* Somebody may be asked for something there, which only the terminal's own group may do. */
static bool has_terminal(void) {
        _cleanup_close_ int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);

        return fd >= 0;
}

static int run(CredentialProcess *process, char **words) {
        int write_fds[2] = { -1, -1 }, r = 0;

        process->has_group = !has_terminal();
        for (size_t i = 0; i < ELEMENTSOF(process->outputs) && r >= 0; i++) {
                int fds[2];

                r = pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
                if (r < 0)
                        break;
                process->outputs[i].fd = fds[0];
                write_fds[i] = fds[1];
        }
        if (r >= 0)
                r = spawn(process, words, write_fds);
        close_fd(write_fds[0]);
        close_fd(write_fds[1]);
        return r;
}

int credential_process_start(sd_event *event, const char *command, CredentialProcessDone done, void *userdata,
                             CredentialProcess **ret, Error *error) {
        _cleanup_(credential_process_freep) CredentialProcess *process = calloc(1, sizeof(*process));
        _cleanup_strv_ char **words = NULL;
        int r;

        if (!process)
                return error_oom(error);
        process->event = sd_event_ref(event);
        process->outputs[0].fd = process->outputs[1].fd = -1;
        process->done = done;
        process->userdata = userdata;
        r = credential_process_split(command, &words);
        if (r == -EINVAL)
                return error_set_fault(error, r, FAULT_INPUT, "credential_process: expected a command");
        if (r < 0 || string_set(&process->program, words[0]) < 0)
                return error_oom(error);
        r = run(process, words);
        if (r < 0)
                return error_set_errno(error, r, "cannot run %.128s", words[0]);
        r = watch(process);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(process);
        return 0;
}

Credentials credential_process_take(CredentialProcess *process) {
        Credentials found = process->found;

        process->found = (Credentials){};
        return found;
}
