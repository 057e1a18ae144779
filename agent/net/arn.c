#include <string.h>

#include "agent/net/arn.h"
#include "agent/net/endpoint.h"

/* Moves *TEXT behind the next ":"; an empty part only where it may be. */
static bool take_part(const char **text, bool may_be_empty, char ret[static ARN_PART_MAX]) {
        size_t n = strcspn(*text, ":");

        if ((*text)[n] != ':' || n >= ARN_PART_MAX || (n == 0 && !may_be_empty))
                return false;
        memcpy(ret, *text, n);
        ret[n] = '\0';
        *text += n + 1;
        return true;
}

static bool is_plain(const char *text) {
        for (; *text; text++)
                if (*text <= ' ' || *text > '~')
                        return false;
        return true;
}

bool arn_parse(const char *text, Arn *ret) {
        char word[ARN_PART_MAX];
        Arn arn;

        if (!is_plain(text) || !take_part(&text, false, word) || strcmp(word, "arn") != 0 ||
            !take_part(&text, false, arn.partition) || !take_part(&text, false, arn.service) ||
            !take_part(&text, true, arn.region) || !take_part(&text, true, arn.account) || !*text)
                return false;
        if (arn.region[0] && !aws_region_is_valid(arn.region))
                return false;
        arn.resource = text;
        *ret = arn;
        return true;
}
