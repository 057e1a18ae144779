#include <zstd.h>

#include "agent/base/file.h"
#include "artifacts/zstd_writer.h"

#define WORKERS 2 /* how many there are does not change the stream, that there are some does */

struct ZstdWriter {
        ZSTD_CCtx *context;
        int fd;
        uint8_t *output;
        size_t output_size;
        uint64_t written;
        int result;
        Error error;
};

ZstdWriter *zstd_writer_free(ZstdWriter *writer) {
        if (!writer)
                return NULL;
        ZSTD_freeCCtx(writer->context);
        free(writer->output);
        free(writer);
        return NULL;
}

int zstd_writer_new(int fd, int level, ZstdWriter **ret, Error *error) {
        _cleanup_(zstd_writer_freep) ZstdWriter *writer = calloc(1, sizeof(*writer));

        if (!writer)
                return error_oom(error);
        writer->fd = fd;
        writer->context = ZSTD_createCCtx();
        writer->output_size = ZSTD_CStreamOutSize();
        writer->output = malloc(writer->output_size);
        if (!writer->context || !writer->output)
                return error_oom(error);
        if (ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, level)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_checksumFlag, 1)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(writer->context, ZSTD_c_nbWorkers, WORKERS)))
                return error_set(error, -EINVAL, "cannot compress at level %d with %d threads", level,
                                 WORKERS);
        *ret = TAKE_PTR(writer);
        return 0;
}

static int compress(ZstdWriter *writer, const void *data, size_t size, ZSTD_EndDirective end) {
        ZSTD_inBuffer in = { data, size, 0 };
        size_t left;
        int r;

        do {
                ZSTD_outBuffer out = { writer->output, writer->output_size, 0 };

                left = ZSTD_compressStream2(writer->context, &out, &in, end);
                if (ZSTD_isError(left))
                        return error_set(&writer->error, -EIO, "cannot compress: %s",
                                         ZSTD_getErrorName(left));
                r = file_write_fd(writer->fd, out.dst, out.pos);
                if (r < 0)
                        return error_set_errno(&writer->error, r, "cannot write the archive");
                writer->written += out.pos;
        } while (end == ZSTD_e_end ? left > 0 : in.pos < in.size);
        return 0;
}

int zstd_writer_write(ZstdWriter *writer, const void *data, size_t size) {
        if (writer->result >= 0)
                writer->result = compress(writer, data, size, ZSTD_e_continue);
        return writer->result;
}

int zstd_writer_finish(ZstdWriter *writer, uint64_t *ret, Error *error) {
        if (writer->result >= 0)
                writer->result = compress(writer, NULL, 0, ZSTD_e_end);
        if (writer->result < 0)
                return zstd_writer_error(writer, error);
        *ret = writer->written;
        return 0;
}

int zstd_writer_error(const ZstdWriter *writer, Error *error) {
        if (writer->result < 0 && error)
                *error = writer->error;
        return writer->result;
}
