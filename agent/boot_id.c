#include "agent/boot_id.h"
#include "agent/base/file.h"

#define BOOT_ID_FILE "boot-id"
#define FOLDER_MODE 0755
#define FILE_MODE 0644

static int read_id(int folder_fd, sd_id128_t *ret) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(folder_fd, BOOT_ID_FILE, SD_ID128_STRING_MAX, &text);
        return r < 0 ? r : sd_id128_from_string(buffer_string(&text), ret);
}

int boot_id_get(const char *folder, char ret[static SD_ID128_STRING_MAX], Error *error) {
        _cleanup_close_ int fd = -1;
        sd_id128_t id;
        int r;

        fd = file_open_folder_at(AT_FDCWD, folder, FOLDER_MODE);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open %s", folder);
        r = read_id(fd, &id);
        if (r < 0) { /* the first of this boot */
                r = sd_id128_randomize(&id);
                (void) sd_id128_to_string(id, ret);
                if (r >= 0)
                        r = file_replace_at(fd, BOOT_ID_FILE, ret, SD_ID128_STRING_MAX - 1, FILE_MODE);
        }
        if (r < 0)
                return error_set_errno(error, r, "cannot write %s/" BOOT_ID_FILE, folder);
        (void) sd_id128_to_string(id, ret);
        return 0;
}
