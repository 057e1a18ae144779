#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "tests/unit/stored-release.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DOCUMENT_MAX 4096

Release *test_store_release(const ReleaseStore *store, const char *version, const char *more) {
        char text[DOCUMENT_MAX], name[STORE_NAME_SIZE], envelope[STORE_ENVELOPE_NAME_SIZE];
        _cleanup_close_ int folder = -1;
        Release *release = NULL;

        snprintf(text, sizeof(text),
                 "{\"app\":\"api\",\"version\":\"%s\",\"created\":\"2026-01-01T00:00:00Z\",%s"
                 "\"artifacts\":{\"any\":{\"sha256\":\"" SHA
                 "\",\"size\":1,\"format\":\"tar\",\"unpacked_size\":1,"
                 "\"entries\":1,\"chunk_size\":65536,\"chunks\":[\"" SHA "\"]}}}",
                 version, more);
        assert_int_equal(release_parse(text, strlen(text), &release, NULL), 0);
        assert_int_equal(store_name(version, release->sha256, name), 0);
        assert_int_equal(mkdirat(store->releases_fd, name, 0755), 0);
        folder = test_open_release(store, release);
        assert_int_equal(file_replace_at(folder, "file", "x", 1, 0644), 0);
        store_envelope_name(name, envelope);
        assert_int_equal(file_replace_at(store->releases_fd, envelope, text, strlen(text), 0644), 0);
        return release;
}

int test_open_release(const ReleaseStore *store, const Release *release) {
        char name[STORE_NAME_SIZE];
        int fd;

        assert_int_equal(store_name(release->version, release->sha256, name), 0);
        fd = file_open_at(store->releases_fd, name, O_RDONLY | O_DIRECTORY, 0);
        assert_true(fd >= 0);
        return fd;
}

ReleaseRef test_release_ref(const Release *release) {
        ReleaseRef ref = { .version = release->version };

        memcpy(ref.sha256, release->sha256, sizeof(ref.sha256));
        return ref;
}
