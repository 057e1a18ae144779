#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read can be written, and is then read as the same value: durations to the millisecond, times to the second. */
static void check_round_trips(const char *text) {
        char written[DURATION_TEXT_MAX + TIME_TEXT_MAX];
        uint64_t value, again;

        if (parse_duration(text, &value) == 0) {
                format_duration(value, written);
                if (parse_duration(written, &again) < 0 || again != value)
                        abort();
        }
        if (parse_time(text, &value) == 0) {
                format_time(value, written);
                if (parse_time(written, &again) < 0 || again != value / USEC_PER_SEC * USEC_PER_SEC)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        uint64_t value;
        bool truth;

        if (!text)
                return 0;
        check_round_trips(text);
        (void) parse_u64(text, &value);
        (void) parse_size(text, &value);
        (void) parse_boolean(text, &truth);
        if (name_is_valid(text) && (!version_is_valid(text) || strchr(text, '/')))
                abort();
        utf8_make_printable(text, strlen(text));
        if (!utf8_is_valid(text))
                abort();
        return 0;
}
