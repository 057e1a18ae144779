#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/rollout_marks.h"

static const char *const names[] = { "up", "good", "failed", "void", "out", "sick", "down", "back" };
_Static_assert(ELEMENTSOF(names) == MARK_KINDS, "each kind has a name");

const char *mark_to_string(MarkKind kind) {
        return kind < MARK_KINDS ? names[kind] : "none";
}

int mark_from_string(const char *text, MarkKind *ret) {
        for (MarkKind kind = 0; kind <= MARK_KINDS; kind++)
                if (strcmp(mark_to_string(kind), text) == 0) {
                        *ret = kind;
                        return 0;
                }
        return -EINVAL;
}

#define BIT(kind) (1U << (kind))

void mark_folder(MarkKind kind, unsigned attempt, char ret[static MARK_FOLDER_MAX]) {
        (void) snprintf(ret, MARK_FOLDER_MAX, "%s-%u", names[kind], attempt);
}

/* One notation for each mark: no leading zeros, so that two keys cannot be the same mark. */
int mark_folder_parse(const char *text, MarkKind *ret_kind, unsigned *ret_attempt) {
        for (MarkKind kind = 0; kind < MARK_KINDS; kind++) {
                size_t n = strlen(names[kind]);
                uint64_t attempt;

                if (strncmp(text, names[kind], n) != 0 || text[n] != '-')
                        continue;
                if (text[n + 1] == '0' || parse_u64(text + n + 1, &attempt) < 0 ||
                    attempt > MARK_ATTEMPTS_MAX)
                        return -EINVAL;
                *ret_kind = kind;
                *ret_attempt = (unsigned) attempt;
                return 0;
        }
        return -EINVAL;
}

void rollout_marks_deinit(RolloutMarks *marks) {
        for (size_t i = 0; i < marks->n; i++)
                free(marks->items[i].instance);
        free(marks->items);
        *marks = (RolloutMarks){};
}

static int add(RolloutMarks *marks, const InstanceMarks *what) {
        InstanceMarks item = *what;

        if (marks->n == marks->allocated) {
                size_t allocated = MAX(2 * marks->allocated, (size_t) 16);
                InstanceMarks *items = reallocarray(marks->items, allocated, sizeof(*items));

                if (!items)
                        return -ENOMEM;
                marks->items = items;
                marks->allocated = allocated;
        }
        item.instance = strdup(what->instance);
        if (!item.instance)
                return -ENOMEM;
        marks->items[marks->n++] = item;
        return 0;
}

int rollout_marks_add(RolloutMarks *marks, const char *instance, MarkKind kind, unsigned attempt) {
        return add(marks, &(InstanceMarks){ .instance = (char *) instance,
                                            .failed = kind == MARK_FAILED || kind == MARK_SICK,
                                            .attempt = attempt,
                                            .kinds = BIT(kind) });
}

int rollout_marks_add_live(RolloutMarks *marks, const char *instance) {
        return add(marks, &(InstanceMarks){ .instance = (char *) instance, .live = true });
}

/* What a key below PREFIX says: "<kind>-<attempt>/<instance>.json". */
static int add_key(RolloutMarks *marks, const char *prefix, const char *key) {
        char folder[LAYOUT_KEY_MAX], instance[LAYOUT_KEY_MAX];
        const char *slash;
        MarkKind kind;
        unsigned attempt;

        if (!string_starts_with(key, prefix))
                return 0;
        key += strlen(prefix);
        slash = strchr(key, '/');
        if (!slash || slash - key >= MARK_FOLDER_MAX)
                return 0;
        (void) snprintf(folder, sizeof(folder), "%.*s", (int) (slash - key), key);
        if (mark_folder_parse(folder, &kind, &attempt) < 0 ||
            layout_document_name(slash + 1, "", instance) < 0 || !layout_instance_is_valid(instance))
                return 0;
        return rollout_marks_add(marks, instance, kind, attempt);
}

int rollout_marks_add_list(RolloutMarks *marks, const char *prefix, const DepotEntry *entries, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (add_key(marks, prefix, entries[i].key) < 0)
                        return -ENOMEM;
        return 0;
}

int rollout_marks_add_reports(RolloutMarks *marks, const char *prefix, const DepotEntry *entries, size_t n,
                              uint64_t since) {
        char instance[LAYOUT_KEY_MAX];

        for (size_t i = 0; i < n; i++)
                if (entries[i].modified >= since &&
                    layout_document_name(entries[i].key, prefix, instance) >= 0 &&
                    layout_instance_is_valid(instance) && rollout_marks_add_live(marks, instance) < 0)
                        return -ENOMEM;
        return 0;
}

static int compare(const void *a, const void *b) {
        return strcmp(((const InstanceMarks *) a)->instance, ((const InstanceMarks *) b)->instance);
}

static void merge(InstanceMarks *to, const InstanceMarks *from) {
        to->live = to->live || from->live;
        to->failed = to->failed || from->failed;
        if (from->attempt > to->attempt)
                to->kinds = 0;
        if (from->attempt >= to->attempt)
                to->kinds |= from->kinds;
        to->attempt = MAX(to->attempt, from->attempt);
}

void rollout_marks_settle(RolloutMarks *marks) {
        size_t n = 0;

        if (marks->n > 0)
                qsort(marks->items, marks->n, sizeof(*marks->items), compare);
        for (size_t i = 0; i < marks->n; i++)
                if (n > 0 && strcmp(marks->items[n - 1].instance, marks->items[i].instance) == 0) {
                        merge(marks->items + n - 1, marks->items + i);
                        free(marks->items[i].instance);
                } else
                        marks->items[n++] = marks->items[i];
        marks->n = n;
}

const InstanceMarks *rollout_marks_find(const RolloutMarks *marks, const char *instance) {
        InstanceMarks key = { .instance = (char *) instance };

        return marks->n > 0 ? bsearch(&key, marks->items, marks->n, sizeof(key), compare) : NULL;
}

/* Who has committed on a place that was lost asks for the way back without ever having been good. */
bool marks_run(const InstanceMarks *marks) {
        return (marks->kinds & (BIT(MARK_GOOD) | BIT(MARK_DOWN))) && !(marks->kinds & BIT(MARK_BACK));
}

bool marks_are_healthy(const InstanceMarks *marks) {
        return (marks->kinds & ~BIT(MARK_UP)) == BIT(MARK_GOOD);
}

bool marks_want_up(const InstanceMarks *marks) {
        return marks->kinds == BIT(MARK_UP) && !marks->failed;
}

bool marks_want_down(const InstanceMarks *marks) {
        return (marks->kinds & BIT(MARK_DOWN)) && !(marks->kinds & BIT(MARK_BACK));
}

bool marks_have_ended(const InstanceMarks *marks, unsigned attempt, bool down) {
        if (marks->attempt != attempt)
                return marks->attempt > attempt;
        return marks->kinds & (down ? BIT(MARK_BACK) : ~BIT(MARK_UP));
}

bool marks_are_needed(const InstanceMarks *marks) {
        return !marks->failed && !(marks->kinds & BIT(MARK_OUT));
}
