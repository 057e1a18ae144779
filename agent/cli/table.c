#include <string.h>

#include "agent/cli/table.h"

#define GUTTER "  "

struct TableRow {
        char *cells[TABLE_COLUMNS_MAX];
        const char *style;
};

void table_deinit(Table *table) {
        for (size_t i = 0; i < table->n_rows; i++)
                for (size_t j = 0; j < TABLE_COLUMNS_MAX; j++)
                        free(table->rows[i].cells[j]);
        free(table->rows);
        *table = (Table){ .n_columns = table->n_columns };
}

static int grow(Table *table) {
        size_t allocated = MAX(2 * table->allocated, (size_t) 16);
        TableRow *rows;

        if (table->n_rows < table->allocated)
                return 0;
        rows = reallocarray(table->rows, allocated, sizeof(*rows));
        if (!rows)
                return -ENOMEM;
        table->rows = rows;
        table->allocated = allocated;
        return 0;
}

int table_add_styled(Table *table, const char *style, const char *const texts[]) {
        TableRow *row;

        if (grow(table) < 0)
                return -ENOMEM;
        row = &table->rows[table->n_rows++];
        *row = (TableRow){ .style = style };
        for (size_t i = 0; i < table->n_columns; i++) {
                row->cells[i] = strdup(texts[i] ?: "-");
                if (!row->cells[i])
                        return -ENOMEM;
        }
        return 0;
}

int table_add(Table *table, const char *const texts[]) {
        return table_add_styled(table, "", texts);
}

static size_t width_of(const Table *table, size_t column) {
        size_t width = 0;

        for (size_t i = 0; i < table->n_rows; i++)
                width = MAX(width, strlen(table->rows[i].cells[column]));
        return width;
}

static void print_row(const Table *table, const TableRow *row, const size_t widths[], const char *style,
                      const char *off, FILE *stream) {
        size_t last = table->n_columns - 1;

        while (last > 0 && !*row->cells[last])
                last--;
        fputs(style, stream);
        for (size_t i = 0; i < last; i++)
                fprintf(stream, "%-*s" GUTTER, (int) widths[i], row->cells[i]);
        fprintf(stream, "%s%s\n", row->cells[last], *style ? off : "");
}

void table_print(const Table *table, FILE *stream, const Style *style) {
        size_t widths[TABLE_COLUMNS_MAX] = {};

        for (size_t i = 0; i + 1 < table->n_columns; i++)
                widths[i] = width_of(table, i);
        for (size_t i = 0; i < table->n_rows; i++) {
                const TableRow *row = &table->rows[i];

                print_row(table, row, widths, i == 0 ? style->strong : row->style, style->off, stream);
        }
}
