/*
 * log.h
 *    JSON lines on stderr. Callers never pass tokens, phone numbers, codes or bodies.
 */
#ifndef HAILD_LOG_H
#define HAILD_LOG_H

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } LogLevel;

extern void log_init(LogLevel level);
extern LogLevel log_level(void);

/* One line: time, level, message, and name-value pairs of text; the pairs end with a NULL name. */
extern void log_write(LogLevel level, const char *message, ...) __attribute__((sentinel));

#endif
