#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "artifacts/archive_format.h"

static void test_names(_unused_ void **state) {
        ArchiveFormat format = _ARCHIVE_FORMAT_COUNT;

        for (int i = 0; i < _ARCHIVE_FORMAT_COUNT; i++) {
                assert_int_equal(
                        archive_format_from_string(archive_format_to_string((ArchiveFormat) i), &format), 0);
                assert_int_equal(format, i);
        }
        assert_null(archive_format_to_string(_ARCHIVE_FORMAT_COUNT));
        assert_int_equal(archive_format_from_string("tar.bz2", &format), -EINVAL);
        assert_int_equal(archive_format_from_string("", &format), -EINVAL);
        assert_true(archive_format_needs_seek(ARCHIVE_ZIP));
        assert_false(archive_format_needs_seek(ARCHIVE_TAR_ZST));
}

static void test_detect(_unused_ void **state) {
        static const struct {
                const char *bytes;
                size_t size;
                int result;
                ArchiveFormat format;
        } cases[] = {
                { "\x28\xb5\x2f\xfd", 4, 0, ARCHIVE_TAR_ZST },
                { "\x1f\x8b\x08\x00", 4, 0, ARCHIVE_TAR_GZ },
                { "\xfd\x37zXZ\x00", 6, 0, ARCHIVE_TAR_XZ },
                { "PK\x03\x04rest", 8, 0, ARCHIVE_ZIP },
                { "PK\x05\x06", 4, 0, ARCHIVE_ZIP },
                { "PK\x05", 3, -EINVAL, 0 },
                { "", 0, -EINVAL, 0 },
                { "hello, world", 12, -EINVAL, 0 },
        };
        char tar[ARCHIVE_DETECT_SIZE] = {};
        ArchiveFormat format;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(archive_format_detect(cases[i].bytes, cases[i].size, &format),
                                 cases[i].result);
                if (cases[i].result == 0)
                        assert_int_equal(format, cases[i].format);
        }
        memcpy(tar + 257, "ustar", 5);
        assert_int_equal(archive_format_detect(tar, sizeof(tar), &format), 0);
        assert_int_equal(format, ARCHIVE_TAR);
        assert_int_equal(archive_format_detect(tar, 261, &format), -EINVAL);
}

/* The header of `tar --format=v7` for an empty file "a" of mode 0644 from 1970. */
static void test_tar_without_magic(_unused_ void **state) {
        char tar[ARCHIVE_DETECT_SIZE] = "a";
        ArchiveFormat format;

        memcpy(tar + 100,
               "0000644\0"
               "0000000\0"
               "0000000\0"
               "00000000000\0"
               "00000000000\0",
               48);
        memcpy(tar + 148, "004577\0 ", 8);
        assert_int_equal(archive_format_detect(tar, sizeof(tar), &format), 0);
        assert_int_equal(format, ARCHIVE_TAR);
        assert_int_equal(archive_format_detect(tar, sizeof(tar) - 1, &format), -EINVAL);
        tar[0] = 'b';
        assert_int_equal(archive_format_detect(tar, sizeof(tar), &format), -EINVAL);
        memset(tar, 0, sizeof(tar));
        assert_int_equal(archive_format_detect(tar, sizeof(tar), &format), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_detect),
                cmocka_unit_test(test_tar_without_magic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
