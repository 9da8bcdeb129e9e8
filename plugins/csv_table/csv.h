/* csv_table/csv.h - rows of a CSV text (RFC 4180): quoted fields, doubled quotes, line breaks in quotes, LF or CRLF, a byte order mark.
 * Knows no types. Blank lines are passed over. */
#ifndef CSV_TABLE_CSV_H
#define CSV_TABLE_CSV_H
#include "../shared/files.h"

enum { CSV_END = 0, CSV_ROW = 1, CSV_MALFORMED = -1, CSV_NO_MEMORY = -2 };

typedef struct csv_reader {
    const uint8_t *at, *end;
    char delimiter;
    int64_t line, row_line; /* next line, and the one where the row began; from 1 */
    char *text;             /* the row's fields, each with a NUL behind it */
    size_t used, room;
    size_t *starts; /* field i is text[starts[i]] */
    int64_t count, starts_room;
    const char *error; /* of a malformed row, which is passed over */
} csv_reader;

void csv_open(csv_reader *reader, const uint8_t *bytes, int64_t size, char delimiter);
int csv_next(csv_reader *reader);
void csv_close(csv_reader *reader);
static inline const char *csv_field(const csv_reader *reader, int64_t i) { return reader->text + reader->starts[i]; }
#endif
