#pragma once

/* muster verify --installed: whether the releases on this instance are still what was signed. Reads the store itself, so it
 * needs no musterd; root only. */

#include "agent/cli/cli.h"

/* APP, or every app if it is NULL. Prints a line for each release and one for each difference. EXIT_CODE_FAILED if there
 * is one; -ENOENT if nothing is installed. */
int verify_installed(const Cli *cli, const char *config_path, const char *app, Error *error);
