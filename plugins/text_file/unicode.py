#!/usr/bin/env python3
"""Prints unicode.inc: ranges of code points that are letters (L*) and numbers (N*), by the Unicode data of the Python that runs it."""
import sys
import unicodedata


def ranges(group):
    start = None
    for point in range(0x110001):
        inside = point < 0x110000 and unicodedata.category(chr(point))[0] == group
        if inside and start is None:
            start = point
        elif not inside and start is not None:
            yield start, point - 1
            start = None


print(f"/* unicode.inc - letters and numbers of Unicode {unicodedata.unidata_version}, first and last of each range. Made by unicode.py; do not edit. */")
for name, group in (("letters", "L"), ("numbers", "N")):
    print(f"static const uint32_t {name}[][2] = {{")
    line = "   "
    for first, last in ranges(group):
        item = f" {{0x{first:x}, 0x{last:x}}},"
        if len(line) + len(item) > 140:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")
sys.stdout.flush()
