/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables for a terminal: columns as wide as their widest cell, the last one as wide as the screen
 * still is.
 */
#include "tercetctl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2       /* columns between two cells */
#define LAST_MIN 20 /* a last cell is cut to no less; it gets a line of its own instead */
#define NOTE_INDENT 4

static char *format_escaped(const char *format, va_list values)
{
    char *plain = NULL;
    if (vasprintf(&plain, format, values) < 0)
        ctl_die("out of memory");
    char *escaped = term_escape(plain);
    free(plain);
    return escaped;
}

static void widen(struct table *table, size_t column, const char *text)
{
    size_t width = term_width(text);
    if (width > table->widths[column])
        table->widths[column] = width;
}

void table_cell(struct table *table, const char *format, ...)
{
    va_list values;
    assert(table->column_count <= TABLE_COLUMNS_MAX);
    va_start(values, format);
    char *text = format_escaped(format, values);
    va_end(values);
    table->cells = ctl_resize(table->cells, (table->cell_count + 1) * sizeof(*table->cells));
    table->cells[table->cell_count] = text;
    widen(table, table->cell_count % table->column_count, text);
    table->cell_count++;
}

void table_note(struct table *table, const char *format, ...)
{
    va_list values;
    assert(table->cell_count > 0);
    va_start(values, format);
    char *text = format_escaped(format, values);
    va_end(values);
    table->notes = ctl_resize(table->notes, (table->note_count + 1) * sizeof(*table->notes));
    table->notes[table->note_count++] =
        (struct table_note){(table->cell_count - 1) / table->column_count, text};
}

/* Columns before the last one. */
static size_t used_columns(const struct table *table)
{
    size_t used = 0;
    for (size_t i = 0; i + 1 < table->column_count; i++)
        used += table->widths[i] + GAP;
    return used;
}

/* The last cell of a row, after `used` columns, and the line's end. */
static void print_last(const struct table *table, char *text, size_t used)
{
    size_t rest = used < SCREEN_COLUMNS ? SCREEN_COLUMNS - used : 0;
    if (table->cuts_last && rest >= LAST_MIN)
        term_cut(text, rest);
    if (table->is_uncut || term_width(text) <= rest) {
        puts(text);
        return;
    }
    putchar('\n');
    term_print_wrapped(NOTE_INDENT, text);
}

static void print_padded(const char *text, size_t width)
{
    size_t own = term_width(text);
    printf("%s%*s", text, (int)(width > own ? width - own + GAP : GAP), "");
}

static void print_head(struct table *table)
{
    size_t last = table->column_count - 1;
    for (size_t i = 0; i < last; i++) {
        widen(table, i, table->headers[i]);
        print_padded(table->headers[i], table->widths[i]);
    }
    puts(table->headers[last]);
    table->has_head = true;
}

void table_flush(struct table *table)
{
    size_t note = 0;
    assert(table->cell_count % table->column_count == 0);
    if (!table->has_head)
        print_head(table);
    for (size_t row = 0; row < table->cell_count / table->column_count; row++) {
        char **cells = &table->cells[row * table->column_count];
        for (size_t i = 0; i + 1 < table->column_count; i++)
            print_padded(cells[i], table->widths[i]);
        print_last(table, cells[table->column_count - 1], used_columns(table));
        for (; note < table->note_count && table->notes[note].row == row; note++)
            term_print_wrapped(NOTE_INDENT, table->notes[note].text);
    }
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    for (size_t i = 0; i < table->note_count; i++)
        free(table->notes[i].text);
    free(table->cells);
    free(table->notes);
    table->cells = NULL;
    table->notes = NULL;
    table->cell_count = table->note_count = 0;
}
