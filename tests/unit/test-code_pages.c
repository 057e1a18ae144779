#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/base/code_pages.h"

/* kB of code of programs and libraries that is mapped now. */
static unsigned long mapped_code(void) {
        _cleanup_fclose_ FILE *file = fopen("/proc/self/smaps", "re");
        unsigned long sum = 0, kilobytes;
        bool is_code = false;
        char line[4096];

        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                if (!isupper((unsigned char) *line)) /* a mapping; what is said of it begins with a capital */
                        is_code = strstr(line, " r-xp ") && strchr(line, '/');
                else if (is_code && sscanf(line, "Rss: %lu kB", &kilobytes) == 1)
                        sum += kilobytes;
        }
        return sum;
}

/* What runs comes back by itself. */
static void test_give_back(_unused_ void **state) {
        unsigned long before = mapped_code(), after;

        code_pages_give_back();
        after = mapped_code();
        assert_true(after > 0);
        assert_true(after < before);
        code_pages_give_back();
        assert_true(mapped_code() > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_give_back) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
