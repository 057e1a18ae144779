#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"
#include "artifacts/unpack_reader.h"

/* Most rules are tried with archives made by hand in tests/hostile; here is what the sink sees. */

typedef struct Fixture {
        Buffer archive;
        size_t at;
        Buffer log;
        bool wrapped;
        int entry_result; /* what the sink returns once the log is this long */
        size_t fail_after;
} Fixture;

static ssize_t read_memory(void *userdata, void *data, size_t size) {
        Fixture *f = userdata;
        size_t n = MIN(size, f->archive.size - f->at);

        if (n > 0)
                memcpy(data, f->archive.data + f->at, n);
        f->at += n;
        return (ssize_t) n;
}

static ssize_t read_memory_at(void *userdata, void *data, size_t size, uint64_t offset) {
        Fixture *f = userdata;
        size_t n = offset >= f->archive.size ? 0 : MIN(size, f->archive.size - (size_t) offset);

        if (n > 0)
                memcpy(data, f->archive.data + offset, n);
        return (ssize_t) n;
}

static int log_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        static const char types[] = {
                [ENTRY_FOLDER] = 'd', [ENTRY_FILE] = 'f', [ENTRY_LINK] = 'l', [ENTRY_HARD_LINK] = 'h'
        };
        Fixture *f = userdata;

        if (f->fail_after > 0 && f->log.size >= f->fail_after)
                return error_set(error, -ENOSPC, "the sink is full");
        return buffer_printf(&f->log, "%c%s%s %s %o%s%s\n", types[entry->type], entry->implied ? "?" : "",
                             entry->exists ? "!" : "", entry->path, entry->mode, entry->target ? " " : "",
                             entry->target ? entry->target : "");
}

static int log_data(const void *data, size_t size, void *userdata, _unused_ Error *error) {
        Fixture *f = userdata;

        return buffer_printf(&f->log, "=%.*s\n", (int) size, (const char *) data);
}

static la_ssize_t write_archive(_unused_ struct archive *archive, void *userdata, const void *data,
                                size_t size) {
        Fixture *f = userdata;

        return buffer_append(&f->archive, data, size, SIZE_MAX) < 0 ? -1 : (la_ssize_t) size;
}

typedef struct Item {
        const char *name;
        mode_t mode;
        const char *content; /* or a link's target */
        const char *hard_link;
} Item;

