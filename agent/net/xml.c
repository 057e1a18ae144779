#include <expat.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/net/xml.h"

typedef struct XmlReader {
        XML_Parser parser;
        XmlElement *root, *current;
        Buffer text; /* of the element that is open */
        unsigned depth, elements;
        int result;
        Error *error;
} XmlReader;

static void stop(XmlReader *reader, int r) {
        if (reader->result == 0)
                reader->result = r;
        (void) XML_StopParser(reader->parser, XML_FALSE);
}

static XmlElement *element_free(XmlElement *element) {
        free(element->name);
        free(element->text);
        free(element);
        return NULL;
}

/* Depth first, without recursion. */
XmlElement *xml_free(XmlElement *root) {
        XmlElement *element = root;

        while (element) {
                XmlElement *up = element->parent;

                if (element->first) {
                        element = element->first;
                        continue;
                }
                if (up)
                        up->first = element->next;
                element_free(element);
                element = up;
        }
        return NULL;
}

static XmlElement *element_new(const char *name, XmlElement *parent) {
        XmlElement *element = malloc(sizeof(*element));

        if (!element)
                return NULL;
        *element = (XmlElement){ .name = strdup(name), .text = strdup(""), .parent = parent };
        if (!element->name || !element->text)
                return element_free(element);
        if (parent && parent->last)
                parent->last->next = element;
        else if (parent)
                parent->first = element;
        if (parent)
                parent->last = element;
        return element;
}

static void on_start(void *userdata, const XML_Char *name, _unused_ const XML_Char **attributes) {
        XmlReader *reader = userdata;
        XmlElement *element;

        if (++reader->depth > XML_DEPTH_MAX) {
                stop(reader,
                     error_set(reader->error, -EBADMSG, "XML deeper than %u elements", XML_DEPTH_MAX));
                return;
        }
        if (++reader->elements > XML_ELEMENTS_MAX) {
                stop(reader,
                     error_set(reader->error, -EBADMSG, "XML of more than %u elements", XML_ELEMENTS_MAX));
                return;
        }
        element = element_new(name, reader->current);
        if (!element) {
                stop(reader, error_oom(reader->error));
                return;
        }
        if (!reader->root)
                reader->root = element;
        reader->current = element;
        buffer_clear(&reader->text);
}

static void on_end(void *userdata, _unused_ const XML_Char *name) {
        XmlReader *reader = userdata;
        XmlElement *element = reader->current;
        char *text;

        if (!element->first && reader->text.size > 0) {
                text = strdup(buffer_string(&reader->text));
                if (!text) {
                        stop(reader, error_oom(reader->error));
                        return;
                }
                free(element->text);
                element->text = text;
        }
        buffer_clear(&reader->text);
        reader->current = element->parent;
        reader->depth--;
}

static void on_text(void *userdata, const XML_Char *text, int size) {
        XmlReader *reader = userdata;

        if (buffer_append(&reader->text, text, (size_t) size, XML_SIZE_MAX) < 0)
                stop(reader, error_oom(reader->error));
}

static void on_document_type(void *userdata, _unused_ const XML_Char *name, _unused_ const XML_Char *system,
                             _unused_ const XML_Char *public, _unused_ int has_internal_subset) {
        XmlReader *reader = userdata;

        stop(reader, error_set(reader->error, -EBADMSG, "XML with a document type"));
}

static int run(XmlReader *reader, const char *text, size_t size) {
        XML_SetUserData(reader->parser, reader);
        XML_SetElementHandler(reader->parser, on_start, on_end);
        XML_SetCharacterDataHandler(reader->parser, on_text);
        XML_SetStartDoctypeDeclHandler(reader->parser, on_document_type);
        if (XML_Parse(reader->parser, text, (int) size, XML_TRUE) == XML_STATUS_OK || reader->result < 0)
                return reader->result;
        return error_set(reader->error, -EBADMSG, "bad XML in line %lu: %s",
                         (unsigned long) XML_GetCurrentLineNumber(reader->parser),
                         XML_ErrorString(XML_GetErrorCode(reader->parser)));
}

int xml_parse(const char *text, size_t size, XmlElement **ret, Error *error) {
        XmlReader reader = { .error = error };
        int r;

        if (size > XML_SIZE_MAX)
                return error_set(error, -EBADMSG, "XML of more than %u bytes", XML_SIZE_MAX);
        reader.parser = XML_ParserCreate(NULL);
        if (!reader.parser)
                return error_oom(error);
        r = run(&reader, text, size);
        XML_ParserFree(reader.parser);
        buffer_deinit(&reader.text);
        if (r < 0) {
                xml_free(reader.root);
                return r;
        }
        *ret = reader.root;
        return 0;
}

static const XmlElement *find_named(const XmlElement *element, const char *name, size_t size) {
        while (element && (strncmp(element->name, name, size) != 0 || element->name[size] != '\0'))
                element = element->next;
        return element;
}

const XmlElement *xml_find(const XmlElement *element, const char *path) {
        while (element && *path) {
                size_t n = strcspn(path, "/");

                element = find_named(element->first, path, n);
                path += n + (path[n] == '/');
        }
        return element;
}

const char *xml_text(const XmlElement *element, const char *path) {
        const XmlElement *found = xml_find(element, path);

        return found ? found->text : NULL;
}

const XmlElement *xml_next(const XmlElement *element) {
        return find_named(element->next, element->name, strlen(element->name));
}

int xml_parse_list(const char *text, size_t size, const char *path, size_t element_size,
                   XmlElement **ret_root, void **ret_array, const XmlElement **ret_first, Error *error) {
        XmlElement *root;
        const XmlElement *first;
        size_t n = 0;
        int r;

        r = xml_parse(text, size, &root, error);
        if (r < 0)
                return r;
        first = xml_find(root, path);
        for (const XmlElement *e = first; e; e = xml_next(e))
                n++;
        *ret_array = calloc(MAX(n, (size_t) 1), element_size);
        if (!*ret_array) {
                xml_free(root);
                return error_oom(error);
        }
        *ret_root = root;
        *ret_first = first;
        return 0;
}
