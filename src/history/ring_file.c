/*
 * The ring at a clean shutdown: what still waits is saved in a file of pg_stat, which the drainer loads after
 * the next start. The file's name carries the time, so that a server stopped again before its drainer came to
 * load it adds a file and overwrites none. A file is removed once the transaction that loaded it has
 * committed; loading it again is harmless, see history.c. After a crash there is no file.
 *
 * Format: FileHeader, then `count` HistoryPoint as in memory: written and read by the same build only.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "history/ring.h"
#include "history/store.h"

#define FILE_PREFIX   "pg_hail_history."
#define FILE_MAGIC    UINT64CONST(0x31474e4952494148) /* "HAIRING1" */
#define FILES_AT_ONCE 8

typedef struct FileHeader {
    uint64 magic;
    uint64 point_bytes; /* sizeof(HistoryPoint) of the build that wrote it */
    uint64 count;
    pg_crc32c crc; /* of the points */
} FileHeader;

/* Files that this transaction has read, to be removed at its commit. */
static struct {
    int count;
    SubTransactionId subid; /* whose abort takes the rows back */
    char paths[FILES_AT_ONCE][MAXPGPATH];
} loading;

static bool write_lane(FILE *file, HistoryRing *ring, int lane)
{
    uint64 n;

    for (uint64 upto = ring_readable(ring, lane, &n); n < upto; n++)
        if (fwrite(&ring_lane_points(ring, lane)[n % ring->capacity], sizeof(HistoryPoint), 1, file) != 1)
            return false;
    return true;
}

static FileHeader ring_header(HistoryRing *ring)
{
    FileHeader header = {FILE_MAGIC, sizeof(HistoryPoint), 0, 0};

    INIT_CRC32C(header.crc);
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        uint64 n;

        for (uint64 upto = ring_readable(ring, lane, &n); n < upto; n++, header.count++)
            COMP_CRC32C(header.crc, &ring_lane_points(ring, lane)[n % ring->capacity], sizeof(HistoryPoint));
    }
    FIN_CRC32C(header.crc);
    return header;
}

static bool write_ring(const char *path, HistoryRing *ring)
{
    FileHeader header = ring_header(ring);
    FILE *file = AllocateFile(path, PG_BINARY_W);
    bool good;

    if (file == NULL)
        return false;
    good = fwrite(&header, sizeof(header), 1, file) == 1;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        good = good && write_lane(file, ring, lane);
    return FreeFile(file) == 0 && good;
}

/* The postmaster, on its way out: no ERROR here. */
void ring_file_save(HistoryRing *ring)
{
    char path[MAXPGPATH], temporary[MAXPGPATH];

    if (history_waiting() == 0)
        return;
    snprintf(path, sizeof(path), "%s/" FILE_PREFIX INT64_FORMAT, PGSTAT_STAT_PERMANENT_DIRECTORY,
             (int64)GetCurrentTimestamp());
    snprintf(temporary, sizeof(temporary), "%s/pg_hail_history_tmp", PGSTAT_STAT_PERMANENT_DIRECTORY);
    if (!write_ring(temporary, ring)) {
        ereport(LOG, errcode_for_file_access(),
                errmsg("could not write " UINT64_FORMAT " positions to file \"%s\": %m", history_waiting(),
                       temporary));
        unlink(temporary);
        return;
    }
    durable_rename(temporary, path, LOG);
}

/* A file that can't be read is kept under another name for whoever wants to look. */
static int reject_file(const char *path, const char *why)
{
    char rejected[MAXPGPATH];

    snprintf(rejected, sizeof(rejected), "%s/pg_hail_rejected.%s", PGSTAT_STAT_PERMANENT_DIRECTORY,
             strrchr(path, '.') + 1);
    ereport(WARNING, errcode(ERRCODE_DATA_CORRUPTED), errmsg("file \"%s\" of saved positions %s", path, why),
            errdetail("It is kept as \"%s\".", rejected));
    (void)durable_rename(path, rejected, WARNING);
    return 0;
}

static const char *check_points(const FileHeader *header, const HistoryPoint *points, size_t bytes)
{
    pg_crc32c crc;

    if (bytes != header->count * sizeof(HistoryPoint))
        return "is cut short";
    INIT_CRC32C(crc);
    COMP_CRC32C(crc, points, bytes);
    FIN_CRC32C(crc);
    return EQ_CRC32C(crc, header->crc) ? NULL : "has a wrong checksum";
}

static int load_points(const char *path)
{
    FileHeader header;
    HistoryPoint *points = NULL;
    const char *wrong = "was written by another version";
    FILE *file = AllocateFile(path, PG_BINARY_R);

    if (file == NULL)
        ereport(ERROR, errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path));
    if (fread(&header, sizeof(header), 1, file) == 1 && header.magic == FILE_MAGIC &&
        header.point_bytes == sizeof(HistoryPoint) && header.count <= INT_MAX) {
        points = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, header.count * sizeof(HistoryPoint)));
        wrong = check_points(&header, points, fread(points, 1, header.count * sizeof(HistoryPoint), file));
    }
    FreeFile(file);
    if (wrong != NULL)
        return reject_file(path, wrong);
    history_store(points, Max(1, header.count), 0, header.count);
    pfree(points);
    return (int)header.count;
}

int history_load_files(void)
{
    DIR *directory;
    struct dirent *entry;
    int count = 0;

    if (loading.count > 0) /* done already, in this very transaction */
        return 0;
    directory = AllocateDir(PGSTAT_STAT_PERMANENT_DIRECTORY);
    while ((entry = ReadDir(directory, PGSTAT_STAT_PERMANENT_DIRECTORY)) != NULL &&
           loading.count < FILES_AT_ONCE) {
        char *path = loading.paths[loading.count];

        if (strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
            continue;
        snprintf(path, MAXPGPATH, "%s/%s", PGSTAT_STAT_PERMANENT_DIRECTORY, entry->d_name);
        count += load_points(path);
        loading.count++;
        loading.subid = GetCurrentSubTransactionId();
    }
    FreeDir(directory);
    return count;
}

/* Nothing here may fail; a file that stays is loaded again, which is harmless. */
static void at_transaction_end(XactEvent event, void *arg)
{
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
        return;
    for (int i = 0; i < loading.count && event == XACT_EVENT_COMMIT; i++)
        (void)unlink(loading.paths[i]);
    loading.count = 0;
}

static void at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
    if (loading.count == 0 || id != loading.subid)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB)
        loading.count = 0;
    else if (event == SUBXACT_EVENT_COMMIT_SUB)
        loading.subid = parent;
}

void ring_file_init(void)
{
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
}
