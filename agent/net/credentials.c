#include <ctype.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/credentials.h"

#define FIELD_MAX 16384U
#define REFUSAL_MAX 320

static void wipe_string(char **s) {
        if (*s)
                OPENSSL_cleanse(*s, strlen(*s));
        free(*s);
        *s = NULL;
}

void credentials_deinit(Credentials *credentials) {
        wipe_string(&credentials->access_key_id);
        wipe_string(&credentials->secret_access_key);
        wipe_string(&credentials->session_token);
        *credentials = (Credentials){};
}

int credentials_copy(const Credentials *credentials, Credentials *ret) {
        Credentials copy = { .expiration = credentials->expiration };
        int r;

        r = string_set(&copy.access_key_id, credentials->access_key_id);
        if (r >= 0)
                r = string_set(&copy.secret_access_key, credentials->secret_access_key);
        if (r >= 0)
                r = string_set(&copy.session_token, credentials->session_token);
        if (r < 0) {
                credentials_deinit(&copy);
                return r;
        }
        *ret = copy;
        return 0;
}

bool credentials_is_text(const char *text) {
        size_t n = strlen(text);

        for (; *text; text++)
                if (!isgraph((unsigned char) *text))
                        return false;
        return n > 0 && n <= FIELD_MAX;
}

static const char *string_field(const json_t *object, const char *name) {
        const char *text = json_string_value(json_object_get(object, name));

        return text && credentials_is_text(text) ? text : NULL;
}

/* In one line, whatever the service says. */
static int refused(const char *code, const char *message, Error *error) {
        char text[REFUSAL_MAX];

        snprintf(text, sizeof(text), "%.64s: %s", code, message ? message : "no reason given");
        for (char *c = text; *c; c++)
                if (iscntrl((unsigned char) *c))
                        *c = ' ';
        return error_set_fault(error, -EBADMSG, FAULT_HOST, "credentials refused: %s", text);
}

static int parse_object(const json_t *object, Credentials *ret, Error *error) {
        const char *id = string_field(object, "AccessKeyId"),
                   *secret = string_field(object, "SecretAccessKey");
        const char *token = string_field(object, "Token"), *expiration = string_field(object, "Expiration");
        const char *code = json_string_value(json_object_get(object, "Code"));
        const char *message = json_string_value(json_object_get(object, "Message"));
        Credentials credentials = {
                .access_key_id = (char *) id,
                .secret_access_key = (char *) secret,
                .session_token = (char *) token,
                .expiration = USEC_INFINITY,
        };

        if (code && strcmp(code, "Success") != 0)
                return refused(code, message, error);
        if (!id || !secret || !token)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "credentials without AccessKeyId, SecretAccessKey or Token");
        if (expiration && parse_time(expiration, &credentials.expiration) < 0)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "credentials with a bad Expiration");
        return credentials_copy(&credentials, ret) < 0 ? error_oom(error) : 0;
}

static int parse_process_object(const json_t *object, Credentials *ret, Error *error) {
        const char *id = string_field(object, "AccessKeyId"),
                   *secret = string_field(object, "SecretAccessKey");
        const json_t *token = json_object_get(object, "SessionToken");
        const char *expiration = string_field(object, "Expiration");
        Credentials credentials = {
                .access_key_id = (char *) id,
                .secret_access_key = (char *) secret,
                .session_token = (char *) string_field(object, "SessionToken"),
                .expiration = USEC_INFINITY,
        };

        if (json_integer_value(json_object_get(object, "Version")) != 1)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "credentials whose Version is not 1");
        if (!id || !secret || (token && !json_is_null(token) && !credentials.session_token))
                return error_set_fault(
                        error, -EBADMSG, FAULT_HOST,
                        "credentials without AccessKeyId or SecretAccessKey, or with a bad SessionToken");
        if (expiration && parse_time(expiration, &credentials.expiration) < 0)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "credentials with a bad Expiration");
        return credentials_copy(&credentials, ret) < 0 ? error_oom(error) : 0;
}

static int parse_text(const char *text, size_t size,
                      int (*parse)(const json_t *object, Credentials *ret, Error *error), Credentials *ret,
                      Error *error) {
        static const char *const secrets[] = { "AccessKeyId", "SecretAccessKey", "Token", "SessionToken" };
        json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        int r;

        if (!json_is_object(object)) {
                json_decref(object);
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "credentials that are no JSON object");
        }
        r = parse(object, ret, error);
        for (size_t i = 0; i < ELEMENTSOF(secrets); i++) {
                json_t *field = json_object_get(object, secrets[i]);

                if (json_is_string(field))
                        OPENSSL_cleanse((char *) json_string_value(field), json_string_length(field));
        }
        json_decref(object);
        return r;
}

int credentials_parse_json(const char *text, size_t size, Credentials *ret, Error *error) {
        return parse_text(text, size, parse_object, ret, error);
}

int credentials_parse_process(const char *text, size_t size, Credentials *ret, Error *error) {
        return parse_text(text, size, parse_process_object, ret, error);
}
