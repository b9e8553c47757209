/* Settings from the environment; see config.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

typedef struct IntSetting {
    const char *name, *meaning;
    size_t offset;
    int fallback, min, max;
} IntSetting;

#define FIELD(f) offsetof(Config, f)
/* clang-format off */
static const IntSetting int_settings[] = {
    {"HAIL_THREADS", "client connections served at once", FIELD(threads), 64, 1, 4096},
    {"HAIL_OPS_THREADS", "the same on HAIL_OPS_LISTEN", FIELD(ops_threads), 2, 1, 64},
    {"HAIL_DB_CONNECTIONS", "connections to the database", FIELD(db_connections), 16, 1, 1000},
    {"HAIL_POOL_WAIT_MS", "wait for a free one of them before 503", FIELD(pool_wait_ms), 2000, 1, 60000},
    {"HAIL_KEEP_ALIVE_MS", "idle client connections are closed after this", FIELD(keep_alive_ms), 5000, 1, 600000},
    {"HAIL_READ_TIMEOUT_MS", "a request must have arrived within this", FIELD(read_timeout_ms), 10000, 100, 600000},
    {"HAIL_DRAIN_SECONDS", "running requests may take this long after SIGTERM", FIELD(drain_s), 30, 0, 3600},
    {"HAIL_SLOW_MS", "slower requests are logged", FIELD(slow_ms), 1000, 0, 3600000},
};
/* clang-format on */
#define INT_SETTINGS (sizeof(int_settings) / sizeof(int_settings[0]))

static bool fault(FILE *faults, const char *name, const char *what)
{
    fprintf(faults, "haild: %s: %s\n", name, what);
    return false;
}

static bool load_ints(Config *config, FILE *faults)
{
    bool good = true;

    for (size_t i = 0; i < INT_SETTINGS; i++) {
        const IntSetting *s = &int_settings[i];
        const char *text = getenv(s->name);
        long value = s->fallback;
        char *end;

        if (text != NULL) {
            errno = 0;
            value = strtol(text, &end, 10);
            if (errno != 0 || end == text || *end != '\0' || value < s->min || value > s->max) {
                fprintf(faults, "haild: %s: must be an integer from %d to %d\n", s->name, s->min, s->max);
                good = false;
                continue;
            }
        }
        *(int *)((char *)config + s->offset) = (int)value;
    }
    return good;
}

/* The first line of a file, as secrets are mounted; NULL and a fault otherwise. */
static char *first_line(const char *path)
{
    char line[4096];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return NULL;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return line[0] ? strdup(line) : NULL;
}

static bool load_database_url(Config *config, FILE *faults)
{
    const char *url = getenv("HAIL_DATABASE_URL"), *file = getenv("HAIL_DATABASE_URL_FILE");

    if (url != NULL && file != NULL)
        return fault(faults, "HAIL_DATABASE_URL", "set either this or HAIL_DATABASE_URL_FILE");
    if (file != NULL) {
        config->database_url = first_line(file);
        if (config->database_url == NULL)
            return fault(faults, "HAIL_DATABASE_URL_FILE",
                         "the file can't be read or its first line is empty");
        return true;
    }
    if (url == NULL || url[0] == '\0')
        return fault(faults, "HAIL_DATABASE_URL",
                     "must be set, for example to \"host=/run/postgresql dbname=hail user=hail_front\"");
    config->database_url = strdup(url);
    return true;
}

static bool port_is_good(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);

    return end != text && *end == '\0' && port >= 0 && port <= 65535;
}

static bool load_address(const char *name, const char *fallback, const char **result, FILE *faults)
{
    const char *text = getenv(name);
    const char *colon;

    *result = text != NULL && text[0] != '\0' ? text : fallback;
    if (*result == NULL)
        return true;
    colon = strrchr(*result, ':');
    if (!port_is_good(colon ? colon + 1 : *result))
        return fault(faults, name, "must be HOST:PORT or PORT");
    return true;
}

static bool load_origins(Config *config, FILE *faults)
{
    const char *text = getenv("HAIL_ORIGINS");
    char *save, *origin;

    if (text == NULL)
        return true;
    config->origin_list = strdup(text);
    for (origin = strtok_r(config->origin_list, ", ", &save); origin != NULL;
         origin = strtok_r(NULL, ", ", &save)) {
        const char *host = strstr(origin, "://");

        if (host == NULL || host == origin || strchr(host + 3, '/') != NULL || strchr(origin, '*') != NULL)
            return fault(faults, "HAIL_ORIGINS", "must list exact origins such as https://app.example.com");
        if (config->origin_count == HAILD_MAX_ORIGINS)
            return fault(faults, "HAIL_ORIGINS", "has room for 32 origins");
        config->origins[config->origin_count++] = origin;
    }
    return true;
}

static bool load_log_level(Config *config, FILE *faults)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *text = getenv("HAIL_LOG_LEVEL");

    config->log_level = LOG_LEVEL_WARN;
    if (text == NULL)
        return true;
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            config->log_level = (LogLevel)i;
            return true;
        }
    }
    return fault(faults, "HAIL_LOG_LEVEL", "must be error, warn, info or debug");
}

bool config_load(Config *config, FILE *faults)
{
    bool good;

    memset(config, 0, sizeof(*config));
    good = load_database_url(config, faults);
    good &= load_address("HAIL_LISTEN", "127.0.0.1:8080", &config->listen, faults);
    good &= load_address("HAIL_OPS_LISTEN", NULL, &config->ops_listen, faults);
    good &= load_ints(config, faults);
    good &= load_origins(config, faults);
    good &= load_log_level(config, faults);
    return good;
}

void config_free(Config *config)
{
    free(config->database_url);
    free(config->origin_list);
    memset(config, 0, sizeof(*config));
}

void config_describe(FILE *out)
{
    fputs("Settings (environment):\n"
          "  HAIL_DATABASE_URL      conninfo or URI of the database, as user hail_front (required)\n"
          "  HAIL_DATABASE_URL_FILE a file that holds it, instead\n"
          "  HAIL_LISTEN            address and port (127.0.0.1:8080)\n"
          "  HAIL_OPS_LISTEN        second address for health checks and metrics alone (none)\n"
          "  HAIL_ORIGINS           origins that browsers may call from, comma-separated (none)\n"
          "  HAIL_LOG_LEVEL         error, warn, info (a line a request) or debug (warn)\n",
          out);
    for (size_t i = 0; i < INT_SETTINGS; i++)
        fprintf(out, "  %-22s %s (%d)\n", int_settings[i].name, int_settings[i].meaning,
                int_settings[i].fallback);
}
