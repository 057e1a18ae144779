#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"
#include "artifacts/file_map.h"
#include "artifacts/json.h"

/* The tree of every test. */
static const FileSource tree[] = {
        { .type = ENTRY_FOLDER, .path = "conf" },
        { .type = ENTRY_FILE, .path = "conf/a.conf", .mode = 0644 },
        { .type = ENTRY_FOLDER, .path = "more" },
        { .type = ENTRY_FILE, .path = "more/index", .mode = 0644 },
        { .type = ENTRY_FOLDER, .path = "web" },
        { .type = ENTRY_FOLDER, .path = "web/img" },
        { .type = ENTRY_FILE, .path = "web/img/a", .mode = 0644 },
        { .type = ENTRY_FILE, .path = "web/index", .mode = 0755 },
        { .type = ENTRY_LINK, .path = "web/link", .target = "index" },
};

typedef struct Sections {
        ReleaseFiles files;
        ReleasePermissions permissions;
} Sections;

static void read_section(const SchemaType *type, const char *text, void *value) {
        const JsonSource source = { .name = "test" };
        _cleanup_json_ json_t *json = json_loads(text, 0, NULL);
        JsonField field = json_field_top(&source, json);
        Error error = {};

        assert_non_null(json);
        if (schema_read(type, &field, value, &error) < 0)
                fail_msg("%s", error.message);
}

static int make_map(Sections *sections, const char *files, const char *permissions, FileMap *map,
                    Error *error) {
        *sections = (Sections){};
        read_section(&release_files_type, files, &sections->files);
        read_section(&release_permissions_type, permissions, &sections->permissions);
        assert_int_equal(file_map_init(map, &sections->files, &sections->permissions), 0);
        for (size_t i = 0; i < ELEMENTSOF(tree); i++) {
                int r = file_map_add(map, tree + i, error);

                if (r < 0)
                        return r;
        }
        return file_map_finish(map, error);
}

static void clear(Sections *sections, FileMap *map) {
        file_map_deinit(map);
        schema_clear(&release_files_type, &sections->files);
        schema_clear(&release_permissions_type, &sections->permissions);
}

/* Each target as a letter, its place, its source and the object of its permission. */
static void check(const char *files, const char *permissions, const char *expected) {
        _cleanup_buffer_ Buffer text = {};
        Sections sections;
        Error error = {};
        FileMap map;

        if (make_map(&sections, files, permissions, &map, &error) < 0)
                fail_msg("%s", error.message);
        for (size_t i = 0; i < map.n; i++) {
                const FileTarget *target = map.items + i;

                assert_int_equal(buffer_printf(&text, "%c %s %s%s%s\n", "dfl"[target->type], target -> path,
                                               *target -> source ? target -> source : ".",
                                               target->permission ? " by " : "",
                                               target->permission ? target->permission->object : ""),
                                 0);
        }
        assert_string_equal(buffer_string(&text), expected);
        clear(&sections, &map);
}

static void check_refused(const char *files, const char *permissions, const char *expected) {
        Sections sections;
        Error error = {};
        FileMap map;

        assert_int_equal(make_map(&sections, files, permissions, &map, &error), -EBADMSG);
        assert_string_equal(error.message, expected);
        assert_int_equal(error.fault, FAULT_RELEASE);
        clear(&sections, &map);
}

static void test_places(_unused_ void **state) {
        check("[{\"source\":\"web\",\"destination\":\"/srv\"}]", "[]",
              "d /srv web\nd /srv/img web/img\nf /srv/img/a web/img/a\nf /srv/index web/index\nl /srv/link web/link\n");
        check("[{\"source\":\"conf/a.conf\",\"destination\":\"/etc/app\"}]", "[]",
              "f /etc/app/a.conf conf/a.conf\n");
        check("[{\"source\":\"conf\",\"destination\":\"/\"}]", "[]", "d / conf\nf /a.conf conf/a.conf\n");
        check("[{\"source\":\"/\",\"destination\":\"/srv/app\",\"mode\":\"link\"}]", "[]", "l /srv/app .\n");
        check("[{\"source\":\"web\",\"destination\":\"/srv/app\",\"mode\":\"link\"}]", "[]",
              "l /srv/app web\n");
        check("[]", "[]", "");
}

