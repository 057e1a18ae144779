#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/s3_list.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

typedef struct Listing {
        bool url_encoded; /* keys and prefixes are */
        Buffer key;
        S3Each each;
        void *userdata;
        Error *error;
} Listing;

static int bad(const Listing *listing, const char *what) {
        return error_set_fault(listing->error, -EBADMSG, FAULT_HOST, "a list of objects with a bad %s", what);
}

static int decode_key(Listing *listing, const char *text) {
        int r;

        if (!text || !*text)
                return bad(listing, "key");
        buffer_clear(&listing->key);
        if (listing->url_encoded)
                r = url_decode(&listing->key, text, strlen(text), true);
        else
                r = buffer_append(&listing->key, text, strlen(text), SIZE_MAX);
        if (r == -ENOMEM)
                return error_oom(listing->error);
        /* A zero byte in the middle would make another key of it. */
        if (r < 0 || strlen(buffer_string(&listing->key)) != listing->key.size)
                return bad(listing, "key");
        return 0;
}

static int take_object(Listing *listing, const XmlElement *contents) {
        const char *size = xml_text(contents, "Size"), *time = xml_text(contents, "LastModified");
        const char *etag = xml_text(contents, "ETag");
        S3Object object = { .etag = etag ? etag : "" };
        int r;

        r = decode_key(listing, xml_text(contents, "Key"));
        if (r < 0)
                return r;
        object.key = buffer_string(&listing->key);
        if (!size || parse_u64(size, &object.size) < 0)
                return bad(listing, "Size");
        if (!time || parse_time(time, &object.last_modified) < 0)
                return bad(listing, "LastModified");
        return listing->each(&object, listing->userdata);
}

static int take_prefix(Listing *listing, const XmlElement *prefixes) {
        S3Object object = { .etag = "", .is_prefix = true };
        int r;

        r = decode_key(listing, xml_text(prefixes, "Prefix"));
        if (r < 0)
                return r;
        object.key = buffer_string(&listing->key);
        return listing->each(&object, listing->userdata);
}

static int find_next(const Listing *listing, const XmlElement *root, char **ret) {
        const char *truncated = xml_text(root, "IsTruncated"),
                   *token = xml_text(root, "NextContinuationToken");

        if (!string_equal(truncated, "true")) {
                *ret = NULL;
                return 0;
        }
        if (!token || !*token)
                return bad(listing, "NextContinuationToken");
        *ret = strdup(token);
        return *ret ? 0 : error_oom(listing->error);
}

static int take_page(Listing *listing, const XmlElement *root, char **ret_next) {
        int r = 0;

        if (strcmp(root->name, "ListBucketResult") != 0)
                return error_set_fault(listing->error, -EBADMSG, FAULT_HOST,
                                       "a list of objects that is '%.64s', expected ListBucketResult",
                                       root->name);
        listing->url_encoded = string_equal(xml_text(root, "EncodingType"), "url");
        for (const XmlElement *e = xml_find(root, "Contents"); e && r >= 0; e = xml_next(e))
                r = take_object(listing, e);
        for (const XmlElement *e = xml_find(root, "CommonPrefixes"); e && r >= 0; e = xml_next(e))
                r = take_prefix(listing, e);
        return r < 0 ? r : find_next(listing, root, ret_next);
}

int s3_list_parse(const char *text, size_t size, S3Each each, void *userdata, char **ret_next, Error *error) {
        _cleanup_(xml_freep) XmlElement *root = NULL;
        Listing listing = { .each = each, .userdata = userdata, .error = error };
        int r;

        r = xml_parse(text, size, &root, error);
        if (r < 0) {
                error_prefix(error, "a list of objects");
                return r;
        }
        r = take_page(&listing, root, ret_next);
        buffer_deinit(&listing.key);
        return r;
}
