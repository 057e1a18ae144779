#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/record.h"
#include "agent/record_history.h"
#include "artifacts/target.h"
#include "tests/unit/test.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static uint64_t seconds(uint64_t n) {
        return (UINT64_C(1790000000) + n) * USEC_PER_SEC + 123456;
}

static void fill(Record *record) {
        *record = (Record){
                .app = strdup("api"),
                .instance = strdup("i-0123"),
                .group = strdup("prod"),
                .serial = 18,
                .target_sha256 = SHA_C,
                .good = { strdup("1.4.1"), SHA_A },
                .good_env_sha256 = SHA_B,
                .good_since = seconds(0),
                .good_serial = 17,
                .good_boot_id = strdup("boot"),
        };
        assert_int_equal(strv_append(&record->good_environment, "LOG_LEVEL=warning"), 0);
        record->deployment = (Deployment){
                .id = strdup("d-20261121T090000Z-1"),
                .to = { strdup("1.4.2"), SHA_B },
                .from = { strdup("1.4.1"), SHA_A },
                .accepted = 18,
                .serial = 18,
                .boot_id = strdup("boot"),
                .env_sha256 = SHA_C,
                .started = seconds(1),
                .step = STEP_UNITS,
                .step_started = true,
                .attempt = 2,
                .n_steps = 1,
        };
        record->deployment.steps[0] = (StepLog){
                .step = STEP_BEFORE_INSTALL,
                .result = STEP_RESULT_SUCCEEDED,
                .attempt = 1,
                .started = seconds(1),
                .finished = seconds(2),
                .tail = strdup("line \"one\"\nline two\n"),
        };
}

static void test_round_trip(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {}, back = {};
        _cleanup_free_ char *text = NULL, *again = NULL;
        Error error = {};

        fill(&record);
        record.pin = (LocalPin){ { strdup("1.3.0"), SHA_C }, strdup("heap \"dump\""), seconds(3) };
        assert_int_equal(strv_append(&record.deployment.environment, "LOG_LEVEL=info"), 0);
        record.deployment.outcome = OUTCOME_ROLLED_BACK;
        record.deployment.failed_step = STEP_HEALTH;
        record.deployment.fault = FAULT_RELEASE;
        record.deployment.reason = strdup("GET /healthz: status 503");
        record.deployment.finished = seconds(9);
        record.deployment.rollout = strdup("r-1");
        record.deployment.facts = strdup("{\"now\":1}");
        record.deployment.outcome = OUTCOME_ROLLBACK_FAILED;
        record.deployment.rollback_reason = strdup("no space");
        record.deployment.rollback_step = STEP_ROLLBACK_SWITCH;
        record.deployment.rollback_fault = FAULT_HOST;
        record.deployment.rollbacks = 2;
        record.deployment.hooks_done = 3;
        record.deployment.events[0] = (EventLog){ .kind = DEPLOYMENT_STEP_STARTED,
                                                  .at = seconds(3),
                                                  .boot_id = strdup("boot"),
                                                  .then = STEP_UNITS };
        record.deployment.n_events = 1;
        assert_int_equal(record_end(&record, "boot"), 0);
        record.deployment.rollbacks = 0;
        assert_int_equal(record_end(&record, "boot"), 0);
        assert_int_equal(record_to_text(&record, &text), 0);
        assert_int_equal(record_parse(text, strlen(text), &back, &error), 0);
        assert_int_equal(record_to_text(&back, &again), 0);
        assert_string_equal(text, again);
        assert_string_equal(back.deployment.steps[0].tail, "line \"one\"\nline two\n");
        assert_int_equal(back.n_failures, 1); /* a repeated rollback is not another failure of the release */
        assert_int_equal(back.failures[0].step, STEP_HEALTH);
        assert_string_equal(back.failures[0].rollout, "r-1");
        assert_true(back.good_is_down);
        assert_string_equal(back.good_environment[0], "LOG_LEVEL=warning");
        assert_string_equal(back.deployment.rollback_reason, "no space");
        assert_int_equal(back.deployment.events[0].kind, DEPLOYMENT_STEP_STARTED);
        assert_string_equal(back.deployment.facts, "{\"now\":1}");
        assert_true(back.deployment.step_started);
        assert_int_equal(back.good_serial, 17);
        assert_true(release_ref_equal(&back.pin.release, &record.pin.release));
        assert_true(back.pin.since == seconds(3));
        assert_string_equal(back.deployment.environment[0], "LOG_LEVEL=info");
}

