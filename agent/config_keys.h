#pragma once

/* The keys of muster.conf, one row each in the order in which the manual lists them: what a value must be, where it goes, and
 * what it is for. Another key is another row. */

#include "agent/config.h"

typedef enum ConfigType {
        CONFIG_STRING,
        CONFIG_FILE,
        CONFIG_URL,
        CONFIG_SECRET_URL, /* never in a message */
        CONFIG_NAME,
        CONFIG_DURATION,
        CONFIG_BOOLEAN,
        CONFIG_CHOICE,
        CONFIG_NUMBER,
        CONFIG_SIZE,
} ConfigType;

typedef struct ConfigKey {
        const char *section; /* "app" stands for every [app NAME] */
        const char *name;
        const char *default_text; /* NULL: unset */
        const char *expected;     /* for messages: "a duration such as 60s" */
        const char *help;
        ConfigType type;
        size_t offset; /* in Config, or in AppConfig */
        /* CONFIG_CHOICE: the enum's values in order, NULL-terminated; CONFIG_NUMBER and CONFIG_SIZE: the word for
         * UINT64_MAX, if there is one. */
        const char *const *choices;
} ConfigKey;

/* NULL: there is no such key. */
const ConfigKey *config_key_find(const char *section, const char *name);
bool config_section_exists(const char *section);

/* Sets the field of OBJECT, a Config or an AppConfig. -EINVAL for a value of the wrong type. An empty value unsets. */
int config_key_set(const ConfigKey *key, void *object, const char *value);

/* Of all keys of an AppConfig, or else of a Config. */
int config_keys_set_defaults(void *object, bool app);
void config_keys_free_strings(void *object, bool app);
