#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/gc_plan.h"

/* Needs */

static void names_deinit(GcNames *names) {
        for (size_t i = 0; i < names->n; i++) {
                free(names->items[i].app);
                free(names->items[i].name);
        }
        free(names->items);
}

void gc_needs_deinit(GcNeeds *needs) {
        for (size_t i = 0; i < needs->n_groups; i++) {
                free(needs->groups[i].app);
                free(needs->groups[i].group);
                free(needs->groups[i].rollout);
        }
        free(needs->groups);
        names_deinit(&needs->releases);
        names_deinit(&needs->artifacts);
        names_deinit(&needs->unsure);
        *needs = (GcNeeds){};
}

/* Room for one more of SIZE bytes. NULL: out of memory. */
static void *grow(void *items, size_t n, size_t *allocated, size_t size) {
        size_t room = MAX(2 * *allocated, (size_t) 16);
        void *grown;

        if (n < *allocated)
                return items;
        grown = reallocarray(items, room, size);
        if (grown)
                *allocated = room;
        return grown;
}

int gc_needs_add_group(GcNeeds *needs, const char *app, const char *group, const char *rollout) {
        GcGroup *groups = grow(needs->groups, needs->n_groups, &needs->groups_allocated, sizeof(GcGroup)),
                *new;

        if (!groups)
                return -ENOMEM;
        needs->groups = groups;
        new = &groups[needs->n_groups++];
        *new = (GcGroup){ strdup(app), strdup(group), strdup(rollout) };
        return new->app &&new->group &&new->rollout ? 0 : -ENOMEM;
}

bool gc_names_have(const GcNames *names, const char *app, const char *name) {
        for (size_t i = 0; i < names->n; i++)
                if (strcmp(names->items[i].name, name) == 0 && strcmp(names->items[i].app, app) == 0)
                        return true;
        return false;
}

int gc_names_add(GcNames *names, const char *app, const char *name) {
        GcName *items;

        if (gc_names_have(names, app, name))
                return 0;
        items = grow(names->items, names->n, &names->allocated, sizeof(GcName));
        if (!items)
                return -ENOMEM;
        names->items = items;
        items[names->n] = (GcName){ strdup(app), strdup(name) };
        names->n++;
        return items[names->n - 1].app && items[names->n - 1].name ? 0 : -ENOMEM;
}

/* Judging */

static const GcGroup *find_group(const GcNeeds *needs, const LayoutKey *key) {
        for (size_t i = 0; i < needs->n_groups; i++)
                if (strcmp(needs->groups[i].group, key->group) == 0 &&
                    strcmp(needs->groups[i].app, key->app) == 0)
                        return &needs->groups[i];
        return NULL;
}

static bool app_is_known(const GcNeeds *needs, const char *app) {
        for (size_t i = 0; i < needs->n_groups && !needs->all_apps; i++)
                if (strcmp(needs->groups[i].app, app) == 0)
                        return true;
        return needs->all_apps;
}

static const char *judge_in_group(const GcNeeds *needs, const LayoutKey *key) {
        const GcGroup *group = find_group(needs, key);

        if (!group)
                return "its group has no target";
        switch (key->kind) {
        case LAYOUT_KIND_REGISTER:
        case LAYOUT_KIND_MARK:
                return strcmp(group->rollout, key->name) == 0 ? NULL : "its rollout is over";
        case LAYOUT_KIND_REPORT:
                return "its instance has been silent since";
        case LAYOUT_KIND_FAILURE:
                return "it is old";
        default:
                return NULL;
        }
}

const char *gc_judge(const GcNeeds *needs, const LayoutKey *key, const DepotEntry *entry) {
        if (entry->modified > needs->now || needs->now - entry->modified < MAX(needs->age, GC_AGE_MIN) ||
            !app_is_known(needs, key->app))
                return NULL;
        switch (key->kind) {
        case LAYOUT_KIND_FOREIGN:
        case LAYOUT_KIND_TARGET:
                return NULL;
        case LAYOUT_KIND_RELEASE:
                return gc_names_have(&needs->releases, key->app, key->name) ? NULL : "no target names it";
        case LAYOUT_KIND_ARTIFACT:
                return gc_names_have(&needs->unsure, key->app, "") ||
                                       gc_names_have(&needs->artifacts, key->app, key->name)
                               ? NULL
                               : "no release has it";
        default:
                return judge_in_group(needs, key);
        }
}

