/* muster: the command line. */

#include <locale.h>

#include "agent/cli/dispatch.h"
#include "agent/cli/verbs.h"

int main(int argc, char *argv[]) {
        Cli cli;

        (void) argc;
        setlocale(LC_CTYPE, "");
        cli_init(&cli, stdout, stderr);
        return (int) dispatch(&command_root, argv + 1, &cli);
}
