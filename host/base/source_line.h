/* base/source_line.h - where in a plugin's source a code address lies, for error messages. */
#ifndef LTH_SOURCE_LINE_H
#define LTH_SOURCE_LINE_H
#include "base/str.h"

/* Appends "lenet.so+0x128d" and, where debug information and addr2line are at hand, "  lenet.c:24" for a return address.
 * Slow (starts a process, waits 5 s at most): at error time only. Never fails; at worst it appends the bare address. */
void lth_source_line(const void *return_address, lth_buf *out);
#endif
