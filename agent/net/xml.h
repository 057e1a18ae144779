#pragma once

/* The XML that AWS answers with, as a small tree: elements, their text, nothing else. Attributes, comments and namespaces
 * are passed over; a document type, and so every entity of one's own, is refused. Limits on size, depth and number. */

#include <stddef.h>

#include "agent/base/error.h"

#define XML_SIZE_MAX (8U * 1024U * 1024U)
#define XML_DEPTH_MAX 32U
#define XML_ELEMENTS_MAX 100000U

typedef struct XmlElement XmlElement;

struct XmlElement {
        char *name;
        char *text; /* its own character data, "" where there is none */
        XmlElement *parent, *first, *last, *next;
};

/* -EBADMSG with its sentence; -ENOMEM. */
int xml_parse(const char *text, size_t size, XmlElement **ret, Error *error);
XmlElement *xml_free(XmlElement *root);
DEFINE_CLEANUP(XmlElement *, xml_free)

/* PATH: names with "/" between them, below ELEMENT; the first match of each. NULL: there is none; ELEMENT may be NULL. */
const XmlElement *xml_find(const XmlElement *element, const char *path);

/* Parses an answer that is a list, the first of whose items is at PATH: RET_ARRAY has room for as many elements of
 * ELEMENT_SIZE bytes as there are items, zeroed, and RET_FIRST is the first of them, NULL where there is none. The items' texts
 * live as long as RET_ROOT. As xml_parse(). */
int xml_parse_list(const char *text, size_t size, const char *path, size_t element_size,
                   XmlElement **ret_root, void **ret_array, const XmlElement **ret_first, Error *error);

/* The text of that; NULL: there is none. */
const char *xml_text(const XmlElement *element, const char *path);

/* The next sibling of the same name: for (e = xml_find(root, "Contents"); e; e = xml_next(e)) */
const XmlElement *xml_next(const XmlElement *element);
