#pragma once

/* How the agent of AWS CodeDeploy is configured on a machine: /etc/codedeploy-agent/conf/codedeployagent.yml and, where the
 * machine is none of EC2's, codedeploy.onpremises.yml beside it. Both are one mapping of scalars, whose keys may be written
 * as Ruby's symbols (":root_dir:"). What each key means for muster is a table, which `muster migrate` prints from and
 * muster-codedeploy(7) is held against. Pure: bytes in, values out. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"

#define CODEDEPLOY_CONFIG_PATH "/etc/codedeploy-agent/conf/codedeployagent.yml"
#define CODEDEPLOY_ON_PREMISES_PATH "/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"
#define CODEDEPLOY_ROOT_DIR "/opt/codedeploy-agent/deployment-root"

#define CODEDEPLOY_CONFIG_SIZE_MAX (64U * 1024U)

typedef enum CodedeployFile {
        CODEDEPLOY_AGENT_FILE,       /* codedeployagent.yml */
        CODEDEPLOY_ON_PREMISES_FILE, /* codedeploy.onpremises.yml */
} CodedeployFile;

/* What becomes of a setting. */
typedef enum CodedeployFate {
        CODEDEPLOY_CARRIED,   /* `counterpart` takes its value, perhaps in another notation */
        CODEDEPLOY_ELSEWHERE, /* `counterpart` says where the same thing is said */
        CODEDEPLOY_NEEDLESS,  /* muster has no need of it; `counterpart` says why */
        CODEDEPLOY_MISSING,   /* muster cannot do this; `counterpart` says what to do instead */
} CodedeployFate;

/* A key that CodeDeploy's agent knows. */
typedef struct CodedeployKey {
        const char *name;
        CodedeployFile file;
        CodedeployFate fate;
        bool is_secret;          /* its value is shown to nobody */
        const char *initial;     /* what is passed over in silence: the agent's own default, or NULL */
        const char *counterpart; /* one clause without a full stop */
} CodedeployKey;

extern const CodedeployKey codedeploy_keys[];
extern const size_t codedeploy_n_keys;

/* NULL for a key that CodeDeploy's agent does not know either. */
const CodedeployKey *codedeploy_key_find(CodedeployFile file, const char *name);

/* "carried", "elsewhere", "needless", "missing" */
const char *codedeploy_fate_to_string(CodedeployFate fate);

typedef struct CodedeploySetting {
        char *name;               /* without the colon */
        char *value;              /* never NULL; "" for none */
        const CodedeployKey *key; /* NULL: unknown */
} CodedeploySetting;

typedef struct CodedeployConfig {
        CodedeploySetting *settings; /* sorted by name */
        size_t n;
} CodedeployConfig;

/* Wipes the values. */
void codedeploy_config_deinit(CodedeployConfig *config);

/* NAME is for messages. -EBADMSG with FAULT_INPUT for what CodeDeploy's agent could not read either: no YAML, no mapping,
 * nothing at all, a value that is a list or a mapping. */
int codedeploy_config_parse(const char *name, CodedeployFile file, const void *data, size_t size,
                            CodedeployConfig *ret, Error *error);

/* NULL where it is not set, or set to nothing. */
const char *codedeploy_config_get(const CodedeployConfig *config, const char *name);

/* How a value may be shown: "(not shown)" for a secret, a URL without the password in it. New memory, or NULL. */
char *codedeploy_setting_show(const CodedeploySetting *setting);
