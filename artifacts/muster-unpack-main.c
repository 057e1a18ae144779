/* muster-unpack: unpacks one artifact into its working directory. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "artifacts/unpack_job.h"
#include "artifacts/unpack_protocol.h"

#define FILES_MAX (UNPACK_DEPTH_MAX + 32) /* every folder on the way, and what the process itself has open */
#define EXIT_USAGE 2

static const char help[] =
        "muster-unpack - unpacks one artifact for musterd\n"
        "\n"
        "Usage: muster-unpack [--help | --version]\n"
        "\n"
        "Reads limits and an archive from standard input, unpacks into the working directory and says on standard\n"
        "output how far it got. musterd starts it; there is no reason to do so by hand. See muster-unpack(8).\n";

static int answer(const char *option) {
        if (strcmp(option, "--help") == 0)
                (void) fputs(help, stdout);
        else if (strcmp(option, "--version") == 0)
                (void) puts("muster-unpack " MUSTER_VERSION);
        else {
                (void) fprintf(stderr, "muster-unpack: %s: takes no arguments but --help and --version\n",
                               option);
                return EXIT_USAGE;
        }
        return EXIT_SUCCESS;
}

/* What its unit confines anyway (agent/unpack_unit.h), for what it is worth wherever else it is started. */
static void confine(void) {
        const struct rlimit files = { FILES_MAX, FILES_MAX }, none = {};

        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) setrlimit(RLIMIT_CORE, &none);
        (void) setrlimit(RLIMIT_NOFILE, &files);
        (void) signal(SIGPIPE, SIG_IGN); /* whoever does not listen misses something, no more */
        (void) umask(0);                 /* modes are the archive's, within what a release may have */
}

int main(int argc, char *argv[]) {
        _cleanup_close_ int folder = -1;

        if (argc > 1)
                return answer(argv[1]);
        confine();
        folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) {
                perror("muster-unpack: cannot open the working directory");
                return EXIT_FAILURE;
        }
        return unpack_job(STDIN_FILENO, folder, STDOUT_FILENO) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