static void pack(Fixture *f, bool zip, const Item *items, size_t count) {
        struct archive *archive = archive_write_new();

        assert_non_null(setlocale(LC_ALL, "C.UTF-8")); /* in C it crashes on such a name */
        assert_int_equal(zip ? archive_write_set_format_zip(archive) : archive_write_set_format_pax(archive),
                         ARCHIVE_OK);
        assert_int_equal(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
        assert_int_equal(archive_write_open(archive, f, NULL, write_archive, NULL), ARCHIVE_OK);
        for (size_t i = 0; i < count; i++) {
                struct archive_entry *entry = archive_entry_new();

                archive_entry_set_pathname_utf8(entry, items[i].name);
                archive_entry_set_mode(entry, items[i].mode);
                archive_entry_set_size(entry, 0);
                if (items[i].hard_link)
                        archive_entry_set_hardlink(entry, items[i].hard_link);
                else if (S_ISLNK(items[i].mode))
                        archive_entry_set_symlink(entry, items[i].content);
                else if (items[i].content)
                        archive_entry_set_size(entry, (la_int64_t) strlen(items[i].content));
                assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
                if (S_ISREG(items[i].mode) && items[i].content)
                        assert_int_equal(
                                archive_write_data(archive, items[i].content, strlen(items[i].content)),
                                strlen(items[i].content));
                archive_entry_free(entry);
        }
        assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
}

static int read_all(Fixture *f, ArchiveFormat format, UnpackCounts *ret, char *entry, Error *error) {
        const UnpackSource source = { .read = read_memory, .read_at = read_memory_at, .userdata = f };
        const UnpackSink sink = { .entry = log_entry, .data = log_data, .userdata = f };
        UnpackLimits limits = unpack_limits(format, f->archive.size, 100, 1000);

        limits.wrapped = f->wrapped;
        return unpack_read(&limits, &source, &sink, ret, entry, error);
}

static void check(bool zip, const Item *items, size_t count, const char *locale, const char *expected,
                  uint64_t entries, uint64_t bytes) {
        Fixture f = {};
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        UnpackCounts counts = {};
        Error error = {};

        pack(&f, zip, items, count);
        assert_non_null(setlocale(LC_ALL, locale));
        if (read_all(&f, zip ? ARCHIVE_ZIP : ARCHIVE_TAR, &counts, entry, &error) < 0)
                fail_msg("%s: %s", entry, error.message);
        assert_string_equal(buffer_string(&f.log), expected);
        assert_int_equal(counts.entries, entries);
        assert_int_equal(counts.bytes, bytes);
        assert_string_equal(entry, "");
        buffer_deinit(&f.archive);
        buffer_deinit(&f.log);
}

static const Item tree[] = {
        { "./", S_IFDIR | 0755, NULL, NULL },
        { "./a/", S_IFDIR | 0500, NULL, NULL },
        { "./a/file", S_IFREG | 0666, "text", NULL },
        { "./a/same", S_IFREG | 0666, NULL, "./a/file" },
        { "./a/empty", S_IFREG | 0111, NULL, NULL },
        { "./link", S_IFLNK | 0777, "a/file", NULL },
        { "./\xc3\xa9t\xc3\xa9", S_IFREG | 0600, "x", NULL },
};

static void test_tree(_unused_ void **state) {
        static const char *const locales[] = { "C", "C.UTF-8" };

        for (size_t i = 0; i < ELEMENTSOF(locales); i++) {
                check(false, tree, ELEMENTSOF(tree), locales[i],
                      "d a 700\n"
                      "f a/file 664\n=text\n"
                      "h a/same 664 a/file\n"
                      "f a/empty 111\n"
                      "l link 775 a/file\n"
                      "f \xc3\xa9t\xc3\xa9 600\n=x\n",
                      6, 5);
        }
}

static void test_implied(_unused_ void **state) {
        static const Item items[] = {
                { "a/b/file", S_IFREG | 0644, "1", NULL },
                { "a/b/other", S_IFREG | 0644, "2", NULL },
                { "a/", S_IFDIR | 0700, NULL, NULL },
        };
        static const char expected[] =
                "d? a 755\nd? a/b 755\nf a/b/file 644\n=1\nf a/b/other 644\n=2\nd! a 700\n";

        check(false, items, ELEMENTSOF(items), "C", expected, 4, 2);
        check(true, items, ELEMENTSOF(items), "C", expected, 4, 2);
}

/* Reads what was packed as lying in one folder. */
static int read_wrapped(bool zip, const Item *items, size_t count, Fixture *f, char *entry, Error *error) {
        UnpackCounts counts = {};
        int r;

        *f = (Fixture){ .wrapped = true };
        pack(f, zip, items, count);
        r = read_all(f, zip ? ARCHIVE_ZIP : ARCHIVE_TAR, &counts, entry, error);
        buffer_deinit(&f->archive);
        return r;
}

static void test_wrapping_folder(_unused_ void **state) {
        static const Item items[] = {
                { "./", S_IFDIR | 0755, NULL, NULL },
                { "./api-1/", S_IFDIR | 0700, NULL, NULL },
                { "api-1/a/file", S_IFREG | 0644, "1", NULL },
                { "./api-1/same", S_IFREG | 0644, NULL, "api-1/a/file" },
                { "api-1/link", S_IFLNK | 0777, "a/file", NULL },
        };
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        Error error = {};
        Fixture f;

        assert_int_equal(read_wrapped(false, items, ELEMENTSOF(items), &f, entry, &error), 0);
        assert_string_equal(buffer_string(&f.log),
                            "d? a 755\nf a/file 644\n=1\nh same 644 a/file\nl link 775 a/file\n");
        buffer_deinit(&f.log);
        assert_int_equal(read_wrapped(true, items + 2, 1, &f, entry, &error), 0);
        assert_string_equal(buffer_string(&f.log), "d? a 755\nf a/file 644\n=1\n");
        buffer_deinit(&f.log);
}

static void refuse_wrapped(const Item *items, size_t count, const char *at, const char *says) {
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        Error error = {};
        Fixture f;

        assert_int_equal(read_wrapped(false, items, count, &f, entry, &error), -EBADMSG);
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_string_equal(entry, at);
        assert_non_null(strstr(error.message, says));
        buffer_deinit(&f.log);
}

static void test_wrapping_folder_refused(_unused_ void **state) {
        static const Item beside[] = { { "api/file", S_IFREG | 0644, "1", NULL },
                                       { "apis/file", S_IFREG | 0644, "1", NULL } };
        static const Item shorter[] = { { "api/file", S_IFREG | 0644, "1", NULL },
                                        { "ap/file", S_IFREG | 0644, "1", NULL } };
        static const Item file[] = { { "api", S_IFREG | 0644, "1", NULL } };
        static const Item link[] = { { "api", S_IFLNK | 0777, "tmp", NULL },
                                     { "api/file", S_IFREG | 0644, "1", NULL } };
        static const Item out[] = { { "api/link", S_IFLNK | 0777, "../other", NULL } };

        refuse_wrapped(beside, 2, "apis/file", "outside the folder that all the others lie in");
        refuse_wrapped(shorter, 2, "ap/file", "outside the folder that all the others lie in");
        refuse_wrapped(file, 1, "api", "not in the folder");
        refuse_wrapped(link, 2, "api", "not in the folder");
        refuse_wrapped(out, 1, "api/link", "links out of the release");
}

static void test_sink_fails(_unused_ void **state) {
        Fixture f = { .fail_after = 10 };
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        UnpackCounts counts = {};
        Error error = {};

        pack(&f, false, tree, ELEMENTSOF(tree));
        assert_int_equal(read_all(&f, ARCHIVE_TAR, &counts, entry, &error), -ENOSPC);
        assert_string_equal(error.message, "the sink is full");
        assert_string_equal(entry, "./a/same");
        assert_int_equal(counts.entries, 0);
        buffer_deinit(&f.archive);
        buffer_deinit(&f.log);
}

/* However it is cut or one bit is changed: an end, never more than the limits, and a sentence with it. */
static void test_damage(_unused_ void **state) {
        static const ArchiveFormat formats[] = { ARCHIVE_TAR, ARCHIVE_ZIP };

        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                Fixture f = {};
                size_t size;

                pack(&f, formats[i] == ARCHIVE_ZIP, tree + 1, 2);
                size = f.archive.size;
                for (size_t at = 1; at < 2 * size; at++) {
                        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
                        UnpackCounts counts = {};
                        Error error = {};

                        if (at < size)
                                f.archive.size = at;
                        else
                                f.archive.data[at - size] ^= 0x11;
                        f.at = 0;
                        buffer_clear(&f.log);
                        if (read_all(&f, formats[i], &counts, entry, &error) < 0)
                                assert_true(error.message[0]);
                        else
                                assert_true(counts.entries <= 100 && counts.bytes <= 1000);
                        f.archive.size = size;
                        if (at >= size)
                                f.archive.data[at - size] ^= 0x11;
                }
                buffer_deinit(&f.archive);
                buffer_deinit(&f.log);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tree),
                cmocka_unit_test(test_implied),
                cmocka_unit_test(test_wrapping_folder),
                cmocka_unit_test(test_wrapping_folder_refused),
                cmocka_unit_test(test_sink_fails),
                cmocka_unit_test(test_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
