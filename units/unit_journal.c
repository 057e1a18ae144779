#include <stdbool.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "agent/base/cleanup.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"
#include "units/unit_journal.h"

#define LINE_MAX_SIZE 512U

static int add_match(sd_journal *journal, const char *field, const char *value) {
        _cleanup_free_ char *match = NULL;

        if (asprintf(&match, "%s=%s", field, value) < 0)
                return -ENOMEM;
        return sd_journal_add_match(journal, match, 0);
}

/* Everything of the unit's own processes, or said on it by PID 1: matches on one field are alternatives, on several they
 * all must hold, and a disjunction separates the two groups. */
static int add_matches(sd_journal *journal, const char *unit) {
        int r;

        r = add_match(journal, "_SYSTEMD_UNIT", unit);
        if (r >= 0)
                r = sd_journal_add_disjunction(journal);
        if (r >= 0)
                r = add_match(journal, "_PID", "1");
        return r < 0 ? r : add_match(journal, "UNIT", unit);
}

/* The value of FIELD as printable text; new memory, NULL if the entry has none. */
static int read_field(sd_journal *journal, const char *field, char **ret) {
        size_t size, skip = strlen(field) + 1;
        const void *data;
        char *text;
        int r;

        *ret = NULL;
        r = sd_journal_get_data(journal, field, &data, &size);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        size = size < skip ? 0 : MIN(size - skip, (size_t) LINE_MAX_SIZE);
        text = strndup((const char *) data + skip, size);
        if (!text)
                return -ENOMEM;
        utf8_make_printable(text, strlen(text));
        for (char *p = text; (p = strchr(p, '\n'));)
                *p = ' ';
        *ret = text;
        return 0;
}

/* With a blank behind it; "" if it is not known. */
static void read_time(sd_journal *journal, char ret[static TIME_TEXT_MAX + 1]) {
        char text[TIME_TEXT_MAX];
        uint64_t at;

        if (sd_journal_get_realtime_usec(journal, &at) < 0)
                return;
        format_time(at, text);
        (void) snprintf(ret, TIME_TEXT_MAX + 1, "%s ", text);
}

/* Puts the entry's line before the others. */
static int add_entry(sd_journal *journal, const UnitJournalSpec *spec, UnitJournal *to, size_t *size) {
        _cleanup_free_ char *message = NULL, *program = NULL, *about = NULL, *text = NULL;
        char time[TIME_TEXT_MAX + 1] = "";
        int n, r;

        r = read_field(journal, "MESSAGE", &message);
        if (r >= 0)
                r = read_field(journal, "SYSLOG_IDENTIFIER", &program);
        if (r >= 0)
                r = read_field(journal, "UNIT", &about); /* set in what PID 1 says on a unit */
        if (r < 0 || !message)
                return r;
        if (spec->times)
                read_time(journal, time);
        n = asprintf(&text, "%s%s: %s\n%s", time, program ? program : "-", message, to->text);
        if (n < 0)
                return -ENOMEM;
        *size = (size_t) n;
        if (*size > spec->size)
                return 0;
        free(to->text);
        to->text = TAKE_PTR(text);
        if (!to->last_line && !about)
                to->last_line = TAKE_PTR(message);
        return 0;
}

/* The newest entry of all is of this boot. The kernel's boot id does not tell: a service in a container may see the
 * machine's, which is not what the container's journal has. */
static int find_boot(sd_journal *journal, sd_id128_t *ret) {
        uint64_t at;
        int r;

        r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous(journal);
        if (r <= 0)
                return r;
        r = sd_journal_get_monotonic_usec(journal, &at, ret);
        return r < 0 ? r : 1;
}

/* Goes to the entry before; 0 if there is none, or it is too old. */
static int previous_entry(sd_journal *journal, sd_id128_t boot, uint64_t since) {
        sd_id128_t of;
        uint64_t at;
        int r;

        r = sd_journal_previous(journal);
        if (r <= 0)
                return r;
        r = sd_journal_get_monotonic_usec(journal, &at, &of);
        return r < 0 ? r : sd_id128_equal(of, boot) && at >= since;
}

static int read_entries(sd_journal *journal, const UnitJournalSpec *spec, UnitJournal *lines) {
        sd_id128_t boot;
        size_t size = 0;
        int r;

        r = find_boot(journal, &boot);
        if (r <= 0)
                return r;
        r = add_matches(journal, spec->unit);
        if (r >= 0)
                r = sd_journal_seek_tail(journal);
        for (unsigned i = 0; r >= 0 && i < spec->lines && size <= spec->size; i++) {
                r = previous_entry(journal, boot, spec->since);
                if (r <= 0)
                        break;
                r = add_entry(journal, spec, lines, &size);
        }
        return r;
}

int unit_journal_read(const char *unit, uint64_t since, UnitJournal *ret, Error *error) {
        const UnitJournalSpec spec = {
                .unit = unit,
                .since = since,
                .lines = UNIT_JOURNAL_LINES_MAX,
                .size = UNIT_JOURNAL_SIZE_MAX,
        };

        return unit_journal_read_spec(&spec, ret, error);
}

int unit_journal_read_spec(const UnitJournalSpec *spec, UnitJournal *ret, Error *error) {
        _cleanup_(sd_journal_closep) sd_journal *journal = NULL;
        _cleanup_(unit_journal_deinit) UnitJournal lines = {};
        int r;

        lines.text = strdup("");
        if (!lines.text)
                return error_oom(error);
        r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r >= 0)
                r = read_entries(journal, spec, &lines);
        if (r < 0)
                return error_set_errno(error, r, "cannot read the journal of %s", spec->unit);
        *ret = lines;
        lines = (UnitJournal){};
        return 0;
}

void unit_journal_deinit(UnitJournal *journal) {
        free(journal->text);
        free(journal->last_line);
        *journal = (UnitJournal){};
}