static void test_empty_round_trip(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {}, back = {};
        _cleanup_free_ char *text = NULL;
        Error error = {};

        assert_int_equal(record_to_text(&record, &text), 0);
        assert_int_equal(record_parse(text, strlen(text), &back, &error), 0);
        assert_null(back.good.version);
        assert_null(back.deployment.id);
}

/* Every prefix and every changed byte of a record is a record or refused, and never believed in part. */
static void test_torn(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        _cleanup_free_ char *text = NULL;

        fill(&record);
        assert_int_equal(record_to_text(&record, &text), 0);
        for (size_t n = 0; n < strlen(text); n++) {
                Record back = {};

                if (record_parse(text, n, &back, NULL) == 0)
                        fail_msg("a record cut at %zu was believed", n);
        }
        for (size_t n = 0; n < strlen(text); n++) {
                Record back = {};
                char was = text[n];

                text[n] = '\x01';
                if (record_parse(text, strlen(text), &back, NULL) == 0)
                        record_deinit(&back);
                text[n] = was;
        }
}

/* As a serial, -1 would be above all that can come. */
static void test_negative(_unused_ void **state) {
        static const char *const names[] = { "serial", "good_serial" };
        _cleanup_(record_deinit) Record record = {};
        json_auto_t *json = NULL;

        fill(&record);
        assert_int_equal(record_to_json(&record, true, &json), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                json_int_t was = json_integer_value(json_object_get(json, names[i]));
                Record back = {};

                assert_int_equal(json_object_set_new(json, names[i], json_integer(-1)), 0);
                assert_int_equal(record_from_json(json, &back, NULL), -EINVAL);
                assert_int_equal(json_object_set_new(json, names[i], json_integer(was)), 0);
                assert_int_equal(record_from_json(json, &back, NULL), 0);
                record_deinit(&back);
        }
}

static void test_newer_schema(_unused_ void **state) {
        static const char newer[] = "{\"schema\": 5, \"surprise\": true}";
        Record record = {};
        Error error = {};

        assert_int_equal(record_parse(newer, strlen(newer), &record, &error), -EPROTONOSUPPORT);
        assert_non_null(strstr(error.message, "schema 5"));
        assert_int_equal(record_parse("{}", 2, &record, &error), -EINVAL);
        assert_int_equal(record_parse("[]", 2, &record, &error), -EINVAL);
        assert_int_equal(record_parse("{\"schema\": 0}", 13, &record, &error), -EINVAL);
}

static void read_golden(const char *path, Record *ret, Buffer *text) {
        Error error = {};

        assert_int_equal(file_read_at(AT_FDCWD, path, RECORD_SIZE_MAX, text), 0);
        if (record_parse(buffer_string(text), text->size, ret, &error) < 0)
                fail_msg("%s: %s", path, error.message);
}

/* What every release of muster wrote is read, and nothing of it is lost. */
static void test_schema_1(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        _cleanup_buffer_ Buffer text = {};

        read_golden("tests/unit/data/record-1.json", &record, &text);
        assert_string_equal(record.good.version, "1.4.1");
        assert_int_equal(record.serial, 18);
        assert_int_equal(record.failures[0].count, 2);
        assert_int_equal(record.failures[0].disturbing, 0);
        assert_null(record.failures[0].rollout);
        assert_null(record.good_boot_id);
        assert_false(record.good_is_down);
        assert_int_equal(record.deployment.step, STEP_UNITS);
        assert_true(deployment_is_running(&record.deployment));
        assert_string_equal(record.deployment.environment[0], "LOG_LEVEL=info");
        assert_string_equal(record.deployment.steps[0].tail, "migrated\n");
        assert_int_equal(record.deployment.accepted, 18);
        assert_int_equal(record.deployment.n_events, 0);
}

