#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/cleanup.h"
#include "agent/net/xml.h"
#include "tests/unit/test.h"

static XmlElement *parse(const char *text) {
        XmlElement *root = NULL;

        assert_int_equal(xml_parse(text, strlen(text), &root, NULL), 0);
        return root;
}

static void test_find(_unused_ void **state) {
        _cleanup_(xml_freep) XmlElement *root = parse(
                "<?xml version=\"1.0\"?>\n<!-- c --><a xmlns=\"urn:x\" b=\"c\">\n <b>one &amp; <![CDATA[<two>]]></b>\n"
                " <c><d/><d>3</d></c>\n <bb>x</bb> <c><d>4</d></c></a>");
        const XmlElement *c = xml_find(root, "c");

        assert_string_equal(root->name, "a");
        assert_string_equal(root->text, "");
        assert_string_equal(xml_text(root, "b"), "one & <two>");
        assert_string_equal(xml_text(root, "bb"), "x");
        assert_string_equal(xml_text(root, "c/d"), "");
        assert_string_equal(xml_text(xml_next(xml_find(root, "c/d")), ""), "3");
        assert_string_equal(xml_text(xml_next(c), "d"), "4");
        assert_null(xml_next(xml_next(c)));
        assert_null(xml_text(root, "c/e"));
        assert_null(xml_text(root, "e/d"));
        assert_null(xml_text(NULL, "e"));
        assert_ptr_equal(xml_find(root, ""), root);
}

static void test_bad(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "bad XML in line 1: no element found" },
                { "<a>", "bad XML in line 1: no element found" },
                { "<a>\n</b>", "bad XML in line 2: mismatched tag" },
                { "<a/><b/>", "bad XML in line 1: junk after document element" },
                { "<a>&x;</a>", "bad XML in line 1: undefined entity" },
                { "<a>\xff</a>", "bad XML in line 1: not well-formed (invalid token)" },
                { "<!DOCTYPE a><a/>", "XML with a document type" },
                { "<!DOCTYPE a [<!ENTITY x \"xxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>",
                  "XML with a document type" },
                { "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "XML with a document type" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                XmlElement *root = NULL;
                Error error = {};

                assert_int_equal(xml_parse(cases[i].text, strlen(cases[i].text), &root, &error), -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
                assert_null(root);
        }
}

static int nest(unsigned depth, Error *error) {
        _cleanup_(xml_freep) XmlElement *root = NULL;
        _cleanup_buffer_ Buffer text = {};

        for (unsigned i = 0; i < depth; i++)
                assert_int_equal(buffer_printf(&text, "<a>"), 0);
        for (unsigned i = 0; i < depth; i++)
                assert_int_equal(buffer_printf(&text, "</a>"), 0);
        return xml_parse(buffer_string(&text), text.size, &root, error);
}

static int widen(unsigned children, Error *error) {
        _cleanup_(xml_freep) XmlElement *root = NULL;
        _cleanup_buffer_ Buffer text = {};

        assert_int_equal(buffer_printf(&text, "<a>"), 0);
        for (unsigned i = 0; i < children; i++)
                assert_int_equal(buffer_append(&text, "<b/>", 4, SIZE_MAX), 0);
        assert_int_equal(buffer_printf(&text, "</a>"), 0);
        return xml_parse(buffer_string(&text), text.size, &root, error);
}

static void test_limits(_unused_ void **state) {
        XmlElement *root = NULL;
        Error error = {};

        assert_int_equal(nest(XML_DEPTH_MAX, &error), 0);
        assert_int_equal(nest(XML_DEPTH_MAX + 1, &error), -EBADMSG);
        assert_string_equal(error.message, "XML deeper than 32 elements");
        assert_int_equal(widen(XML_ELEMENTS_MAX - 1, &error), 0);
        assert_int_equal(widen(XML_ELEMENTS_MAX, &error), -EBADMSG);
        assert_string_equal(error.message, "XML of more than 100000 elements");
        assert_int_equal(xml_parse("<a/>", (size_t) XML_SIZE_MAX + 1, &root, &error), -EBADMSG);
        assert_null(root);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_find),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
