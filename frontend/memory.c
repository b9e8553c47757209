/* Growing text and request memory; see memory.h. */
#include "memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_CAPACITY (256 * 1024)
#define BLOCK_SIZE    (32 * 1024)

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("{\"level\":\"error\",\"message\":\"out of memory\"}\n", stderr);
        abort();
    }
    return memory;
}

void *must_alloc(size_t size)
{
    return checked(calloc(1, size));
}

void buffer_free(Buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof(*buffer));
}

void buffer_reset(Buffer *buffer)
{
    if (buffer->capacity > KEPT_CAPACITY)
        buffer_free(buffer);
    buffer->length = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

void buffer_reserve(Buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more + 1;
    size_t capacity = buffer->capacity ? buffer->capacity : 1024;

    if (needed <= buffer->capacity)
        return;
    while (capacity < needed)
        capacity *= 2;
    buffer->data = checked(realloc(buffer->data, capacity));
    buffer->capacity = capacity;
}

void buffer_add(Buffer *buffer, const char *bytes, size_t length)
{
    buffer_reserve(buffer, length);
    memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void buffer_text(Buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_format(Buffer *buffer, const char *format, ...)
{
    va_list args;
    int length;

    buffer_reserve(buffer, 128);
    va_start(args, format);
    length = vsnprintf(buffer->data + buffer->length, buffer->capacity - buffer->length, format, args);
    va_end(args);
    if ((size_t)length >= buffer->capacity - buffer->length) {
        buffer_reserve(buffer, (size_t)length);
        va_start(args, format);
        vsnprintf(buffer->data + buffer->length, buffer->capacity - buffer->length, format, args);
        va_end(args);
    }
    buffer->length += (size_t)length;
}

/* Bytes of the UTF-8 sequence at `s`; 0 when it is none (overlong forms and surrogates are none). */
static int utf8_sequence(const unsigned char *s)
{
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
            return 0;
        return (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ? 0 : 3;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 || (s[3] & 0xC0) != 0x80)
            return 0;
        return (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F) ? 0 : 4;
    }
    return 0;
}

void buffer_json_string(Buffer *buffer, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    buffer_add(buffer, "\"", 1);
    while (*s) {
        const unsigned char *plain = s;
        int sequence;

        while (*s >= 0x20 && *s < 0x80 && *s != '"' && *s != '\\')
            s++;
        if (s > plain)
            buffer_add(buffer, (const char *)plain, (size_t)(s - plain));
        if (*s == '\0')
            break;
        if (*s == '"' || *s == '\\') {
            buffer_format(buffer, "\\%c", *s++);
        } else if (*s < 0x80) {
            buffer_format(buffer, "\\u%04x", *s++);
        } else if ((sequence = utf8_sequence(s)) > 0) {
            buffer_add(buffer, (const char *)s, (size_t)sequence);
            s += sequence;
        } else {
            buffer_text(buffer, "\xEF\xBF\xBD");
            s++;
        }
    }
    buffer_add(buffer, "\"", 1);
}

struct ArenaBlock {
    ArenaBlock *next;
    size_t used, size;
    max_align_t memory[];
};

void *arena_alloc(Arena *arena, size_t size)
{
    ArenaBlock *block = arena->blocks;
    void *result;

    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        block = checked(malloc(sizeof(ArenaBlock) + room));
        block->next = arena->blocks;
        block->used = 0;
        block->size = room;
        arena->blocks = block;
    }
    result = (char *)block->memory + block->used;
    block->used += size;
    return result;
}

char *arena_copy(Arena *arena, const char *bytes, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);

    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

/* Written into the room the block has left (whole units, as arena_alloc() hands out); a second time only when
 * that is too small. */
char *arena_format(Arena *arena, const char *format, ...)
{
    ArenaBlock *block = arena->blocks;
    size_t room = block != NULL ? block->size - block->used : 0;
    va_list args;
    char *text;
    int length;

    va_start(args, format);
    length = vsnprintf(room > 0 ? (char *)block->memory + block->used : NULL, room, format, args);
    va_end(args);
    text = arena_alloc(arena, (size_t)length + 1);
    if ((size_t)length < room)
        return text;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void arena_reset(Arena *arena)
{
    ArenaBlock *block = arena->blocks;

    while (block != NULL && (block->next != NULL || block->size > BLOCK_SIZE)) {
        ArenaBlock *next = block->next;

        free(block);
        block = next;
    }
    arena->blocks = block;
    if (block != NULL)
        block->used = 0;
}

void arena_free(Arena *arena)
{
    while (arena->blocks != NULL) {
        ArenaBlock *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
