#include <string.h>

#include "agent/cli/doctor_report.h"
#include "tests/unit/test.h"

/* What is printed of three findings. */
static char *print(Cli cli) {
        char *text = NULL;
        size_t size;
        DoctorReport report;

        cli.out = open_memstream(&text, &size);
        assert_non_null(cli.out);
        cli.out_style = (Style){ "<s>", "<g>", "<b>", "<f>", "<o>" };
        assert_int_equal(doctor_report_init(&report, &cli), 0);
        doctor_say(&report, DOCTOR_OK, "clock", NULL, "less than a minute from S3's");
        doctor_say(&report, DOCTOR_FAILED, "s3:ListBucket", "allow it", "no\nway\033[31m");
        doctor_say(&report, DOCTOR_WARNING, "musterd", "start it", "%s", "it does not run");
        doctor_say(&report, DOCTOR_NOT_TRIED, "sqs:CreateQueue", NULL, "it would make one");
        assert_int_equal(doctor_report_end(&report, NULL), 0);
        doctor_report_deinit(&report);
        fclose(cli.out);
        return text;
}

static void test_text(_unused_ void **state) {
        _cleanup_free_ char *whole = print((Cli){}), *quiet = print((Cli){ .quiet = true });

        assert_string_equal(whole,
                            "<g>ok       <o> clock                          less than a minute from S3's\n"
                            "<b>failed   <o> s3:ListBucket                  no way?[31m\n"
                            "          -> allow it\n"
                            "<s>warning  <o> musterd                        it does not run\n"
                            "          -> start it\n"
                            "<f>not tried<o> sqs:CreateQueue                it would make one\n"
                            "\n1 failed, 1 warning\n");
        assert_string_equal(quiet, "<b>failed   <o> s3:ListBucket                  no way?[31m\n"
                                   "          -> allow it\n"
                                   "<s>warning  <o> musterd                        it does not run\n"
                                   "          -> start it\n");
}

static void test_json(_unused_ void **state) {
        _cleanup_free_ char *text = print((Cli){ .json = true });
        json_auto_t *whole = json_loads(text, 0, NULL);
        const json_t *checks = json_object_get(whole, "checks"), *second = json_array_get(checks, 1);

        assert_int_equal(json_integer_value(json_object_get(whole, "failed")), 1);
        assert_int_equal(json_integer_value(json_object_get(whole, "warnings")), 1);
        assert_int_equal(json_array_size(checks), 4);
        assert_string_equal(json_string_value(json_object_get(second, "check")), "s3:ListBucket");
        assert_string_equal(json_string_value(json_object_get(second, "verdict")), "failed");
        assert_string_equal(json_string_value(json_object_get(second, "advice")), "allow it");
        assert_true(json_is_null(json_object_get(json_array_get(checks, 0), "advice")));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
