/* JSON log lines; see log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

static LogLevel threshold = LOG_LEVEL_WARN;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(LogLevel level)
{
    threshold = level;
}

LogLevel log_level(void)
{
    return threshold;
}

void log_write(LogLevel level, const char *message, ...)
{
    Buffer line = {0};
    struct timespec now;
    struct tm utc;
    char stamp[32];
    va_list pairs;

    if (level > threshold)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_format(&line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":", stamp,
                  now.tv_nsec / 1000000, level_names[level]);
    buffer_json_string(&line, message);
    va_start(pairs, message);
    for (const char *name; (name = va_arg(pairs, const char *)) != NULL;) {
        const char *value = va_arg(pairs, const char *);

        if (value == NULL)
            continue;
        buffer_add(&line, ",", 1);
        buffer_json_string(&line, name);
        buffer_add(&line, ":", 1);
        buffer_json_string(&line, value);
    }
    va_end(pairs);
    buffer_text(&line, "}\n");
    /* One write a line, so that lines of several threads don't mix. */
    if (write(STDERR_FILENO, line.data, line.length) < 0) {
        /* nowhere left to complain */
    }
    buffer_free(&line);
}
