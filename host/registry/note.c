/* registry/note.c - reading ELF notes by program headers, so that it works on stripped files without section headers. */
#include "registry/note.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <lt/plugin.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SEGMENTS = 256, MAX_NOTES = 64 * 1024, MAX_COMPONENTS = 64, HEAD_SIZE = 16 };

#if defined(__x86_64__)
#define THIS_MACHINE      EM_X86_64
#define THIS_MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define THIS_MACHINE      EM_AARCH64
#define THIS_MACHINE_NAME "aarch64"
#else
#error "add this machine's ELF number"
#endif
#define THIS_BYTE_ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)

typedef struct reader {
    int fd;
    uint64_t file_size;
    lth_arena *arena;
    lth_note *out;
    lth_error *err;
    bool found;
} reader;

static lth_note_result absent(reader *r, const char *what) {
    lth_fail(r->err, LT_EFORMAT, "%s", what);
    return LTH_NOTE_ABSENT;
}

static lth_note_result broken(reader *r, lt_status code, const char *what) {
    lth_fail(r->err, code, "%s", what);
    return LTH_NOTE_BROKEN;
}

/* Exactly size bytes at offset; false where the file does not have them. */
static bool read_at(const reader *r, uint64_t offset, void *data, size_t size) {
    if (offset > r->file_size || size > r->file_size - offset) {
        return false;
    }
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(r->fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

/* ---- the texts of the note ---- */

/* Printable ASCII: these texts reach terminals and file names. */
static bool is_plain(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x21 || (unsigned char)*text > 0x7e) {
            return false;
        }
    }
    return true;
}

/* The next text at *at; NULL where there is none, or none that ends. */
static const char *next_text(const char *texts, size_t size, size_t *at) {
    const char *start = texts + *at;
    size_t length = strnlen(start, size - *at);
    if (*at >= size || length == size - *at || !length) {
        return NULL;
    }
    *at += length + 1;
    return start;
}

static lth_note_result take_texts(reader *r, const char *texts, size_t size) {
    lth_note *note = r->out;
    size_t at = 0;
    const char *component;

    note->id = next_text(texts, size, &at);
    note->version = note->id ? next_text(texts, size, &at) : NULL;
    note->components = lth_arena_alloc(r->arena, MAX_COMPONENTS * sizeof *note->components);
    if (!note->components) {
        return broken(r, LT_ENOMEM, "out of memory");
    }
    if (!note->version || !is_plain(note->id) || !is_plain(note->version)) {
        return broken(r, LT_EFORMAT, "its lthost note is damaged: no plugin id and version; build it again");
    }
    while (at < size && texts[at] != 0) {
        component = next_text(texts, size, &at);
        if (!component || !is_plain(component) || !strchr(component, ':') || note->n_components == MAX_COMPONENTS) {
            return broken(r, LT_EFORMAT, "its lthost note is damaged: the list of components cannot be read; build it again");
        }
        note->components[note->n_components++] = component;
    }
    for (; at < size; at++) {
        if (texts[at] != 0) {
            return broken(r, LT_EFORMAT, "its lthost note is damaged: something follows its end; build it again");
        }
    }
    return LTH_NOTE_FOUND;
}

static lth_note_result take_note(reader *r, const char *body, size_t size) {
    uint32_t head[HEAD_SIZE / sizeof(uint32_t)];
    char *texts;

    if (r->found) {
        return broken(r, LT_EFORMAT, "it has two lthost notes; only one source file of a plugin may say LT_PLUGIN(...)");
    }
    if (size <= HEAD_SIZE) {
        return broken(r, LT_EFORMAT, "its lthost note is damaged: too short; build it again");
    }
    texts = lth_arena_alloc(r->arena, size - HEAD_SIZE + 1);
    if (!texts) {
        return broken(r, LT_ENOMEM, "out of memory");
    }
    memcpy(head, body, HEAD_SIZE);
    memcpy(texts, body + HEAD_SIZE, size - HEAD_SIZE);
    *r->out = (lth_note){.abi_major = head[0], .abi_minor = head[1], .min_host_minor = head[2], .flags = head[3]};
    r->found = true;
    return take_texts(r, texts, size - HEAD_SIZE);
}

/* ---- segments ---- */

