#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/migrate_view.h"

static const char *text_of(const json_t *object, const char *name) {
        return json_string_value(json_object_get(object, name));
}

static void heading(FILE *stream, const Style *style, const char *text) {
        fprintf(stream, "%s%s%s\n", style->strong, text, style->off);
}

static void view_agent(const json_t *plan, FILE *stream) {
        const json_t *agent = json_object_get(plan, "agent");

        fprintf(stream, "  deploys to   %s\n", text_of(plan, "root_dir"));
        if (!json_is_object(agent))
                fprintf(stream, "  service      systemd has no unit of it\n");
        else
                fprintf(stream, "  service      %s, %s, %s\n", text_of(agent, "service"),
                        json_is_true(json_object_get(agent, "active")) ? "active" : "not active",
                        json_is_true(json_object_get(agent, "enabled")) ? "enabled" : "not enabled");
        if (json_is_true(json_object_get(plan, "on_premises")))
                fprintf(stream, "  on premises  this machine is registered by name, not by EC2\n");
}

static void view_group(const json_t *group, FILE *stream, const Style *style) {
        const char *deployment = text_of(group, "last_successful"), *problem = text_of(group, "problem");

        fprintf(stream, "  %s\n", text_of(group, "id"));
        if (deployment)
                fprintf(stream, "    installed  %s, %lld files and folders\n", deployment,
                        (long long) json_integer_value(json_object_get(group, "installed")));
        if (problem)
                fprintf(stream, "    %scannot be taken over: %s%s\n", style->bad, problem, style->off);
}

static void view_setting(const json_t *setting, FILE *stream) {
        const char *line = text_of(setting, "write"), *counterpart = text_of(setting, "counterpart");

        fprintf(stream, "  %s = %s\n", text_of(setting, "name"), text_of(setting, "value"));
        if (line)
                fprintf(stream, "    write  %s\n", line);
        else
                fprintf(stream, "    %-9s %s\n", text_of(setting, "fate"),
                        counterpart ?: "CodeDeploy's agent does not know this key either");
}

static void view_settings(const json_t *settings, bool verbose, FILE *stream, const Style *style) {
        const json_t *setting;
        bool any = false;
        size_t i;

        json_array_foreach(settings, i, setting) {
                if (!verbose && json_is_true(json_object_get(setting, "default")))
                        continue;
                if (!any)
                        heading(stream, style, "\nIts settings, where they are not the usual ones");
                any = true;
                view_setting(setting, stream);
        }
}

static void view_release(const json_t *release, FILE *stream, const Style *style) {
        const char *app = text_of(release, "app"), *problem = text_of(release, "problem");

        heading(stream, style, "\nWhat would be taken over");
        if (!json_is_object(release)) {
                fprintf(stream, "  nothing, unless --deployment-group names one that can be\n");
                return;
        }
        fprintf(stream, "  %s becomes release %s of %s%s%s\n", text_of(release, "deployment"),
                text_of(release, "version"), app ? "app " : "the app that --app names", app ?: "",
                problem ? ", but:" : "");
        if (problem) {
                fprintf(stream, "  %s%s%s\n", style->bad, problem, style->off);
                return;
        }
        fprintf(stream,
                "  %lld files and folders that it installed count as muster's: the next release removes those that it\n"
                "  does not have. Nothing of the app is stopped, started or written.\n",
                (long long) json_integer_value(json_object_get(release, "installed")));
}

void migrate_view(const json_t *plan, bool verbose, FILE *stream, const Style *style) {
        const json_t *groups = json_object_get(plan, "groups"), *warnings = json_object_get(plan, "warnings");
        const json_t *item;
        size_t i;

        heading(stream, style, "CodeDeploy's agent");
        view_agent(plan, stream);
        heading(stream, style, "\nDeployment groups");
        if (json_array_size(groups) == 0)
                fprintf(stream, "  nothing was ever deployed here\n");
        json_array_foreach(groups, i, item)
                view_group(item, stream, style);
        view_settings(json_object_get(plan, "settings"), verbose, stream, style);
        view_release(json_object_get(plan, "release"), stream, style);
        json_array_foreach(warnings, i, item)
                fprintf(stream, "%s%swarning: %s%s\n", i == 0 ? "\n" : "", style->strong,
                        json_string_value(item), style->off);
}
