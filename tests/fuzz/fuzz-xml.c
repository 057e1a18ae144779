#include <stdlib.h>
#include <string.h>

#include "agent/net/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count(const XmlElement *root) {
        const XmlElement *e = root;
        unsigned n = 0;

        while (e) {
                n++;
                if (!e->name[0] || (e->first && e->text[0]))
                        abort();
                if (e->first) {
                        e = e->first;
                        continue;
                }
                while (e && !e->next)
                        e = e->parent;
                e = e ? e->next : NULL;
        }
        return n;
}

/* What is refused is refused with one line; what is not is a tree within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(xml_freep) XmlElement *root = NULL;
        Error error = {};

        if (xml_parse((const char *) data, size, &root, &error) < 0) {
                if (root || !error.message[0] || strchr(error.message, '\n'))
                        abort();
                return 0;
        }
        if (count(root) > XML_ELEMENTS_MAX)
                abort();
        for (const XmlElement *e = xml_find(root, "b"); e; e = xml_next(e))
                if (strcmp(e->name, "b") != 0)
                        abort();
        return 0;
}