static void test_schema_2(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        _cleanup_buffer_ Buffer text = {};

        read_golden("tests/unit/data/record-2.json", &record, &text);
        assert_int_equal(record.deregistered.n, 0);
        assert_non_null(record.deployment.id);
        assert_false(record.deployment.traffic);
        assert_false(record.deployment.unchanged);
        assert_int_equal(record.deployment.serial, 18);
        assert_true(record.good.version);
        assert_true(record_good_is_up(&record));
        assert_null(record.prefetched.version);
        assert_int_equal(record.deployment.kind, KIND_DEPLOY);
        assert_false(record.deployment.cut);
        assert_true(record.deployment.n_events > 0);
}

static void test_schema_3(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        _cleanup_buffer_ Buffer text = {};

        read_golden("tests/unit/data/record-3.json", &record, &text);
        assert_string_equal(record.rollout.id, "");
        assert_int_equal(record.deregistered.n, 2);
        assert_int_equal(record.deregistered.items[1].port, 9090);
        assert_true(record.deployment.traffic);
        assert_true(record.good_is_stopped);
        assert_string_equal(record.prefetched.version, record.deployment.to.version);
        assert_int_equal(record.deployment.kind, KIND_DRAIN);
        assert_true(record.deployment.cut);
}

/* The file is written as it was read: a change of the format needs a new schema and a new golden file. */
static void test_schema_4(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        _cleanup_free_ char *again = NULL;
        _cleanup_buffer_ Buffer text = {};

        read_golden("tests/unit/data/record-4.json", &record, &text);
        assert_string_equal(record.rollout.id, "r-20261121-1");
        assert_int_equal(record.rollout.standing, STANDING_RETURNING);
        assert_int_equal(record.rollout.attempt, 2);
        assert_int_equal(record.rollout.owes, OWES_NOTHING);
        assert_int_equal(record.rollout.then, MARK_VOID);
        assert_true(record.rollout.sick_before);
        assert_int_equal(record_to_text(&record, &again), 0);
        assert_int_equal(strlen(again), text.size);
        assert_memory_equal(again, buffer_string(&text), text.size);
        assert_int_equal(RECORD_SCHEMA, 4);
}

/* A step that cannot be is no step to go on with. */
static void test_running_at_the_end(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {}, back = {};
        _cleanup_free_ char *text = NULL;

        fill(&record);
        record.deployment.step = STEP_END;
        assert_int_equal(record_to_text(&record, &text), 0);
        assert_int_equal(record_parse(text, strlen(text), &back, NULL), -EINVAL);
}

static void end_as(Record *record, Outcome outcome, Step failed_step) {
        record->deployment.outcome = outcome;
        record->deployment.failed_step = failed_step;
        record->deployment.finished = seconds(20);
        assert_int_equal(record_end(record, "boot-2"), 0);
}

static void test_failures_count_and_are_bounded(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};
        const Failure *failure;

        fill(&record);
        for (unsigned i = 1; i <= 4; i++) {
                end_as(&record, OUTCOME_FAILED, i <= 2 ? STEP_FETCH : STEP_HEALTH);
                assert_int_equal(record.n_failures, 1);
                failure = record_find_failure(&record, SHA_B, 18, NULL);
                assert_int_equal(failure->count, i);
                assert_int_equal(failure->disturbing, i <= 2 ? 0 : i - 2);
        }
        record.deployment.cancelled = true;
        end_as(&record, OUTCOME_ROLLED_BACK, STEP_COMMIT);
        assert_int_equal(record_find_failure(&record, SHA_B, 18, NULL)->count, 4);
        record.deployment.cancelled = false;
        for (uint64_t serial = 100; serial < 150; serial++) {
                record.deployment.serial = serial;
                end_as(&record, OUTCOME_FAILED, STEP_HEALTH);
        }
        assert_int_equal(record.n_failures, RECORD_FAILURES_MAX);
        assert_null(record_find_failure(&record, SHA_B, 18, NULL));
        assert_non_null(record_find_failure(&record, SHA_B, 149, NULL));
        assert_null(record_find_failure(&record, SHA_B, 149, "r-1"));
}

