/* csv_table/csv.c - see csv.h. */
#include "csv.h"
#include <stdlib.h>
#include <string.h>

void csv_open(csv_reader *reader, const uint8_t *bytes, int64_t size, char delimiter) {
    *reader = (csv_reader){.at = bytes, .end = bytes + size, .delimiter = delimiter, .line = 1};
    if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
        reader->at += 3;
    }
}

void csv_close(csv_reader *reader) {
    free(reader->text);
    free(reader->starts);
    *reader = (csv_reader){0};
}

static bool put(csv_reader *r, char c) {
    if (r->used == r->room) {
        size_t room = r->room ? 2 * r->room : 256;
        char *text = realloc(r->text, room);
        if (!text) {
            return false;
        }
        r->text = text;
        r->room = room;
    }
    r->text[r->used++] = c;
    return true;
}

static bool begin_field(csv_reader *r) {
    if (r->count == r->starts_room) {
        int64_t room = r->starts_room ? 2 * r->starts_room : 32;
        size_t *starts = realloc(r->starts, (size_t)room * sizeof *starts);
        if (!starts) {
            return false;
        }
        r->starts = starts;
        r->starts_room = room;
    }
    r->starts[r->count++] = r->used;
    return true;
}

static bool at_line_end(const csv_reader *r) {
    return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'));
}

static void skip_line_end(csv_reader *r) {
    if (r->at < r->end && *r->at == '\r') {
        r->at++;
    }
    if (r->at < r->end && *r->at == '\n') {
        r->at++;
    }
    r->line++;
}

static int malformed(csv_reader *r, const char *error) {
    r->error = error;
    while (!at_line_end(r)) {
        r->at++;
    }
    skip_line_end(r);
    return CSV_MALFORMED;
}

/* After the opening quote; leaves `at` behind the closing one. */
static int quoted(csv_reader *r) {
    const uint8_t *begin = r->at;
    int64_t line = r->line;
    for (;; r->at++) {
        if (r->at == r->end) { /* the line that opened it is lost, what follows is not */
            r->at = begin;
            r->line = line;
            return malformed(r, "a quote is opened and never closed");
        }
        if (*r->at == '"') {
            r->at++;
            if (r->at == r->end || *r->at != '"') {
                return CSV_ROW;
            }
        }
        r->line += *r->at == '\n';
        if (!*r->at) {
            return malformed(r, "there is a NUL byte in it: is this a text file?");
        }
        if (!put(r, (char)*r->at)) {
            return CSV_NO_MEMORY;
        }
    }
}

static int field(csv_reader *r) {
    if (!begin_field(r)) {
        return CSV_NO_MEMORY;
    }
    if (r->at < r->end && *r->at == '"') {
        r->at++;
        int result = quoted(r);
        if (result != CSV_ROW) {
            return result;
        }
        if (!at_line_end(r) && *r->at != (uint8_t)r->delimiter) {
            return malformed(r, "there is text behind a closing quote");
        }
    }
    for (; !at_line_end(r) && *r->at != (uint8_t)r->delimiter; r->at++) {
        if (*r->at == '"') {
            return malformed(r, "there is a quote inside a field without quotes");
        }
        if (!*r->at) {
            return malformed(r, "there is a NUL byte in it: is this a text file?");
        }
        if (!put(r, (char)*r->at)) {
            return CSV_NO_MEMORY;
        }
    }
    return put(r, 0) ? CSV_ROW : CSV_NO_MEMORY;
}

int csv_next(csv_reader *r) {
    while (r->at < r->end && at_line_end(r)) {
        skip_line_end(r);
    }
    r->row_line = r->line;
    r->count = 0;
    r->used = 0;
    if (r->at == r->end) {
        return CSV_END;
    }
    for (;;) {
        int result = field(r);
        if (result != CSV_ROW) {
            return result;
        }
        if (at_line_end(r)) {
            skip_line_end(r);
            return CSV_ROW;
        }
        r->at++; /* the delimiter */
    }
}