/* Walks the notes of one segment. Others' notes (build ids, properties) lie there too and are passed over. */
static lth_note_result walk(reader *r, const char *notes, size_t size, size_t align) {
    size_t at = 0;

    while (size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr head;
        uint64_t name, body, next;

        memcpy(&head, notes + at, sizeof head);
        name = at + sizeof head;
        body = (name + head.n_namesz + align - 1) / align * align;
        next = (body + head.n_descsz + align - 1) / align * align;
        if (body + head.n_descsz > size) {
            return broken(r, LT_EFORMAT, "an ELF note in it is damaged: it reaches beyond its segment; build it again");
        }
        if (head.n_namesz == sizeof "lthost" && !memcmp(notes + name, "lthost", sizeof "lthost")) {
            lth_note_result result;

            if (head.n_type != LT_NOTE_FORMAT) {
                return broken(r, LT_EABI, "its lthost note has a format that this lthost does not know; update lthost");
            }
            result = take_note(r, notes + body, head.n_descsz);
            if (result != LTH_NOTE_FOUND) {
                return result;
            }
        }
        if (next >= size) {
            break;
        }
        at = next;
    }
    return LTH_NOTE_FOUND;
}

static lth_note_result read_segment(reader *r, const Elf64_Phdr *segment) {
    char *notes;

    if (segment->p_filesz > MAX_NOTES) {
        return broken(r, LT_EFORMAT, "its note segment is larger than 64 KiB, which no plugin needs; build it again");
    }
    notes = lth_arena_alloc(r->arena, segment->p_filesz + 1);
    if (!notes) {
        return broken(r, LT_ENOMEM, "out of memory");
    }
    if (!read_at(r, segment->p_offset, notes, segment->p_filesz)) {
        return broken(r, LT_EFORMAT, "the file is cut off; copy or build it again");
    }
    return walk(r, notes, segment->p_filesz, segment->p_align == 8 ? 8 : 4);
}

static lth_note_result read_header(reader *r, Elf64_Ehdr *head) {
    if (!read_at(r, 0, head, sizeof *head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) {
        return absent(r, "it is no ELF file; a plugin is a shared object that a compiler made (cc -shared)");
    }
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != THIS_BYTE_ORDER || head->e_machine != THIS_MACHINE) {
        return broken(r, LT_EABI, "it was built for another machine than this one (" THIS_MACHINE_NAME "); build it here");
    }
    if (head->e_type != ET_DYN) {
        return absent(r, "it is an ELF file, but no shared object; link it with -shared, or use lt_add_plugin()");
    }
    if (head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phnum == 0 || head->e_phnum > MAX_SEGMENTS) {
        return broken(r, LT_EFORMAT, "its ELF program headers are damaged; copy or build it again");
    }
    return LTH_NOTE_FOUND;
}

lth_note_result lth_note_read_fd(int fd, lth_arena *arena, lth_note *out, lth_error *err) {
    reader r = {.fd = fd, .arena = arena, .out = out, .err = err};
    struct stat facts;
    Elf64_Ehdr head;
    lth_note_result result;

    *out = (lth_note){0};
    if (fstat(fd, &facts) != 0) {
        return broken(&r, LT_EIO, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return absent(&r, S_ISDIR(facts.st_mode) ? "it is a folder" : "it is no regular file");
    }
    r.file_size = (uint64_t)facts.st_size;
    result = read_header(&r, &head);
    for (uint16_t i = 0; result == LTH_NOTE_FOUND && i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        if (head.e_phoff > r.file_size || !read_at(&r, head.e_phoff + i * sizeof segment, &segment, sizeof segment)) {
            result = broken(&r, LT_EFORMAT, "the file is cut off within its program headers; copy or build it again");
        } else if (segment.p_type == PT_LOAD && (segment.p_offset > r.file_size || segment.p_filesz > r.file_size - segment.p_offset)) {
            result = broken(&r, LT_EFORMAT, "the file is cut off; copy or build it again"); /* mapped, it would end in SIGBUS */
        } else if (segment.p_type == PT_NOTE) {
            result = read_segment(&r, &segment);
        }
    }
    if (result == LTH_NOTE_FOUND && !r.found) {
        return absent(
            &r, "it is a shared object without lthost note; one source file must say LT_PLUGIN(...), and `strip` must keep .note.lthost");
    }
    return result;
}

lth_note_result lth_note_read(const char *path, lth_arena *arena, lth_note *out, lth_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    lth_note_result result;

    *out = (lth_note){0};
    if (fd < 0) {
        lth_fail(err, errno == ENOENT ? LT_EABSENT : LT_EIO, "it cannot be opened: %s", strerror(errno));
        return LTH_NOTE_BROKEN;
    }
    result = lth_note_read_fd(fd, arena, out, err);
    close(fd);
    return result;
}
