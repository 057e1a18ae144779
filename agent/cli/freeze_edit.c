#include <stdlib.h>

#include "agent/base/parse.h"
#include "agent/cli/freeze_edit.h"

static json_t *freeze_to_json(const TargetFreeze *freeze, const char *state) {
        char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX];

        format_time(freeze->from, from);
        format_time(freeze->until, until);
        return json_pack("{s:s, s:s, s:s*, s:s*}", "from", from, "until", until, "reason", freeze->reason,
                         "state", state);
}

json_t *freeze_edit(const Target *target, uint64_t now, const TargetFreeze *added, uint64_t without) {
        json_auto_t *list = json_array();

        for (size_t i = 0; i < target->freeze.n; i++) {
                const TargetFreeze *freeze = &target->freeze.items[i];

                if (freeze->until <= now || (without > 0 && freeze->from == without))
                        continue;
                if (json_array_append_new(list, freeze_to_json(freeze, NULL)) < 0)
                        return NULL;
        }
        if (added && json_array_append_new(list, freeze_to_json(added, NULL)) < 0)
                return NULL;
        return TAKE_PTR(list);
}

static int compare(const void *a, const void *b) {
        const TargetFreeze *const *x = a, *const *y = b;

        return ((*x)->from > (*y)->from) - ((*x)->from < (*y)->from);
}

static const char *state_of(const TargetFreeze *freeze, uint64_t now) {
        if (freeze->until <= now)
                return "past";
        return freeze->from <= now ? "holds" : "comes";
}

json_t *freeze_list(const Target *target, uint64_t now) {
        _cleanup_free_ const TargetFreeze **sorted =
                calloc(target->freeze.n + 1, sizeof(const TargetFreeze *));
        json_auto_t *list = json_array();

        if (!sorted)
                return NULL;
        for (size_t i = 0; i < target->freeze.n; i++)
                sorted[i] = &target->freeze.items[i];
        qsort(sorted, target->freeze.n, sizeof(const TargetFreeze *), compare);
        for (size_t i = 0; i < target->freeze.n; i++)
                if (json_array_append_new(list, freeze_to_json(sorted[i], state_of(sorted[i], now))) < 0)
                        return NULL;
        return TAKE_PTR(list);
}
