/* The hexagons of a tick; see surge_field.h. */
#include "pricing/surge_field.h"

#include <string.h>

#include "geo/hexgrid.h"

/* A cell nobody asks in is settled when its neighbours lend it this share of what its first step needs. */
#define WORTH_TRACKING 0.5

#define NO_SUPPLY_YET (-1.0f)

uint32_t surge_cell_hash(int16_t region_id, int64_t cell)
{
    uint64_t h = (uint64_t)cell ^ ((uint64_t)(uint16_t)region_id << 48);

    h *= UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 32;
    h *= UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(h >> 32);
}

static uint32_t slot_of(const SurgeField *field, int16_t region_id, int64_t cell)
{
    uint32_t slot = surge_cell_hash(region_id, cell) & (field->slots - 1);

    while (field->index[slot] != 0) {
        const SurgeCell *known = &field->cells[field->index[slot] - 1];

        if (known->cell == cell && known->region_id == region_id)
            break;
        slot = (slot + 1) & (field->slots - 1);
    }
    return slot;
}

static void grow(SurgeField *field, int room)
{
    uint32_t slots = 64;

    while (slots < (uint32_t)room * 2)
        slots *= 2;
    field->cells = field->resize(field->cells, sizeof(SurgeCell) * (size_t)room);
    field->index = field->resize(field->index, sizeof(uint32_t) * slots);
    field->room = room;
    field->slots = slots;
    memset(field->index, 0, sizeof(uint32_t) * slots);
    for (int i = 0; i < field->count; i++)
        field->index[slot_of(field, field->cells[i].region_id, field->cells[i].cell)] = (uint32_t)i + 1;
}

void surge_field_init(SurgeField *field, int room, SurgeResize resize)
{
    *field = (SurgeField){.resize = resize};
    grow(field, room < 32 ? 32 : room);
}

int surge_field_find(const SurgeField *field, int16_t region_id, int64_t cell)
{
    return (int)field->index[slot_of(field, region_id, cell)] - 1;
}

int surge_field_enter(SurgeField *field, int16_t region_id, int64_t cell)
{
    uint32_t slot = slot_of(field, region_id, cell);
    SurgeCell *added;

    if (field->index[slot] != 0)
        return (int)field->index[slot] - 1;
    if (field->count == field->room) {
        grow(field, field->room * 2);
        slot = slot_of(field, region_id, cell);
    }
    added = &field->cells[field->count++];
    memset(added, 0, sizeof(SurgeCell));
    added->cell = cell;
    added->region_id = region_id;
    added->multiplier = added->target = SURGE_NONE;
    added->supply = NO_SUPPLY_YET;
    field->index[slot] = (uint32_t)field->count;
    return field->count - 1;
}

SurgeCell *surge_field_cell(SurgeField *field, int16_t region_id, int64_t cell)
{
    int i = surge_field_enter(field, region_id, cell); /* first: it may move them all */

    return &field->cells[i];
}

const SurgeRegion *surge_region(const SurgeRegion *regions, int count, int16_t id)
{
    int low = 0, high = count - 1;

    while (low <= high) {
        int middle = (low + high) / 2;

        if (regions[middle].id == id)
            return &regions[middle];
        if (regions[middle].id < id)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return NULL;
}

double surge_cell_demand(const SurgeCell *cell, double quote_weight)
{
    return cell->requests + quote_weight * cell->lookers;
}

void surge_field_surround(SurgeField *field, const SurgeRegion *regions, int count)
{
    int asked_for = field->count;

    for (int i = 0; i < asked_for; i++) {
        const SurgeRegion *region = surge_region(regions, count, field->cells[i].region_id);
        HexCell neighbours[6];
        double lent;

        if (region == NULL || region->neighbour_weight <= 0)
            continue;
        lent = surge_cell_demand(&field->cells[i], region->quote_weight) * region->neighbour_weight / 6;
        if (lent <= 0 && field->cells[i].multiplier == SURGE_NONE)
            continue;
        hexgrid_neighbours(hexgrid_unpack(field->cells[i].cell), neighbours);
        for (int k = 0; k < 6; k++) {
            int n = surge_field_enter(field, region->id, hexgrid_pack(neighbours[k]));

            field->cells[n].around += (float)lent;
        }
    }
}

void surge_field_count_driver(SurgeField *field, const SurgeRegion *regions, int count, double lat,
                              double lng)
{
    for (int r = 0; r < count; r++) {
        const SurgeRegion *region = &regions[r];
        int i;

        if (lat < region->south || lat > region->north || lng < region->west || lng > region->east)
            continue;
        i = surge_field_find(field, region->id, hexgrid_pack(hexgrid_cell(lat, lng, region->size_m)));
        if (i >= 0)
            field->cells[i].drivers++;
    }
}

/* Drivers in a cell and, weighed, around it. Neighbours that nobody counted in say nothing. */
static double supply_of(const SurgeField *field, const SurgeCell *cell, double weight)
{
    HexCell neighbours[6];
    int counted = 0, drivers = 0;

    if (weight <= 0)
        return cell->drivers;
    hexgrid_neighbours(hexgrid_unpack(cell->cell), neighbours);
    for (int k = 0; k < 6; k++) {
        int n = surge_field_find(field, cell->region_id, hexgrid_pack(neighbours[k]));

        if (n >= 0) {
            drivers += field->cells[n].drivers;
            counted++;
        }
    }
    return counted == 0 ? cell->drivers : (1 - weight) * cell->drivers + weight * (double)drivers / counted;
}

static double at_least_one(double supply)
{
    return supply < 1 ? 1 : supply;
}

static bool worth_tracking(const SurgeCell *cell, const SurgeRules *rules)
{
    double first = rules->count > 0 ? rules->steps[0].below_ratio : 1;

    return cell->requests > 0 || cell->lookers > 0 || surge_cell_matters(cell) ||
           cell->around >= WORTH_TRACKING * first * at_least_one(cell->drivers);
}

SurgeState surge_field_settle(SurgeField *field, int i, const SurgeRegion *region, double share, int64_t now)
{
    SurgeCell *cell = &field->cells[i];
    SurgeState before = {cell->multiplier, cell->held_until}, after;
    double demand, supply;

    cell->tracked = worth_tracking(cell, &region->rules);
    if (!cell->tracked)
        return before;
    demand = (1 - region->neighbour_weight) * surge_cell_demand(cell, region->quote_weight) + cell->around;
    supply = supply_of(field, cell, region->neighbour_weight);
    cell->size_m = (float)region->size_m;
    cell->demand = (float)surge_average(cell->demand, demand, share);
    cell->supply = (float)(cell->supply < 0 ? supply : surge_average(cell->supply, supply, share));
    cell->ratio = (float)(cell->demand / at_least_one(cell->supply));
    after = surge_next(&region->rules, before, cell->ratio, now);
    cell->target = (uint16_t)surge_target(&region->rules, cell->ratio);
    cell->multiplier = (uint16_t)after.multiplier;
    cell->held_until =
        after.held_until > now && after.held_until - now <= region->rules.hold_us ? after.held_until : 0;
    return before;
}

bool surge_cell_matters(const SurgeCell *cell)
{
    return cell->demand > 0 || cell->multiplier > SURGE_NONE;
}
