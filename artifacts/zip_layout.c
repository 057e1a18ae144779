#include <inttypes.h>
#include <string.h>

#include "artifacts/zip_layout.h"

#define LOCAL_SIGNATURE 0x04034b50U
#define ENTRY_SIGNATURE 0x02014b50U
#define END_SIGNATURE 0x06054b50U
#define END64_SIGNATURE 0x06064b50U
#define LOCATOR64_SIGNATURE 0x07064b50U
#define ENTRY_SIZE 46U
#define END_SIZE 22U
#define END64_SIZE 56U
#define LOCATOR64_SIZE 20U
#define HOST_UNIX 3U
#define COMMENT_MAX (16384U - END_SIZE) /* libarchive looks no further */

typedef struct ZipLayout {
        const UnpackSource *source;
        uint64_t size;
        uint64_t directory; /* where it begins */
        uint64_t directory_size;
        uint64_t entries;
        uint64_t end; /* what follows the directory begins here */
        bool modes;
        Error *error;
} ZipLayout;

static uint64_t get(const uint8_t *p, size_t size) {
        uint64_t value = 0;

        for (size_t i = 0; i < size; i++)
                value |= (uint64_t) p[i] << (8 * i);
        return value;
}

static int refuse(const ZipLayout *zip, const char *reason) {
        return error_set_fault(zip->error, -EBADMSG, FAULT_RELEASE, "the zip archive %s", reason);
}

/* Reads exactly SIZE bytes. */
static int fetch(const ZipLayout *zip, uint64_t offset, void *data, size_t size) {
        uint8_t *p = data;

        if (offset > zip->size || size > zip->size - offset)
                return refuse(zip, "is malformed: a record lies beyond its end");
        while (size > 0) {
                ssize_t n = zip->source->read_at(zip->source->userdata, p, size, offset);

                if (n < 0)
                        return error_set_errno(zip->error, (int) n, "cannot read the archive");
                if (n == 0)
                        return error_set_fault(zip->error, -EPIPE, FAULT_HOST,
                                               "the archive is shorter than announced");
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

/* The end record whose comment reaches to the end of the file. */
static int find_end(ZipLayout *zip, uint8_t ret[static END_SIZE]) {
        uint8_t tail[END_SIZE + COMMENT_MAX];
        size_t size = (size_t) MIN(zip->size, (uint64_t) sizeof(tail));
        int r;

        r = fetch(zip, zip->size - size, tail, size);
        if (r < 0)
                return r;
        for (size_t comment = 0; comment + END_SIZE <= size; comment++) {
                const uint8_t *p = tail + size - comment - END_SIZE;

                if (get(p, 4) != END_SIGNATURE)
                        continue;
                if (get(p + 20, 2) != comment)
                        break;
                memcpy(ret, p, END_SIZE);
                zip->end = zip->size - comment - END_SIZE;
                return 0;
        }
        return refuse(zip, "ends early, or something follows its end");
}

/* Zip64 puts a record and its locator before the end record, and says 0xffff… there. */
static int read_end64(ZipLayout *zip) {
        uint8_t locator[LOCATOR64_SIZE], end[END64_SIZE];
        uint64_t at;
        int r;

        if (zip->end < LOCATOR64_SIZE)
                return 0;
        r = fetch(zip, zip->end - LOCATOR64_SIZE, locator, sizeof(locator));
        if (r < 0 || get(locator, 4) != LOCATOR64_SIGNATURE)
                return r;
        at = get(locator + 8, 8);
        r = fetch(zip, at, end, sizeof(end));
        if (r < 0)
                return r;
        if (get(end, 4) != END64_SIGNATURE || get(end + 4, 8) != zip->end - LOCATOR64_SIZE - at - 12)
                return refuse(zip, "is malformed: its zip64 end record is none");
        zip->entries = get(end + 32, 8);
        zip->directory_size = get(end + 40, 8);
        zip->directory = get(end + 48, 8);
        zip->end = at;
        return 0;
}

static int read_end(ZipLayout *zip) {
        uint8_t end[END_SIZE];
        int r;

        r = find_end(zip, end);
        if (r < 0)
                return r;
        zip->entries = get(end + 10, 2);
        zip->directory_size = get(end + 12, 4);
        zip->directory = get(end + 16, 4);
        r = read_end64(zip);
        if (r < 0)
                return r;
        if (zip->directory > zip->end || zip->directory_size != zip->end - zip->directory)
                return refuse(zip, "is malformed: its directory is not where its end says");
        return 0;
}

static int check_entry(ZipLayout *zip, uint64_t *at) {
        uint8_t entry[ENTRY_SIZE], name[UINT16_MAX];
        uint64_t name_size, size;
        int r;

        if (*at > zip->end || zip->end - *at < ENTRY_SIZE)
                return refuse(zip, "has fewer entries than its end says");
        r = fetch(zip, *at, entry, sizeof(entry));
        if (r < 0)
                return r;
        name_size = get(entry + 28, 2);
        size = ENTRY_SIZE + name_size + get(entry + 30, 2) + get(entry + 32, 2);
        if (get(entry, 4) != ENTRY_SIGNATURE || size > zip->end - *at)
                return refuse(zip, "is malformed: its directory is damaged");
        r = fetch(zip, *at + ENTRY_SIZE, name, (size_t) name_size);
        if (r < 0)
                return r;
        if (memchr(name, 0, (size_t) name_size))
                return refuse(zip, "has a name with a NUL byte in it");
        zip->modes |= entry[5] == HOST_UNIX;
        *at += size;
        return 0;
}

static int check_directory(ZipLayout *zip, uint64_t entries_max) {
        uint64_t at = zip->directory;

        if (zip->entries > entries_max)
                return error_set_fault(zip->error, -EBADMSG, FAULT_RELEASE,
                                       "the zip archive has %" PRIu64 " entries, at most %" PRIu64
                                       " are allowed",
                                       zip->entries, entries_max);
        for (uint64_t i = 0; i < zip->entries; i++) {
                int r = check_entry(zip, &at);

                if (r < 0)
                        return r;
        }
        return at == zip->end ? 0 : refuse(zip, "has more entries than its end says");
}

int zip_layout_check(const UnpackSource *source, uint64_t size, uint64_t entries_max, bool *ret_modes,
                     Error *error) {
        ZipLayout zip = { .source = source, .size = size, .error = error };
        uint8_t first[4];
        int r;

        if (size < END_SIZE)
                return refuse(&zip, "ends early");
        r = fetch(&zip, 0, first, sizeof(first));
        if (r < 0)
                return r;
        if (get(first, 4) != LOCAL_SIGNATURE && get(first, 4) != END_SIGNATURE)
                return refuse(&zip, "does not begin with an entry");
        r = read_end(&zip);
        if (r >= 0)
                r = check_directory(&zip, entries_max);
        if (r >= 0)
                *ret_modes = zip.modes;
        return r;
}
