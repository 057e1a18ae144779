#include <string.h>

#include "artifacts/document.h"
#include "tests/unit/test.h"

typedef struct Note {
        char *text, *path, *user;
        DocumentArguments args;
} Note;

static const SchemaMember members[] = {
        { "text", &document_text_type, offsetof(Note, text), false },
        { "path", &document_path_type, offsetof(Note, path), false },
        { "user", &document_user_type, offsetof(Note, user), false },
        { "args", &document_arguments_type, offsetof(Note, args), false },
        {},
};
static const SchemaType note_type = { .kind = &schema_object, .size = sizeof(Note), .members = members };
static const DocumentName note_name = { "note", "app", "group" };

static int parse(const char *text, Note *ret, Error *error) {
        return document_parse(&note_type, &note_name, text, strlen(text), 1024, ret, error);
}

static void test_names_the_document(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "{\"text\":5}", "note: text: expected one line of text, not 5" },
                { "{\"app\":\"api\",\"group\":\"prod\",\"text\":5}",
                  "note api prod: text: expected one line of text, not 5" },
                { "{\"app\":\"a\\u0007i\",\"group\":\"prod\",\"text\":5}",
                  "note prod: text: expected one line of text, not 5" },
                { "{\"app\":[],\"text\":5}", "note: text: expected one line of text, not 5" },
                { "{", "note: not valid JSON: line 1: string or '}' expected near end of file" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Note note;
                Error error = {};

                assert_int_equal(parse(cases[i].text, &note, &error), -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
        }
}

/* A document for a newer muster is refused for that, whatever else in it we do not understand. */
static void test_newer_documents(void **state) {
        Note note;
        Error error;

        (void) state;
        assert_int_equal(parse("{\"min_agent\":\"1000\",\"text\":5,\"critical\":5}", &note, &error),
                         -EPROTONOSUPPORT);
        assert_int_equal(parse("{\"critical\":[\"seal\"],\"text\":5}", &note, &error), -EPROTONOSUPPORT);
        assert_string_equal(error.message, "note: critical[0]: expected a field that muster " MUSTER_VERSION
                                           " knows, not \"seal\"");
        assert_int_equal(
                parse("{\"min_agent\":\"" MUSTER_VERSION "\",\"critical\":[\"text\"]}", &note, &error), 0);
        schema_clear(&note_type, &note);
}

static void test_failure_leaves_nothing(void **state) {
        Note note;

        (void) state;
        memset(&note, 0xff, sizeof(note));
        assert_int_equal(parse("{\"text\":\"abc\",\"args\":[\"a\",5]}", &note, NULL), -EBADMSG);
        assert_null(note.text);
        assert_null(note.args.items);
        assert_int_equal(note.args.n, 0);
}

static void test_compare_agents(void **state) {
        static const struct {
                const char *a, *b;
                int order;
        } cases[] = {
                { "1", "1", 0 },        { "1.0", "1", 0 },  { "1.2", "1.10", -1 }, { "1.2.3", "1.2", 1 },
                { "0.1.0", "1.0", -1 }, { "2", "1.99", 1 }, { "1.0.0.1", "1", 1 }, { "01.2", "1.2", 0 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(document_compare_agents(cases[i].a, cases[i].b), cases[i].order);
                assert_int_equal(document_compare_agents(cases[i].b, cases[i].a), -cases[i].order);
        }
}

static void test_paths(void **state) {
        static const char *const good[] = { "a",   "a/b", ".a", "a..b/..c", "a b/gr\xc3\xbc\xc3\x9f",
                                            "...", "a\\b" };
        static const char *const bad[] = { "",    "/",   "/a",   "a/",   "a//b",   ".",   "..",
                                           "./a", "a/.", "a/..", "../a", "a/../b", "a\nb" };
        char component[258];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (!document_path_is_valid(good[i]))
                        fail_msg("%s", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (document_path_is_valid(bad[i]))
                        fail_msg("%s", bad[i]);
        memset(component, 'a', sizeof(component));
        component[256] = '\0';
        assert_false(document_path_is_valid(component));
        component[255] = '\0';
        assert_true(document_path_is_valid(component));
}

static void test_users(void **state) {
        static const char *const good[] = { "root", "www-data", "_apt", "a.b", "App_1" };
        static const char *const bad[] = { "",    "-a",  ".a",  "1000", "1a",
                                           "a b", "a:b", "a/b", "a\n",  "abcdefghijklmnopqrstuvwxyzabcdefg" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(document_user_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(document_user_is_valid(bad[i]));
}

static void test_digest(void **state) {
        char text[DIGEST_HEX_SIZE];

        (void) state;
        assert_int_equal(document_digest("abc", 3, text, NULL), 0);
        assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_true(document_digest_is_valid(text));
        text[0] = 'B';
        assert_false(document_digest_is_valid(text));
        text[63] = '\0';
        assert_false(document_digest_is_valid(text));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_the_document),
                cmocka_unit_test(test_newer_documents),
                cmocka_unit_test(test_failure_leaves_nothing),
                cmocka_unit_test(test_compare_agents),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_users),
                cmocka_unit_test(test_digest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