/* A release that failed in a rollout is known by the rollout, whatever the serial. */
static void test_failures_of_a_rollout(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        fill(&record);
        record.deployment.rollout = strdup("r-1");
        end_as(&record, OUTCOME_ROLLED_BACK, STEP_HEALTH);
        record.deployment.serial = 19;
        end_as(&record, OUTCOME_ROLLED_BACK, STEP_HEALTH);
        assert_int_equal(record.n_failures, 1);
        assert_int_equal(record_find_failure(&record, SHA_B, 77, "r-1")->count, 2);
        assert_null(record_find_failure(&record, SHA_B, 19, NULL));
        assert_null(record_find_failure(&record, SHA_B, 19, "r-2"));
}

static void test_commit(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        fill(&record);
        assert_int_equal(strv_append(&record.deployment.environment, "LOG_LEVEL=info"), 0);
        end_as(&record, OUTCOME_ROLLBACK_FAILED, STEP_HEALTH);
        assert_true(record.good_is_down);
        end_as(&record, OUTCOME_SUCCEEDED, STEP_VERIFY);
        assert_false(record.good_is_down);
        assert_string_equal(record.good.version, "1.4.2");
        assert_string_equal(record.previous.version, "1.4.1");
        assert_string_equal(record.good_env_sha256, SHA_C);
        assert_string_equal(record.good_environment[0], "LOG_LEVEL=info");
        assert_string_equal(record.good_boot_id, "boot-2");
        assert_true(record.good_since == seconds(20));
        assert_int_equal(record.n_failures, 0);
        assert_int_equal(record.good_serial, 18);
        record.deployment.finished = seconds(30);
        assert_int_equal(record_end(&record, "boot-2"), 0);
        assert_string_equal(record.previous.version, "1.4.1");
        assert_true(record.good_since == seconds(20));
}

static void test_rolled_back(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {};

        fill(&record);
        record.good_is_down = true;
        end_as(&record, OUTCOME_FAILED, STEP_VERIFY);
        assert_true(record.good_is_down);
        assert_string_equal(record.good_boot_id, "boot");
        end_as(&record, OUTCOME_ROLLED_BACK, STEP_HEALTH);
        assert_false(record.good_is_down);
        assert_string_equal(record.good.version, "1.4.1");
        assert_string_equal(record.good_boot_id, "boot-2");
}

/* What ended a step, and what was printed meanwhile, may have been cut anywhere: the record is written all the same. */
static void test_texts_that_are_not_utf8(_unused_ void **state) {
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_FAILED,
                                  .reason = "last words: \xe2\x82",
                                  .tail = "\x82\xac 100 %",
                                  .fault = FAULT_RELEASE,
                                  .at = seconds(3),
                                  .boot_id = "boot" };
        _cleanup_(record_deinit) Record record = {};
        _cleanup_free_ char *text = NULL;

        fill(&record);
        record.deployment.steps[0].result = STEP_RESULT_RUNNING;
        assert_int_equal(deployment_apply(&record.deployment, &event), 0);
        assert_string_equal(record.deployment.reason, "last words: ??");
        assert_string_equal(record.deployment.steps[0].tail, "?? 100 %");
        assert_int_equal(record_to_text(&record, &text), 0);
}

static char *repeat(char c, size_t n) {
        char *text = malloc(n + 1);

        assert_non_null(text);
        memset(text, c, n);
        text[n] = '\0';
        return text;
}

