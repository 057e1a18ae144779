#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/code_pages.h"

/* Only segments that cannot be written, so that the file still has all that is in them. */
static int give_back(struct dl_phdr_info *object, _unused_ size_t size, _unused_ void *userdata) {
        uintptr_t mask = (uintptr_t) sysconf(_SC_PAGESIZE) - 1;

        for (size_t i = 0; i < object->dlpi_phnum; i++) {
                const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
                uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & ~mask;
                uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;

                if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
                        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the loader gives addresses as numbers */
                        (void) madvise((void *) begin, end - begin, MADV_DONTNEED);
        }
        return 0;
}

void code_pages_give_back(void) {
        (void) dl_iterate_phdr(give_back, NULL);
}
