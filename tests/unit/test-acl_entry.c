#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "artifacts/acl_entry.h"

static void check(const char *text, bool is_default, AclTag tag, const char *name, unsigned permissions) {
        AclEntry entry;

        if (acl_entry_parse(text, &entry) < 0)
                fail_msg("%s", text);
        assert_int_equal(entry.is_default, is_default);
        assert_int_equal(entry.tag, tag);
        assert_string_equal(entry.name, name);
        assert_int_equal(entry.permissions, permissions);
}

static void test_good(_unused_ void **state) {
        check("u:bob:rw", false, ACL_TAG_USER, "bob", 6);
        check("user:bob:r-x", false, ACL_TAG_USER, "bob", 5);
        check("bob:7", false, ACL_TAG_USER, "bob", 7);
        check("g:ops:0", false, ACL_TAG_GROUP, "ops", 0);
        check("group:ops:---", false, ACL_TAG_GROUP, "ops", 0);
        check("m::rwx", false, ACL_TAG_MASK, "", 7);
        check("m:r", false, ACL_TAG_MASK, "", 4);
        check("default:group::r-x", true, ACL_TAG_GROUP, "", 5);
        check("d:u:bob:x", true, ACL_TAG_USER, "bob", 1);
        check("d:o:4", true, ACL_TAG_OTHER, "", 4);
        check("d::7", true, ACL_TAG_USER, "", 7);
        check("d:m::r", true, ACL_TAG_MASK, "", 4);
        check("d:bob:r", true, ACL_TAG_USER, "bob", 4);
}

static void test_bad(_unused_ void **state) {
        static const char *const texts[] = {
                "",
                "u",
                "rwx",
                "u:bob",
                "u:bob:rwz",
                "u:bob:8",
                "u:bob:",
                "u::rw",
                "g::r",
                "o::r",
                "o:r",
                "m:bob:r",
                "x:bob:r",
                "u:bob:r:",
                "d:d:u:r",
                "d:u:bob",
                "u:b ob:r",
                "u:0:r",
                "u:bob:rw,x",
                "d:x:bob:r",
                "default:u:bob:r:w",
                "o:bob:r",
                "d:o:bob:r",
                ":rw",
                "u:bob\n:rw",
                "d:u:bob:rwx:",
                "mask:mask:rw",
        };
        char longest[200];
        AclEntry entry;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (acl_entry_parse(texts[i], &entry) != -EINVAL)
                        fail_msg("%s", texts[i]);
        memset(longest, 'a', sizeof(longest) - 3);
        memcpy(longest + sizeof(longest) - 3, ":r", 3);
        assert_int_equal(acl_entry_parse(longest, &entry), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
