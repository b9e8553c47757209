/*
 * memory.h
 *    The two ways haild holds memory: a Buffer grows text, an Arena holds what lives for one request.
 *
 * Each worker thread owns one of each and reuses them, so that a request allocates nothing in the usual case.
 * Running out of memory ends the program: a front holds no state that could be lost.
 */
#ifndef HAILD_MEMORY_H
#define HAILD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Buffer {
    char *data; /* always ends in a zero byte that `length` doesn't count */
    size_t length;
    size_t capacity;
} Buffer;

extern void buffer_reset(Buffer *buffer); /* empties it; keeps a moderate capacity, gives a huge one back */
extern void buffer_free(Buffer *buffer);
extern void buffer_reserve(Buffer *buffer, size_t more); /* room for `more` bytes past length */
extern void buffer_add(Buffer *buffer, const char *bytes, size_t length);
extern void buffer_text(Buffer *buffer, const char *text);
extern void buffer_format(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD: the result is always valid JSON. */
extern void buffer_json_string(Buffer *buffer, const char *text);

typedef struct ArenaBlock ArenaBlock;
typedef struct Arena {
    ArenaBlock *blocks; /* newest first; the last one is kept over resets */
} Arena;

extern void *arena_alloc(Arena *arena, size_t size); /* aligned, not cleared; lives until arena_reset */
extern char *arena_copy(Arena *arena, const char *bytes, size_t length); /* zero-terminated copy */
extern char *arena_format(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void arena_reset(Arena *arena);
extern void arena_free(Arena *arena);

extern void *must_alloc(size_t size); /* cleared; never NULL */

#endif