/* The plan */

void gc_plan_deinit(GcPlan *plan) {
        free(plan->victims);
        free(plan->lines);
        *plan = (GcPlan){};
}

/* One line for what only differs by the instance. */
static bool is_of_line(const GcLine *line, const LayoutKey *key) {
        bool by_group = key->kind == LAYOUT_KIND_REPORT || key->kind == LAYOUT_KIND_FAILURE;

        return line->key.kind == key->kind && strcmp(line->key.app, key->app) == 0 &&
               strcmp(line->key.group, key->group) == 0 &&
               (by_group || strcmp(line->key.name, key->name) == 0);
}

static int add_to_lines(GcPlan *plan, const LayoutKey *key, const DepotEntry *entry, const char *why) {
        GcLine *lines, *last = plan->n_lines > 0 ? &plan->lines[plan->n_lines - 1] : NULL;

        if (!last || !is_of_line(last, key)) {
                lines = grow(plan->lines, plan->n_lines, &plan->lines_allocated, sizeof(GcLine));
                if (!lines)
                        return -ENOMEM;
                plan->lines = lines;
                last = &lines[plan->n_lines++];
                *last = (GcLine){ .key = *key, .why = why };
        }
        last->n++;
        last->bytes += entry->size;
        last->newest = MAX(last->newest, entry->modified);
        plan->bytes += entry->size;
        return 0;
}

/* In which of three turns a kind goes: a release never is without its artifacts. */
static unsigned turn_of(LayoutKind kind) {
        return kind == LAYOUT_KIND_RELEASE ? 0 : kind == LAYOUT_KIND_ARTIFACT ? 1 : 2;
}

static int take_turn(const GcNeeds *needs, const DepotEntry *entries, size_t n, unsigned turn, GcPlan *plan) {
        for (size_t i = 0; i < n; i++) {
                LayoutKey key;
                const char *why;

                layout_parse(entries[i].key, &key);
                if (turn_of(key.kind) != turn)
                        continue;
                why = gc_judge(needs, &key, &entries[i]);
                plan->n_foreign += key.kind == LAYOUT_KIND_FOREIGN;
                plan->n_kept += !why && key.kind != LAYOUT_KIND_FOREIGN;
                if (!why)
                        continue;
                plan->victims[plan->n++] = &entries[i];
                if (add_to_lines(plan, &key, &entries[i], why) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int gc_plan_make(const GcNeeds *needs, const DepotEntry *entries, size_t n, GcPlan *ret) {
        _cleanup_gc_plan_ GcPlan plan = { .victims = calloc(n + 1, sizeof(const DepotEntry *)) };

        if (!plan.victims)
                return -ENOMEM;
        for (unsigned turn = 0; turn < 3; turn++)
                if (take_turn(needs, entries, n, turn, &plan) < 0)
                        return -ENOMEM;
        *ret = plan;
        plan = (GcPlan){};
        return 0;
}

/* The next one that a plan depends on, or NULL. */
static const DepotEntry *next_mark(const GcNeeds *needs, const DepotReply *list, size_t *i) {
        while (*i < list->n_entries) {
                const DepotEntry *entry = &list->entries[(*i)++];
                LayoutKey key;

                layout_parse(entry->key, &key);
                if (key.kind == LAYOUT_KIND_TARGET ||
                    (key.kind == LAYOUT_KIND_RELEASE && !gc_judge(needs, &key, entry)))
                        return entry;
        }
        return NULL;
}

bool gc_plan_holds(const GcNeeds *needs, const DepotReply *then, const DepotReply *now) {
        size_t i = 0, j = 0;

        for (;;) {
                const DepotEntry *a = next_mark(needs, then, &i), *b = next_mark(needs, now, &j);

                if (!a || !b)
                        return !a && !b;
                if (strcmp(a->key, b->key) != 0 || a->modified != b->modified ||
                    !string_equal(a->etag, b->etag))
                        return false;
        }
}
