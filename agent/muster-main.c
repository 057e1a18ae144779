/* muster: the command line. */

#include <locale.h>
#include <signal.h>

#include "agent/cli/dispatch.h"
#include "agent/cli/verbs.h"

int main(int argc, char *argv[]) {
        Cli cli;

        (void) argc;
        setlocale(LC_CTYPE, "");
        signal(SIGPIPE, SIG_IGN); /* of a connection to the depot: its error is told */
        cli_init(&cli, stdout, stderr);
        return (int) dispatch(&command_root, argv + 1, &cli);
}
