#pragma once

/* What scripts may rely on, of every program: EXIT STATUS of muster(1). */
typedef enum ExitCode {
        EXIT_CODE_OK = 0,
        EXIT_CODE_FAILED = 1, /* refused or failed */
        EXIT_CODE_USAGE = 2,  /* the command line */
        EXIT_CODE_INPUT = 3,  /* a file or a field of it */
        EXIT_CODE_DENIED = 4, /* permission, key, signature */
        EXIT_CODE_NOT_FOUND = 5,
        EXIT_CODE_CONFLICT = 6,    /* exists already, changed meanwhile */
        EXIT_CODE_UNREACHABLE = 7, /* depot, network, musterd */
} ExitCode;
