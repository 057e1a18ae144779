#include <inttypes.h>
#include <string.h>

#include "artifacts/entry_name.h"
#include "artifacts/unpack_decoder.h"
#include "artifacts/unpack_input.h"
#include "artifacts/zip_layout.h"

#define ZIP_BLOCK_SIZE (256U << 10)
#define TAR_BLOCK 512U

/* What a tar may decompress to beyond its files: for each entry its headers, long names and padding; at its end the
 * padding of its last record (tar's --blocking-factor). */
#define TAR_PER_ENTRY (UINT64_C(16) << 10)
#define TAR_PER_ARCHIVE (UINT64_C(1) << 20)

struct UnpackInput {
        struct archive *archive;
        const UnpackSource *source;
        uint64_t size;      /* of the archive as it is */
        bool modes;         /* its entries have modes */
        int result;         /* what failed beneath libarchive, */
        Error error;        /* and why */
        uint64_t position;  /* zip: where libarchive reads */
        uint8_t *block;     /* zip: what it reads */
        UnpackDecoder *tar; /* tar: what it reads */
        uint64_t decoded;   /* tar: bytes so far, */
        uint64_t decoded_max;
        uint64_t zeros; /* and how many zero bytes stand at their end */
};

static la_ssize_t fail(UnpackInput *input, int r) {
        input->result = r;
        archive_set_error(input->archive, -r, "%s", input->error.message);
        return ARCHIVE_FATAL;
}

static void count_zeros(UnpackInput *input, const uint8_t *data, size_t size) {
        size_t n = size;

        while (n > 0 && data[n - 1] == 0)
                n--;
        input->zeros = n > 0 ? size - n : input->zeros + size;
}

static int next_decoded(UnpackInput *input, const void **ret, size_t *ret_size, Error *error) {
        int r = unpack_decoder_next(input->tar, ret, ret_size, error);

        if (r <= 0)
                return r;
        input->decoded += *ret_size;
        if (input->decoded > input->decoded_max)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "the archive decompresses to more than its entries account for");
        count_zeros(input, *ret, *ret_size);
        return 1;
}

static la_ssize_t read_tar(_unused_ struct archive *archive, void *userdata, const void **ret) {
        UnpackInput *input = userdata;
        size_t size = 0;
        int r = next_decoded(input, ret, &size, &input->error);

        return r < 0 ? fail(input, r) : (la_ssize_t) size;
}

static la_ssize_t read_zip(_unused_ struct archive *archive, void *userdata, const void **ret) {
        UnpackInput *input = userdata;
        uint64_t left = input->size - input->position;
        ssize_t n = 0;

        if (left > 0)
                n = input->source->read_at(input->source->userdata, input->block,
                                           (size_t) MIN(left, (uint64_t) ZIP_BLOCK_SIZE), input->position);
        if (n < 0)
                return fail(input, error_set_errno(&input->error, (int) n, "cannot read the archive"));
        if (n == 0 && left > 0)
                return fail(input, error_set_fault(&input->error, -EPIPE, FAULT_HOST,
                                                   "the archive is shorter than announced"));
        input->position += (uint64_t) n;
        *ret = input->block;
        return n;
}

static la_int64_t seek_zip(_unused_ struct archive *archive, void *userdata, la_int64_t offset, int whence) {
        UnpackInput *input = userdata;
        int64_t base = whence == SEEK_SET ? 0
                                          : (int64_t) (whence == SEEK_CUR ? input->position : input->size),
                to;

        if (__builtin_add_overflow(base, offset, &to) || to < 0 || (uint64_t) to > input->size)
                return ARCHIVE_FATAL;
        input->position = (uint64_t) to;
        return to;
}

static int open_tar(UnpackInput *input, const UnpackLimits *limits, Error *error) {
        int r;

        input->decoded_max = limits->unpacked_size + limits->entries * TAR_PER_ENTRY + TAR_PER_ARCHIVE;
        r = unpack_decoder_new(limits->format, input->source, limits->size, limits->decoder_memory_max,
                               &input->tar, error);
        if (r < 0)
                return r;
        input->modes = true;
        (void) archive_read_support_format_tar(input->archive);
        return 0;
}

static int open_zip(UnpackInput *input, const UnpackLimits *limits, Error *error) {
        int r;

        if (!input->source->read_at)
                return error_set_fault(error, -ESPIPE, FAULT_HOST,
                                       "a zip archive can only be read from a file");
        r = zip_layout_check(input->source, limits->size, limits->entries, &input->modes, error);
        if (r < 0)
                return r;
        input->block = malloc(ZIP_BLOCK_SIZE);
        if (!input->block)
                return error_oom(error);
        (void) archive_read_support_format_zip_seekable(input->archive);
        (void) archive_read_set_seek_callback(input->archive, seek_zip);
        return 0;
}

int unpack_input_open(const UnpackLimits *limits, const UnpackSource *source, UnpackInput **ret,
                      Error *error) {
        _cleanup_(unpack_input_freep) UnpackInput *input = calloc(1, sizeof(*input));
        bool seek = archive_format_needs_seek(limits->format);
        int r;

        if (!input)
                return error_oom(error);
        input->source = source;
        input->size = limits->size;
        input->archive = archive_read_new();
        if (!input->archive)
                return error_oom(error);
        r = seek ? open_zip(input, limits, error) : open_tar(input, limits, error);
        if (r < 0)
                return r;
        (void) archive_read_set_read_callback(input->archive, seek ? read_zip : read_tar);
        (void) archive_read_set_callback_data(input->archive, input);
        if (archive_read_open1(input->archive) != ARCHIVE_OK)
                return unpack_input_error(input, error);
        *ret = TAKE_PTR(input);
        return 0;
}

UnpackInput *unpack_input_free(UnpackInput *input) {
        if (!input)
                return NULL;
        if (input->archive)
                (void) archive_read_free(input->archive);
        unpack_decoder_free(input->tar);
        free(input->block);
        free(input);
        return NULL;
}

bool unpack_input_has_modes(const UnpackInput *input) {
        return input->modes;
}

struct archive *unpack_input_archive(UnpackInput *input) {
        return input->archive;
}

int unpack_input_error(const UnpackInput *input, Error *error) {
        const char *said = archive_error_string(input->archive);
        char reason[UNPACK_REASON_MAX];

        if (input->result < 0) {
                if (error)
                        *error = input->error;
                return input->result;
        }
        if (archive_errno(input->archive) == ENOMEM)
                return error_oom(error);
        (void) entry_text_clean(said ? said : "no reason given", reason, sizeof(reason));
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "the archive is damaged or malformed: %s",
                               reason);
}

/* libarchive ends at the two zero blocks that end a tar, or at the end of its input without a word. */
static int finish_tar(UnpackInput *input, Error *error) {
        uint64_t read = (uint64_t) archive_filter_bytes(input->archive, 0);
        const void *data;
        size_t size;
        int r;

        do
                r = next_decoded(input, &data, &size, error);
        while (r > 0);
        if (r < 0)
                return r;
        if (input->zeros < input->decoded - read)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "something follows the end of the archive");
        if (input->zeros < input->decoded - read + TAR_BLOCK)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "the archive ends early");
        return 0;
}

int unpack_input_finish(UnpackInput *input, Error *error) {
        return input->tar ? finish_tar(input, error) : 0;
}
