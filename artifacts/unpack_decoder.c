#include <inttypes.h>
#include <lzma.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "artifacts/unpack_decoder.h"

#define INPUT_SIZE (128U << 10)
#define OUTPUT_SIZE (256U << 10)
#define ZSTD_WINDOW_LOG_MIN 10
#define ZSTD_WINDOW_LOG_LIMIT 30

/* What a codec does with the input it is given. */
typedef enum CodecResult {
        CODEC_MORE,     /* it wants more input, or room for output */
        CODEC_COMPLETE, /* all that it was given makes whole streams */
        CODEC_CORRUPT,
        CODEC_TOO_LARGE, /* the stream needs more memory than it may have */
        CODEC_NO_MEMORY,
} CodecResult;

typedef struct Codec {
        int (*start)(UnpackDecoder *d);        /* 0, -ENOMEM */
        CodecResult (*step)(UnpackDecoder *d); /* moves on the input and fills the output */
} Codec;

struct UnpackDecoder {
        const Codec *codec;
        const UnpackSource *source;
        uint64_t size;     /* of the source */
        uint64_t received; /* of these */
        uint64_t memory_max;
        uint8_t *input, *output;
        size_t input_at, input_size, output_size;
        CodecResult state;
        bool ended; /* and the codec was told so */
        bool full;  /* the codec filled the output: there may be more without more input */
        ZSTD_DStream *zstd;
        z_stream *zlib;
        lzma_stream *lzma;
};

static CodecResult step_zstd(UnpackDecoder *d) {
        ZSTD_inBuffer in = { d->input, d->input_size, d->input_at };
        ZSTD_outBuffer out = { d->output, OUTPUT_SIZE, 0 };
        size_t r = ZSTD_decompressStream(d->zstd, &out, &in);

        d->input_at = in.pos;
        d->output_size = out.pos;
        if (ZSTD_isError(r)) {
                switch (ZSTD_getErrorCode(r)) {
                case ZSTD_error_frameParameter_windowTooLarge:
                        return CODEC_TOO_LARGE;
                case ZSTD_error_memory_allocation:
                        return CODEC_NO_MEMORY;
                default:
                        return CODEC_CORRUPT;
                }
        }
        return r == 0 ? CODEC_COMPLETE : CODEC_MORE;
}

static CodecResult step_zlib(UnpackDecoder *d) {
        z_stream *z = d->zlib;
        int r;

        if (d->state == CODEC_COMPLETE && inflateReset(z) != Z_OK) /* another member follows */
                return CODEC_CORRUPT;
        z->next_in = d->input + d->input_at;
        z->avail_in = (unsigned) (d->input_size - d->input_at);
        z->next_out = d->output;
        z->avail_out = OUTPUT_SIZE;
        r = inflate(z, Z_NO_FLUSH);
        d->input_at = d->input_size - z->avail_in;
        d->output_size = OUTPUT_SIZE - z->avail_out;
        switch (r) {
        case Z_STREAM_END:
                return CODEC_COMPLETE;
        case Z_OK:
        case Z_BUF_ERROR:
                return CODEC_MORE;
        case Z_MEM_ERROR:
                return CODEC_NO_MEMORY;
        default:
                return CODEC_CORRUPT;
        }
}

static CodecResult step_lzma(UnpackDecoder *d) {
        lzma_stream *z = d->lzma;
        lzma_action action = d->ended ? LZMA_FINISH : LZMA_RUN;
        lzma_ret r;

        z->next_in = d->input + d->input_at;
        z->avail_in = d->input_size - d->input_at;
        z->next_out = d->output;
        z->avail_out = OUTPUT_SIZE;
        r = lzma_code(z, action);
        d->input_at = d->input_size - z->avail_in;
        d->output_size = OUTPUT_SIZE - z->avail_out;
        switch (r) {
        case LZMA_STREAM_END:
                return CODEC_COMPLETE;
        case LZMA_OK:
        case LZMA_BUF_ERROR:
                return CODEC_MORE;
        case LZMA_MEMLIMIT_ERROR:
                return CODEC_TOO_LARGE;
        case LZMA_MEM_ERROR:
                return CODEC_NO_MEMORY;
        default:
                return CODEC_CORRUPT;
        }
}

static CodecResult step_copy(UnpackDecoder *d) {
        size_t n = MIN(d->input_size - d->input_at, (size_t) OUTPUT_SIZE);

        memcpy(d->output, d->input + d->input_at, n);
        d->input_at += n;
        d->output_size = n;
        return CODEC_COMPLETE;
}

UnpackDecoder *unpack_decoder_free(UnpackDecoder *d) {
        if (!d)
                return NULL;
        ZSTD_freeDStream(d->zstd);
        if (d->zlib)
                (void) inflateEnd(d->zlib);
        free(d->zlib);
        if (d->lzma)
                lzma_end(d->lzma);
        free(d->lzma);
        free(d->input);
        free(d->output);
        free(d);
        return NULL;
}

