#pragma once

/* Columns of text that line up. The last column may be as long as it likes. */

#include <stdio.h>

#include "agent/cli/cli.h"

#define TABLE_COLUMNS_MAX 8U

typedef struct Table {
        char **cells; /* row by row; an empty text where a row has fewer */
        size_t n_columns;
} Table;

void table_deinit(Table *table);

/* Adds a row of as many texts as the table has columns; NULL stands for "-". -ENOMEM. */
int table_add(Table *table, const char *const texts[]);

#define TABLE_ROW(...) ((const char *const[]){ __VA_ARGS__ })

/* The first row is the heading. */
void table_print(const Table *table, FILE *stream, const Style *style);

#define _cleanup_table_ _cleanup_(table_deinit)