/* What has been written can be read again, whatever its parts may have grown to. */
static void test_largest(void **state) {
        const TestFolder *folder = *state;
        _cleanup_(record_deinit) Record record = {}, back = {};
        _cleanup_free_ char *value = repeat('"', TARGET_PAYLOAD_SIZE_MAX / 2 - 3), *facts = NULL;
        Deployment *d = &record.deployment;
        Error error = {};

        fill(&record);
        assert_int_equal(strv_appendf(&record.good_environment, "A=%s", value), 0);
        assert_int_equal(strv_appendf(&d->environment, "A=%s", value), 0);
        memset(value, 'x', strlen(value));
        assert_true(asprintf(&facts, "{\"environment\": [\"%s%s\"]}", value, value) > 0);
        assert_int_equal(string_set(&d->facts, facts), 0);
        for (d->n_steps = 1; d->n_steps < DEPLOYMENT_STEPS_MAX; d->n_steps++)
                d->steps[d->n_steps] = (StepLog){ .step = STEP_HEALTH,
                                                  .reason = repeat('"', ERROR_MESSAGE_MAX - 1),
                                                  .tail = repeat('"', STEP_TAIL_MAX) };
        for (; d->n_events < DEPLOYMENT_EVENTS_MAX; d->n_events++)
                d->events[d->n_events].reason = repeat('"', ERROR_MESSAGE_MAX - 1);
        assert_int_equal(record_save(folder->fd, &record, &error), 0);
        assert_int_equal(record_load(folder->fd, &back, &error), 1);
        assert_int_equal(back.deployment.n_events, DEPLOYMENT_EVENTS_MAX);
}

static void test_files(_unused_ void **state) {
        _cleanup_(record_deinit) Record record = {}, back = {};
        char folder[] = "/tmp/test-record-XXXXXX";
        _cleanup_close_ int fd = -1;
        json_t *history = NULL;
        Error error = {};

        assert_non_null(mkdtemp(folder));
        fd = file_open_at(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY, 0);
        assert_true(fd >= 0);
        assert_int_equal(record_load(fd, &back, &error), 0);
        assert_null(back.app);
        assert_int_equal(record_read_history(fd, 10, &history, &error), 0);
        assert_int_equal(json_array_size(history), 0);
        json_decref(history);

        fill(&record);
        assert_int_equal(record_save(fd, &record, &error), 0);
        assert_int_equal(record_load(fd, &back, &error), 1);
        assert_string_equal(back.deployment.to.version, "1.4.2");
        for (int i = 0; i < (int) RECORD_HISTORY_MAX + 5; i++) {
                char logs[64];

                snprintf(logs, sizeof(logs), RECORD_LOGS_FOLDER "/d-%04d", i);
                close_fd(file_open_folder_at(fd, logs, 0700));
                free(record.deployment.id);
                assert_true(asprintf(&record.deployment.id, "d-%04d", i) > 0);
                assert_false(record_has_history(fd, record.deployment.id));
                assert_int_equal(record_keep_history(fd, &record.deployment, &error), 0);
                assert_true(record_has_history(fd, record.deployment.id));
        }
        assert_int_equal(record_read_history(fd, 1000, &history, &error), 0);
        assert_int_equal(json_array_size(history), RECORD_HISTORY_MAX);
        assert_string_equal(json_string_value(json_object_get(json_array_get(history, 0), "id")), "d-0054");
        json_decref(history);
        assert_int_equal(faccessat(fd, RECORD_LOGS_FOLDER "/d-0054", F_OK, 0), 0);
        assert_int_equal(faccessat(fd, RECORD_LOGS_FOLDER "/d-0004", F_OK, 0), -1);
        assert_int_equal(faccessat(fd, "history/d-0004.json", F_OK, 0), -1);
        assert_int_equal(file_remove_tree_at(AT_FDCWD, folder), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_empty_round_trip),
                cmocka_unit_test(test_torn),
                cmocka_unit_test(test_negative),
                cmocka_unit_test(test_newer_schema),
                cmocka_unit_test(test_schema_1),
                cmocka_unit_test(test_schema_2),
                cmocka_unit_test(test_schema_3),
                cmocka_unit_test(test_schema_4),
                cmocka_unit_test(test_running_at_the_end),
                cmocka_unit_test(test_failures_count_and_are_bounded),
                cmocka_unit_test(test_failures_of_a_rollout),
                cmocka_unit_test(test_commit),
                cmocka_unit_test(test_rolled_back),
                cmocka_unit_test(test_texts_that_are_not_utf8),
                cmocka_unit_test_setup_teardown(test_largest, test_folder_setup, test_folder_teardown),
                cmocka_unit_test(test_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
