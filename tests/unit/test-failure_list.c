#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/cli/failure_list.h"
#include "tests/unit/test.h"

#define PREFIX "apps/api/groups/prod/failures/"
#define A PREFIX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"
#define B PREFIX "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/"

static DepotEntry entry(const char *key, uint64_t modified) {
        return (DepotEntry){ .key = (char *) key, .modified = modified };
}

/* The keys found, each with a line feed. */
static const char *found(const char *instance) {
        const DepotEntry entries[] = {
                entry(A "AROA:i-1.json", 10),    entry(A "i-10.json", 30), entry(B "AROA:i-1.json", 20),
                entry(PREFIX "x.json", 99),      entry(A ".lock", 99),     entry(A "deep/er.json", 99),
                entry("elsewhere/i-1.json", 99),
        };
        _cleanup_free_ const DepotEntry **list = NULL;
        static char text[1024];
        size_t n;

        text[0] = '\0';
        assert_int_equal(failure_list_find(entries, ELEMENTSOF(entries), PREFIX, instance, &list, &n), 0);
        for (size_t i = 0; i < n; i++)
                (void) strcat(strcat(text, list[i]->key), "\n");
        return text;
}

static void test_find(_unused_ void **state) {
        assert_string_equal(found(NULL), A "i-10.json\n" B "AROA:i-1.json\n" A "AROA:i-1.json\n");
        assert_string_equal(found("i-1"), B "AROA:i-1.json\n" A "AROA:i-1.json\n");
        assert_string_equal(found("AROA:i-1"), B "AROA:i-1.json\n" A "AROA:i-1.json\n");
        assert_string_equal(found("i-10"), A "i-10.json\n");
        assert_string_equal(found("AROA"), "");
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_find) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
