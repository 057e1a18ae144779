#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/table.h"

#define GUTTER "  "

void table_deinit(Table *table) {
        table->cells = strv_free(table->cells);
}

int table_add(Table *table, const char *const texts[]) {
        for (size_t i = 0; i < table->n_columns; i++) {
                int r = strv_append(&table->cells, texts[i] ?: "-");
                if (r < 0)
                        return r;
        }
        return 0;
}

static void measure(const Table *table, size_t widths[]) {
        size_t n = strv_length(table->cells);

        for (size_t i = 0; i < n; i++)
                widths[i % table->n_columns] = MAX(widths[i % table->n_columns], strlen(table->cells[i]));
}

void table_print(const Table *table, FILE *stream, const Style *style) {
        size_t widths[TABLE_COLUMNS_MAX] = {}, n = strv_length(table->cells);

        measure(table, widths);
        for (size_t i = 0; i < n; i++) {
                size_t column = i % table->n_columns;
                bool last = column + 1 == table->n_columns;

                if (i == 0)
                        fputs(style->strong, stream);
                fprintf(stream, "%-*s%s", last ? 0 : (int) widths[column], table->cells[i],
                        last ? "" : GUTTER);
                if (i + 1 == table->n_columns)
                        fputs(style->off, stream);
                if (last)
                        fputc('\n', stream);
        }
}
