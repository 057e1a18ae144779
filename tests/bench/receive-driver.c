/* receive-driver ARCHIVE KEY ENTRIES BYTES STATE-DIR: what musterd does with an artifact, without systemd: fetches KEY from the
 * depot s3://bucket in chunks checked against those of the file ARCHIVE, feeds muster-unpack, and commits what it left.
 * Says "ready", waits for a line, works, and says "done" and how many seconds it took to have everything fetched, unpacked,
 * committed. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/net/aws.h"
#include "artifacts/artifact_digest.h"
#include "artifacts/fetch.h"
#include "artifacts/store_staging.h"
#include "artifacts/unpack_protocol.h"

#define PIPE_SIZE (1 << 20)

typedef struct Driver {
        sd_event *event;
        AwsContext *aws;
        Depot *depot;
        ReleaseStore *store;
        StoreStaging *staging;
        ArtifactDigest digest;
        UnpackLimits limits;
        char sha256[DIGEST_HEX_SIZE];
        const char *key;
        char program[4096];
        Fetch *fetch;
        StoreCommit *commit;
        uint64_t started, fetched, unpacked;
} Driver;

static double seconds_since(uint64_t then, uint64_t now) {
        return (double) (now - then) / USEC_PER_SEC;
}

static _Noreturn void give_up(const char *what, const Error *error) {
        (void) fprintf(stderr, "receive-driver: %s: %s\n", what, error ? error->message : strerror(errno));
        exit(EXIT_FAILURE);
}

static void on_committed(_unused_ StoreCommit *commit, int result, const Error *error, void *userdata) {
        Driver *driver = userdata;

        if (result < 0)
                give_up("commit", error);
        (void) sd_event_exit(driver->event, 0);
}

static int on_unpacked(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata) {
        Driver *driver = userdata;
        const StoreRelease release = {
                .version = "1.0",
                .sha256 = driver->sha256,
                .envelope = "{}",
                .envelope_size = 2,
                .tree_sha256 = "", /* its manifest is made as well */
                .entries = driver->limits.entries,
                .unpacked_size = driver->limits.unpacked_size,
                .unpacker = getuid(),
        };
        Error error = {};

        driver->unpacked = clock_boottime(&clock_system);
        if (si->si_code != CLD_EXITED || si->si_status != 0)
                give_up("muster-unpack", NULL);
        if (store_commit_start(driver->store, driver->event, driver->staging, &release, on_committed, driver,
                               &driver->commit, &error) < 0)
                give_up("commit", &error);
        return 0;
}

static void on_fetched(_unused_ Fetch *fetch, int result, const Error *error, void *userdata) {
        Driver *driver = userdata;

        driver->fetched = clock_boottime(&clock_system);
        if (result < 0)
                give_up("fetch", error);
}

static _Noreturn void run_unpacker(const Driver *driver, int in) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(in, STDIN_FILENO) < 0 || fchdir(driver->staging->fd) < 0)
                _exit(EXIT_FAILURE);
        (void) dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        (void) execl(driver->program, driver->program, NULL);
        _exit(EXIT_FAILURE);
}

static void start(Driver *driver) {
        uint8_t header[UNPACK_HEADER_SIZE];
        const FetchArtifact artifact = {
                .size = driver->digest.size,
                .chunk_size = driver->digest.chunk_size,
                .chunks = (const uint8_t(*)[DIGEST_SIZE]) driver->digest.chunks,
                .n_chunks = driver->digest.chunk_count,
        };
        Error error = {};
        int fds[2];
        pid_t pid;

        if (store_stage(driver->store, getuid(), getgid(), &driver->staging, &error) < 0)
                give_up("staging", &error);
        if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE) < 0)
                give_up("pipe", NULL);
        pid = fork();
        if (pid == 0)
                run_unpacker(driver, fds[0]);
        close_fd(fds[0]);
        if (pid < 0 || sd_event_add_child(driver->event, NULL, pid, WEXITED, on_unpacked, driver) < 0)
                give_up("fork", NULL);
        if (unpack_header_encode(&driver->limits, header, &error) < 0 ||
            file_write_fd(fds[1], header, sizeof(header)) < 0)
                give_up("limits", &error);
        if (fetch_start(driver->depot, driver->key, &artifact, fds[1], NULL, on_fetched, driver,
                        &driver->fetch, &error) < 0)
                give_up("fetch", &error);
        close_fd(fds[1]);
}

static void prepare(Driver *driver, char **argv) {
        const AwsOptions aws = { .endpoints.s3_addressing = S3_ADDRESSING_PATH };
        _cleanup_close_ int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
        DepotOptions options = {};
        uint64_t entries, bytes;
        Error error = {};
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        if (fd < 0 || artifact_digest_file(fd, 0, &driver->digest, &error) < 0)
                give_up(argv[1], &error);
        hex_encode(driver->digest.sha256, DIGEST_SIZE, driver->sha256);
        driver->key = argv[2];
        if (parse_u64(argv[3], &entries) < 0 || parse_u64(argv[4], &bytes) < 0)
                give_up("arguments", NULL);
        driver->limits = unpack_limits(ARCHIVE_TAR_ZST, driver->digest.size, entries, bytes);
        (void) snprintf(driver->program, sizeof(driver->program), "%.*s/muster-unpack",
                        (int) (strrchr(argv[0], '/') - argv[0]), argv[0]);
        if (sd_event_default(&driver->event) < 0)
                give_up("event loop", NULL);
        if (aws_context_new(driver->event, &aws, &driver->aws, &error) < 0)
                give_up("aws", &error);
        options = (DepotOptions){ .event = driver->event, .aws = driver->aws };
        if (depot_open("s3://bucket", &options, &driver->depot, &error) < 0)
                give_up("depot", &error);
        if (store_open(argv[5], "bench", &driver->store, &error) < 0)
                give_up("store", &error);
}

int main(int argc, char **argv) {
        Driver driver = {};

        if (argc != 6 || !strchr(argv[0], '/'))
                return 2;
        prepare(&driver, argv);
        (void) puts("ready");
        (void) fflush(stdout);
        if (getchar() != '\n')
                return EXIT_FAILURE;
        driver.started = clock_boottime(&clock_system);
        start(&driver);
        if (sd_event_loop(driver.event) < 0)
                return EXIT_FAILURE;
        (void) printf("done %.3f %.3f %.3f\n", seconds_since(driver.started, driver.fetched),
                      seconds_since(driver.started, driver.unpacked),
                      seconds_since(driver.started, clock_boottime(&clock_system)));
        return EXIT_SUCCESS;
}
