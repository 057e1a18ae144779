#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/failure.h"
#include "agent/redact.h"
#include "artifacts/json.h"

static int redact_string(json_t *string, _unused_ const char *key) {
        _cleanup_free_ char *text = redact(json_string_value(string));

        return text && json_string_set(string, text) == 0 ? 0 : -ENOMEM;
}

/* What was printed last says most. */
static void keep_last_output(json_t *deployment, size_t budget) {
        json_t *steps = json_object_get(deployment, "steps");

        for (size_t i = json_array_size(steps); i-- > 0;) {
                json_t *step = json_array_get(steps, i);
                size_t n = json_string_length(json_object_get(step, "output_tail"));

                if (n > budget)
                        (void) json_object_del(step, "output_tail");
                else
                        budget -= n;
        }
}

/* The last LIMIT bytes of TEXT, from the beginning of a line, as an array of lines. */
static json_t *last_lines(const char *text, size_t limit) {
        size_t size = strlen(text);
        const char *p = size > limit ? strchr(text + size - limit, '\n') : text;
        json_t *lines = json_array();

        for (p = p && size > limit ? p + 1 : p; p && *p;) {
                size_t n = strcspn(p, "\n");

                (void) json_array_append_new(lines, json_stringn(p, n));
                p += n + (p[n] == '\n');
        }
        return lines;
}

static int make(const FailureFacts *facts, size_t output, size_t journal, char **ret) {
        json_auto_t *document = NULL;
        json_t *deployment = facts->deployment ? json_deep_copy(facts->deployment) : json_null();
        char at[TIME_TEXT_MAX];

        format_time(facts->at, at);
        if (deployment)
                keep_last_output(deployment, facts->with_output ? output : 0);
        document = json_pack("{s:i, s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:o, s:o}",
                             "schema", FAILURE_SCHEMA, "instance", facts->instance, "app", facts->app,
                             "group", facts->group, "auto_scaling_group", facts->scaling_group,
                             "agent_version", MUSTER_VERSION, "at", at, "version", facts->version,
                             "release_sha256", facts->release_sha256, "step", facts->step, "fault",
                             facts->fault, "reason", facts->reason, "deployment", deployment, "journal",
                             facts->journal ? last_lines(facts->journal, journal) : json_null());
        if (!document || json_change_strings(document, redact_string) < 0)
                return -ENOMEM;
        *ret = json_dumps(document, JSON_INDENT(1) | JSON_SORT_KEYS);
        return *ret ? 0 : -ENOMEM;
}

int failure_to_text(const FailureFacts *facts, char **ret) {
        for (size_t part = 1; part <= 16; part *= 4) {
                _cleanup_free_ char *text = NULL;
                int r = make(facts, FAILURE_TAILS_MAX / part, FAILURE_JOURNAL_MAX / part, &text);

                if (r < 0)
                        return r;
                if (strlen(text) <= FAILURE_SIZE_MAX) {
                        *ret = TAKE_PTR(text);
                        return 0;
                }
        }
        return -E2BIG;
}
