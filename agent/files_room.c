#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "agent/base/parse.h"
#include "agent/files_folders.h"
#include "agent/files_room.h"

#define BLOCK UINT64_C(4096)

typedef struct Room {
        FilesFolders folders;
        StoreNeed needs[FILES_SYSTEMS_MAX]; /* of each of folders.systems */
        const char *places[FILES_SYSTEMS_MAX];
} Room;

static size_t system_of(const FilesFolders *folders, int fd) {
        struct stat st;

        for (size_t i = 0; fstat(fd, &st) == 0 && i < folders->n; i++)
                if (folders->systems[i].device == st.st_dev)
                        return i;
        return 0;
}

static int add_entry(Room *room, const FilesJournal *journal, const FilesEntry *entry) {
        const char *name;
        StoreNeed *need;
        size_t i;
        int fd;

        fd = files_folders_open(&room->folders, journal->operations[entry->operation - 1].path, &name);
        if (fd < 0)
                return fd;
        i = system_of(&room->folders, fd);
        room->places[i] = entry->path;
        need = room->needs + i;
        need->entries++;
        need->bytes += entry->type == ENTRY_FILE ? (entry->size + BLOCK - 1) / BLOCK * BLOCK : BLOCK;
        return 0;
}

static bool shares_blocks(int fd) {
        struct statfs fs;

        return fstatfs(fd, &fs) == 0 && (unsigned long) fs.f_type == BTRFS_SUPER_MAGIC;
}

static int check_system(const Room *room, size_t i, const StoreReserve *reserve, Error *error) {
        const StoreNeed *need = room->needs + i;
        int fd = room->folders.systems[i].fd;
        char needed[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], reserved[SIZE_TEXT_MAX];
        struct statvfs fs;
        StoreReserve left;
        uint64_t bytes;

        if (fstatvfs(fd, &fs) < 0)
                return error_set_errno(error, -errno, "cannot see how much room there is");
        if (fs.f_flag & ST_RDONLY)
                return error_set_fault(error, -EROFS, FAULT_HOST,
                                       "%s lies on a file system that is read-only", room->places[i]);
        left = store_reserve_of(reserve, &fs);
        bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
        if (!shares_blocks(fd) && (bytes < left.bytes || bytes - left.bytes < need->bytes)) {
                format_size(need->bytes, needed);
                format_size(bytes, available);
                format_size(left.bytes, reserved);
                return error_set_fault(
                        error, -ENOSPC, FAULT_HOST,
                        "not enough space for the files that the release installs: they need %s, %s are "
                        "free there, of which %s stay reserved",
                        needed, available, reserved);
        }
        if (fs.f_files > 0 && (fs.f_favail < left.inodes || fs.f_favail - left.inodes < need->entries))
                return error_set_fault(
                        error, -ENOSPC, FAULT_HOST,
                        "not enough inodes for the files that the release installs: they need %" PRIu64
                        ", %" PRIu64 " are free there, of which %" PRIu64 " stay reserved",
                        need->entries, (uint64_t) fs.f_favail, left.inodes);
        return 0;
}

int files_room_check(const FilesJournal *journal, const StoreReserve *reserve, Error *error) {
        Room room = {};
        int r = 0;

        files_folders_init(&room.folders);
        for (size_t i = 0; i < journal->installed.n && r >= 0; i++)
                if (journal->installed.items[i].operation > 0) {
                        r = add_entry(&room, journal, journal->installed.items + i);
                        if (r < 0)
                                error_set_errno(error, r, "%s", journal->installed.items[i].path);
                }
        for (size_t i = 0; i < room.folders.n && r >= 0; i++)
                r = check_system(&room, i, reserve, error);
        files_folders_deinit(&room.folders);
        return r;
}
