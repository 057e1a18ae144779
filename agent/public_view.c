#include <errno.h>
#include <string.h>

#include "agent/public_view.h"
#include "hooks/output.h"

/* Reasons quote it at their end. */
size_t public_view_length(const char *reason) {
        const char *quote = strstr(reason, OUTPUT_QUOTE);

        return quote ? (size_t) (quote - reason) : strlen(reason);
}

static int cut(json_t *text) {
        const char *value = json_string_value(text);
        size_t length = public_view_length(value);

        return value[length] && json_string_setn(text, value, length) < 0 ? -ENOMEM : 0;
}

static int view_object(json_t *object) {
        const char *key;
        json_t *value;
        int r = 0;

        (void) json_object_del(object, "output_tail");
        json_object_foreach(object, key, value)
                if (r >= 0)
                        r = public_view_make(value);
        return r;
}

static int view_array(json_t *array) {
        json_t *value;
        size_t i;
        int r = 0;

        json_array_foreach(array, i, value)
                if (r >= 0)
                        r = public_view_make(value);
        return r;
}

int public_view_make(json_t *value) {
        if (json_is_string(value))
                return cut(value);
        if (json_is_object(value))
                return view_object(value);
        return json_is_array(value) ? view_array(value) : 0;
}
