#pragma once

/* What kind of file a hook's script is, by its beginning, as the kernel (execve(2)) takes it. */

#include "agent/base/error.h"

#define SCRIPT_HEAD_SIZE 256U /* what the kernel looks at, BINPRM_BUF_SIZE */

typedef enum ScriptKind {
        SCRIPT_BINARY,      /* an ELF program */
        SCRIPT_INTERPRETED, /* "#!interpreter argument" */
        SCRIPT_PLAIN,       /* no such line: a shell script, by convention */
} ScriptKind;

typedef struct Script {
        ScriptKind kind;
        char interpreter[SCRIPT_HEAD_SIZE]; /* "" unless interpreted */
        char argument[SCRIPT_HEAD_SIZE];    /* all that follows the interpreter, one argument; "" for none */
} Script;

/* Pure. HEAD are the file's first SIZE bytes, at most SCRIPT_HEAD_SIZE. -ENOEXEC for a first line that cannot work: one
 * that ends in CR LF (the kernel would look for an interpreter with a CR in its name, and a shell takes it for a part of the
 * line), that has a byte order mark before it, is too long, or names no absolute path. */
int script_classify(const void *head, size_t size, Script *ret, Error *error);