static void test_whole_tree(_unused_ void **state) {
        check("[{\"source\":\"/\",\"destination\":\"/x\"}]", "[]",
              "d /x .\nd /x/conf conf\nf /x/conf/a.conf conf/a.conf\nd /x/more more\nf /x/more/index more/index\n"
              "d /x/web web\nd /x/web/img web/img\nf /x/web/img/a web/img/a\nf /x/web/index web/index\n"
              "l /x/web/link web/link\n");
}

static void test_merged(_unused_ void **state) {
        check("[{\"source\":\"conf\",\"destination\":\"/srv\"},{\"source\":\"more\",\"destination\":\"/srv\"}]",
              "[]", "d /srv conf\nf /srv/a.conf conf/a.conf\nf /srv/index more/index\n");
}

static void test_refused(_unused_ void **state) {
        check_refused(
                "[{\"source\":\"web\",\"destination\":\"/srv\"},{\"source\":\"more\",\"destination\":\"/srv\"}]",
                "[]", "files[1]: /srv/index has two sources: more/index, and web/index of files[0]");
        check_refused("[{\"source\":\"web\",\"destination\":\"/srv\"},"
                      "{\"source\":\"conf\",\"destination\":\"/srv/index\"}]",
                      "[]", "files[0]: /srv/index has two sources: web/index, and conf of files[1]");
        check_refused(
                "[{\"source\":\"web\",\"destination\":\"/srv\"},"
                "{\"source\":\"conf/a.conf\",\"destination\":\"/srv/index/x\"}]",
                "[]",
                "files[1]: /srv/index/x/a.conf would lie beneath /srv/index, which files[0] makes a file");
        check_refused("[{\"source\":\"nothing\",\"destination\":\"/srv\"}]", "[]",
                      "files[0].source: there is no file or folder nothing");
        check_refused("[{\"source\":\"web/inde\",\"destination\":\"/srv\"}]", "[]",
                      "files[0].source: there is no file or folder web/inde");
        check_refused("[{\"source\":\"conf/a.conf\",\"destination\":\"/srv\",\"mode\":\"link\"}]", "[]",
                      "files[0].mode: conf/a.conf is no folder, which mode: link asks for");
}

#define WEB "[{\"source\":\"web\",\"destination\":\"/srv\"}]"

static void test_permissions(_unused_ void **state) {
        check(WEB,
              "[{\"object\":\"/srv\",\"type\":[\"file\"],\"except\":[\"index\"],\"mode\":\"600\"},"
              "{\"object\":\"/srv/index\",\"mode\":\"700\"},{\"object\":\"/srv\",\"type\":[\"directory\"],\"mode\":\"700\"}]",
              "d /srv web\nd /srv/img web/img by /srv\nf /srv/img/a web/img/a by /srv\n"
              "f /srv/index web/index by /srv/index\nl /srv/link web/link\n");
        check_refused(
                WEB, "[{\"object\":\"/srv\",\"mode\":\"600\"},{\"object\":\"/srv/img/a\",\"mode\":\"700\"}]",
                "permissions[1].object: /srv/img/a has its permissions by an entry before this one already");
        check_refused(WEB, "[{\"object\":\"/srv/index\",\"pattern\":\"*\",\"mode\":\"600\"}]",
                      "permissions[0].pattern: /srv/index is a file: pattern and except are for folders");
        check_refused(
                WEB, "[{\"object\":\"/srv\",\"acls\":[\"d:u:bob:r\"]}]",
                "permissions[0].acls: /srv/img/a is a file, and only folders have default entries in their acls");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),      cmocka_unit_test(test_whole_tree),
                cmocka_unit_test(test_merged),      cmocka_unit_test(test_refused),
                cmocka_unit_test(test_permissions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
