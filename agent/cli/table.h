#pragma once

/* Columns of text that line up. The last column may be as long as it likes. */

#include <stdio.h>

#include "agent/cli/cli.h"

#define TABLE_COLUMNS_MAX 8U

typedef struct TableRow TableRow;

typedef struct Table {
        size_t n_columns;
        TableRow *rows; /* the first one is the heading */
        size_t n_rows, allocated;
} Table;

void table_deinit(Table *table);

/* Adds a row of as many texts as the table has columns; NULL stands for "-". -ENOMEM. */
int table_add(Table *table, const char *const texts[]);

/* The same in a STYLE of its own, one of a Style's, which is borrowed. */
int table_add_styled(Table *table, const char *style, const char *const texts[]);

#define TABLE_ROW(...) ((const char *const[]){ __VA_ARGS__ })

void table_print(const Table *table, FILE *stream, const Style *style);

#define _cleanup_table_ _cleanup_(table_deinit)