static int start_zstd(UnpackDecoder *d) {
        int window_log = ZSTD_WINDOW_LOG_MIN;

        d->zstd = ZSTD_createDStream();
        if (!d->zstd)
                return -ENOMEM;
        /* Beside the window the decoder keeps some blocks of at most 128 KiB, which this leaves aside. */
        while (window_log < ZSTD_WINDOW_LOG_LIMIT && UINT64_C(2) << window_log <= d->memory_max)
                window_log++;
        return ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, window_log)) ? -EINVAL : 0;
}

static int start_zlib(UnpackDecoder *d) {
        d->zlib = calloc(1, sizeof(*d->zlib));
        if (!d->zlib)
                return -ENOMEM;
        if (inflateInit2(d->zlib, 15 + 16) == Z_OK) /* the largest window, 32 KiB; gzip's header */
                return 0;
        free(d->zlib);
        d->zlib = NULL;
        return -ENOMEM;
}

static int start_lzma(UnpackDecoder *d) {
        d->lzma = calloc(1, sizeof(*d->lzma));
        if (!d->lzma)
                return -ENOMEM;
        *d->lzma = (lzma_stream) LZMA_STREAM_INIT;
        return lzma_stream_decoder(d->lzma, d->memory_max, LZMA_CONCATENATED) == LZMA_OK ? 0 : -ENOMEM;
}

static int start_copy(_unused_ UnpackDecoder *d) {
        return 0;
}

static const Codec codecs[_ARCHIVE_FORMAT_COUNT] = {
        [ARCHIVE_TAR] = { start_copy, step_copy },
        [ARCHIVE_TAR_GZ] = { start_zlib, step_zlib },
        [ARCHIVE_TAR_XZ] = { start_lzma, step_lzma },
        [ARCHIVE_TAR_ZST] = { start_zstd, step_zstd },
};

int unpack_decoder_new(ArchiveFormat format, const UnpackSource *source, uint64_t size, uint64_t memory_max,
                       UnpackDecoder **ret, Error *error) {
        _cleanup_(unpack_decoder_freep) UnpackDecoder *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return error_oom(error);
        d->codec = codecs + format;
        if ((size_t) format >= ELEMENTSOF(codecs) || !d->codec->step)
                return error_set(error, -EINVAL, "this is not a compressed stream");
        d->source = source;
        d->size = size;
        d->memory_max = memory_max;
        d->input = malloc(INPUT_SIZE);
        d->output = malloc(OUTPUT_SIZE);
        if (!d->input || !d->output)
                return error_oom(error);
        r = d->codec->start(d);
        if (r < 0)
                return error_set_errno(error, r, "cannot start to decompress");
        *ret = TAKE_PTR(d);
        return 0;
}

/* 1: there is input; 0: all SIZE bytes were there, and no more. */
static int fill(UnpackDecoder *d, Error *error) {
        ssize_t n = d->source->read(d->source->userdata, d->input, INPUT_SIZE);

        if (n < 0)
                return error_set_errno(error, (int) n, "cannot read the archive");
        d->input_at = 0;
        d->input_size = (size_t) n;
        d->received += (uint64_t) n;
        if (d->received > d->size)
                return error_set_fault(error, -EPROTO, FAULT_HOST,
                                       "more bytes came than the %" PRIu64 " of the archive", d->size);
        if (n == 0 && d->received < d->size)
                return error_set_fault(error, -EPIPE, FAULT_HOST,
                                       "the feed broke off after %" PRIu64 " of the archive's %" PRIu64
                                       " bytes",
                                       d->received, d->size);
        return n > 0;
}

static int refuse(const UnpackDecoder *d, Error *error) {
        switch (d->state) {
        case CODEC_TOO_LARGE:
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "the archive needs more than %" PRIu64
                                       " MiB of memory to decompress; compress it with a smaller window",
                                       d->memory_max >> 20);
        case CODEC_NO_MEMORY:
                return error_oom(error);
        case CODEC_CORRUPT:
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "the archive's compressed data is damaged, or something follows it");
        default:
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "the archive ends early");
        }
}

/* 1: the codec can go on; 0: the end, and all was whole. */
static int feed(UnpackDecoder *d, Error *error) {
        int r;

        if (d->input_at < d->input_size || (d->full && d->state != CODEC_COMPLETE))
                return 1;
        r = d->ended ? 0 : fill(d, error);
        if (r != 0)
                return r;
        if (d->state == CODEC_COMPLETE)
                return 0;
        if (d->ended || !d->lzma)
                return refuse(d, error);
        d->ended = true; /* liblzma says that the end is complete only once it is told that it is the end */
        return 1;
}

int unpack_decoder_next(UnpackDecoder *d, const void **ret, size_t *ret_size, Error *error) {
        for (;;) {
                int r = feed(d, error);

                if (r <= 0)
                        return r;
                d->output_size = 0;
                d->state = d->codec->step(d);
                if (d->state > CODEC_COMPLETE)
                        return refuse(d, error);
                d->full = d->output_size == OUTPUT_SIZE;
                if (d->output_size > 0) {
                        *ret = d->output;
                        *ret_size = d->output_size;
                        return 1;
                }
        }
}
