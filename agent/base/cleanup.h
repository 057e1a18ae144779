#pragma once

/* Ownership: variables marked _cleanup_ release what they hold at the end of their scope, and TAKE_ hands it on.
 * Destructors take NULL and half-built objects, and return NULL, so that `x = x_free(x)` is always right. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _printf_(a, b) __attribute__((__format__(printf, a, b)))
#define _unused_ __attribute__((__unused__))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                            \
        ({                                                                                                   \
                __typeof__(a) _min_a = (a);                                                                  \
                __typeof__(b) _min_b = (b);                                                                  \
                _min_a < _min_b ? _min_a : _min_b;                                                           \
        })
#define MAX(a, b)                                                                                            \
        ({                                                                                                   \
                __typeof__(a) _max_a = (a);                                                                  \
                __typeof__(b) _max_b = (b);                                                                  \
                _max_a > _max_b ? _max_a : _max_b;                                                           \
        })

#define TAKE_PTR(p)                                                                                          \
        ({                                                                                                   \
                __typeof__(p) *_take_p = &(p);                                                               \
                __typeof__(p) _take_v = *_take_p;                                                            \
                *_take_p = NULL;                                                                             \
                _take_v;                                                                                     \
        })
#define TAKE_FD(fd)                                                                                          \
        ({                                                                                                   \
                int *_take_fd = &(fd);                                                                       \
                int _take_v = *_take_fd;                                                                     \
                *_take_fd = -1;                                                                              \
                _take_v;                                                                                     \
        })

/* Declares `type_freep` for use with _cleanup_. */
#define DEFINE_CLEANUP(type, func)                                                                           \
        static inline _unused_ void func##p(type *p) {                                                       \
                if (*p)                                                                                      \
                        func(*p);                                                                            \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

/* Closes FD if it is one; returns -1; leaves errno alone. */
static inline int close_fd(int fd) {
        if (fd >= 0) {
                int saved = errno;
                (void) close(fd);
                errno = saved;
        }
        return -1;
}

static inline void close_fdp(const int *fd) {
        close_fd(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(close_fdp)
#define _cleanup_fclose_ _cleanup_(fclosep)
