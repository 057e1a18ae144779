#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/appspec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line that names the file. */
static void check_sentence(const char *text) {
        if (strncmp(text, "appspec.yml:", strlen("appspec.yml:")) != 0 || strchr(text, '\n'))
                abort();
}

/* What is accepted compiles into sections that a release may have; what is refused or passed over is told. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ReleaseChunk chunk = {};
        ReleaseArtifact artifact = { .platform = (char *) "any",
                                     .size = 1,
                                     .chunk_size = RELEASE_CHUNK_SIZE_MIN };
        _cleanup_appspec_ Appspec *appspec = NULL;
        _cleanup_release_ Release *release = NULL;
        _cleanup_free_ char *text = NULL;
        size_t text_size;
        Error error = {};

        if (appspec_parse("appspec.yml", data, size, &appspec, &error) < 0) {
                check_sentence(error.message);
                return 0;
        }
        STRV_FOREACH(warning, appspec->warnings)
                check_sentence(*warning);
        artifact.chunks.items = &chunk;
        artifact.chunks.n = 1;
        memset(artifact.sha256, '0', DIGEST_HEX_SIZE - 1);
        if (appspec_compile(appspec, "api", "1.0", 1000000, &release, &error) < 0 ||
            release_add_artifact(release, &artifact, &error) < 0 ||
            release_to_json(release, &text, &text_size, &error) < 0)
                abort();
        return 0;
}
