#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/net/http_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read as a time is written the same way again, but for the name of the day and leap seconds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        char again[64];
        uint64_t usec;
        struct tm tm;
        time_t t;

        if (!text || http_date_parse(text, &usec) < 0)
                return 0;
        t = (time_t) (usec / USEC_PER_SEC);
        strftime(again, sizeof(again), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        if (strcmp(text + 3, again + 3) != 0 && !strstr(text, ":60 GMT"))
                abort();
        return 0;
}
