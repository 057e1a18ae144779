#include <fcntl.h>
#include <stdlib.h>

#include "agent/base/file.h"
#include "agent/cli/temporary.h"

#define TEMPORARY_FOLDER "/var/tmp"

const char *temporary_folder(void) {
        const char *folder = getenv("TMPDIR");

        return folder && *folder ? folder : TEMPORARY_FOLDER;
}

int temporary_open(Error *error) {
        const char *folder = temporary_folder();
        int fd;

        fd = file_open_at(AT_FDCWD, folder, O_TMPFILE | O_RDWR, 0600);
        return fd < 0 ? error_set_errno(error, fd, "cannot make a temporary file in %s", folder) : fd;
}
