#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "agent/agent.h"
#include "agent/base/code_pages.h"
#include "agent/base/log.h"
#include "agent/boot_id.h"
#include "agent/config.h"
#include "agent/exit_code.h"
#include "agent/recover.h"

static const char help[] =
        "Usage: musterd [OPTION]\n"
        "The deploy agent: keeps this instance at the releases that its group should run.\n"
        "\n"
        "  --config FILE     read FILE instead of " CONFIG_PATH "\n"
        "  --check-config    say whether the configuration is good, and exit\n"
        "  --recover         take back what a power cut left unfinished, and exit (at boot)\n"
        "  --debug           log more\n"
        "  --help            show this help, and exit\n"
        "  --version         show the version, and exit\n"
        "\n"
        "See musterd(8) and muster.conf(5).\n";

typedef struct Options {
        const char *config_path;
        bool check;
        bool recover;
} Options;

static int check_config(const char *path) {
        _cleanup_(config_freep) Config *config = NULL;
        Error error = {};

        if (config_load(path, &config, &error) < 0) {
                fprintf(stderr, "musterd: %s\n", error.message);
                return EXIT_CODE_INPUT;
        }
        printf("%s: %s\n", path,
               config_is_configured(config) ? "good" : "good, but unconfigured: there is no depot");
        return EXIT_SUCCESS;
}

/* A configuration that is wrong does not keep the apps of an instance from being taken back: the defaults then tell
 * where they are. */
static int run_recover(const char *path) {
        _cleanup_(config_freep) Config *config = NULL;
        char boot_id[SD_ID128_STRING_MAX];
        bool reload = false;
        Error error = {};
        int r;

        if (config_load(path, &config, &error) < 0) {
                log_error("%s", error.message);
                if (config_load_places(path, &config) < 0)
                        return EXIT_FAILURE;
        }
        r = boot_id_get(BOOT_ID_FOLDER, boot_id, &error);
        if (r < 0) {
                log_error("%s", error.message);
                return EXIT_FAILURE;
        }
        r = recover(config, boot_id, &reload, &error);
        if (reload && recover_reload(&error) < 0) {
                log_error("%s", error.message);
                r = -EIO;
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int on_hangup(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si,
                     void *userdata) {
        agent_reload(userdata);
        return 0;
}

static int block_signals(void) {
        static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(handled); i++)
                sigaddset(&set, handled[i]);
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

static int run(const char *config_path, Error *error) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(agent_freep) Agent *agent = NULL;
        int r;

        r = block_signals();
        if (r >= 0)
                r = sd_event_default(&event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r < 0)
                return error_set_errno(error, r, "cannot set up the event loop");
        r = agent_new(event, config_path, &agent, error);
        if (r < 0)
                return r;
        r = sd_event_add_signal(event, NULL, SIGHUP, on_hangup, agent);
        if (r < 0)
                return error_set_errno(error, r, "cannot set up the event loop");
        (void) sd_notify(false, "READY=1");
        code_pages_give_back();
        r = sd_event_loop(event);
        (void) sd_notify(false, "STOPPING=1");
        return r < 0 ? error_set_errno(error, r, "the event loop failed") : 0;
}

/* 0: go on; else exit with *RET. */
static int parse_options(int argc, char **argv, Options *options, int *ret) {
        static const struct option table[] = {
                { "config", required_argument, NULL, 'c' },
                { "check-config", no_argument, NULL, 'k' },
                { "recover", no_argument, NULL, 'r' },
                { "debug", no_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                {},
        };
        int c;

        *ret = EXIT_SUCCESS;
        while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
                switch (c) {
                case 'c':
                        options->config_path = optarg;
                        break;
                case 'k':
                        options->check = true;
                        break;
                case 'r':
                        options->recover = true;
                        break;
                case 'd':
                        log_set_max_priority(LOG_DEBUG);
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 1;
                case 'v':
                        puts("musterd " MUSTER_VERSION);
                        return 1;
                default:
                        *ret = EXIT_CODE_USAGE;
                        return 1;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "musterd: unexpected argument '%s', see musterd --help\n", argv[optind]);
                *ret = EXIT_CODE_USAGE;
                return 1;
        }
        return 0;
}

int main(int argc, char **argv) {
        Options options = { .config_path = CONFIG_PATH };
        Error error = {};
        int ret;

        if (parse_options(argc, argv, &options, &ret))
                return ret;
        if (options.check)
                return check_config(options.config_path);
        if (geteuid() != 0) {
                fputs("musterd: only root can deploy; run it as the service musterd.service\n", stderr);
                return EXIT_CODE_DENIED;
        }
        if (options.recover)
                return run_recover(options.config_path);
        if (run(options.config_path, &error) < 0) {
                log_error("%s", error.message);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
