/* The hexagons of a tick: found again however many, neighbours weighed in, drivers counted. */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "geo/hexgrid.h"
#include "pricing/surge_field.h"

static const SurgeStep usual[] = {{1, 100}, {1.5, 110}, {2, 130}, {3, 150}, {4, 180}};

static SurgeRegion region(double weight)
{
    SurgeRegion r = {.id = 7,
                     .size_m = 1000,
                     .west = 20,
                     .south = -2,
                     .east = 22,
                     .north = 2,
                     .quote_weight = 0.2,
                     .neighbour_weight = weight,
                     .rules = {.steps = usual, .count = 5, .cap = 300, .hold_us = 300000000}};

    return r;
}

static int64_t cell_at(int i, int j)
{
    return hexgrid_pack((HexCell){i, j});
}

static void settle_all(SurgeField *field, const SurgeRegion *r, double share)
{
    surge_field_surround(field, r, 1);
    for (int i = 0; i < field->count; i++)
        surge_field_settle(field, i, r, share, 0);
}

static void free_field(SurgeField *field)
{
    free(field->cells);
    free(field->index);
}

static void every_cell_is_found_again(void)
{
    SurgeField field;

    surge_field_init(&field, 0, realloc);
    for (int n = 0; n < 20000; n++)
        CHECK_INT(surge_field_enter(&field, (int16_t)(n % 3), cell_at(n / 100 - 50, n % 100 - 50)), n);
    for (int n = 0; n < 20000; n++) {
        CHECK_INT(surge_field_find(&field, (int16_t)(n % 3), cell_at(n / 100 - 50, n % 100 - 50)), n);
        if (unit_broken > 10)
            break;
    }
    CHECK_INT(surge_field_find(&field, 3, cell_at(0, 0)), -1);
    CHECK_INT(surge_field_find(&field, 0, cell_at(500, 0)), -1);
    CHECK_INT(field.count, 20000);
    free_field(&field);
}

static void who_looks_counts_by_the_weight(void)
{
    SurgeCell cell = {.requests = 3, .lookers = 10};

    CHECK(fabs(surge_cell_demand(&cell, 0.2) - 5) < 1e-12);
    CHECK(fabs(surge_cell_demand(&cell, 0) - 3) < 1e-12);
}

static void a_cell_stands_for_itself_without_weight(void)
{
    SurgeField field;
    SurgeRegion r = region(0);
    int i;

    surge_field_init(&field, 0, realloc);
    i = surge_field_enter(&field, 7, cell_at(10, 10));
    field.cells[i].requests = 5;
    field.cells[i].drivers = 2;
    settle_all(&field, &r, 1);
    CHECK_INT(field.count, 1);
    CHECK(field.cells[i].ratio == 2.5f);
    CHECK_INT(field.cells[i].target, 150);
    CHECK_INT(field.cells[i].multiplier, 110);
    free_field(&field);
}

static void drivers_next_door_help(void)
{
    SurgeField field;
    SurgeRegion r = region(0.3);
    HexCell neighbours[6];
    int i;

    surge_field_init(&field, 0, realloc);
    i = surge_field_enter(&field, 7, cell_at(10, 10));
    field.cells[i].requests = 20;
    surge_field_surround(&field, &r, 1);
    hexgrid_neighbours((HexCell){10, 10}, neighbours);
    for (int k = 0; k < 6; k++)
        field.cells[surge_field_find(&field, 7, hexgrid_pack(neighbours[k]))].drivers = 10;
    surge_field_settle(&field, i, &r, 1, 0);
    CHECK(fabs(field.cells[i].demand - 14) < 1e-5);
    CHECK(fabs(field.cells[i].supply - 3) < 1e-5);
    free_field(&field);
}

static void much_demand_falls_to_the_neighbours(void)
{
    SurgeField field;
    SurgeRegion r = region(0.3);
    HexCell neighbours[6];
    int i, n;

    surge_field_init(&field, 0, realloc);
    i = surge_field_enter(&field, 7, cell_at(10, 10));
    field.cells[i].requests = 30;
    settle_all(&field, &r, 1);
    CHECK_INT(field.count, 7);
    hexgrid_neighbours((HexCell){10, 10}, neighbours);
    for (int k = 0; k < 6; k++) {
        n = surge_field_find(&field, 7, hexgrid_pack(neighbours[k]));
        CHECK(fabs(field.cells[n].demand - 1.5) < 1e-5);
        CHECK_INT(field.cells[n].target, 130);
        CHECK(surge_cell_matters(&field.cells[n]));
    }
    free_field(&field);
}

static void little_demand_makes_no_cells_to_remember(void)
{
    SurgeField field;
    SurgeRegion r = region(0.3);
    int kept = 0;

    surge_field_init(&field, 0, realloc);
    surge_field_cell(&field, 7, cell_at(10, 10))->requests = 5;
    settle_all(&field, &r, 1);
    for (int i = 0; i < field.count; i++)
        kept += surge_cell_matters(&field.cells[i]);
    CHECK_INT(kept, 1);
    free_field(&field);
}

/* Demand is neither made nor lost by smoothing. */
static void smoothing_keeps_the_sum(void)
{
    SurgeField field;
    SurgeRegion r = region(0.3);
    double counted = 0, smoothed = 0;

    srand(42);
    surge_field_init(&field, 0, realloc);
    for (int n = 0; n < 400; n++) {
        SurgeCell *cell = surge_field_cell(&field, 7, cell_at(n / 20, n % 20));

        cell->requests = 5 + rand() % 20;
        counted += cell->requests;
    }
    settle_all(&field, &r, 1);
    for (int i = 0; i < field.count; i++)
        smoothed += field.cells[i].tracked ? field.cells[i].demand
                                           : field.cells[i].around; /* too little to be looked at */
    CHECK(fabs(counted - smoothed) < 0.01 * counted);
    free_field(&field);
}

static void drivers_count_in_cells_that_are_there(void)
{
    SurgeField field;
    SurgeRegion r = region(0);
    int i;

    surge_field_init(&field, 0, realloc);
    i = surge_field_enter(&field, 7, hexgrid_pack(hexgrid_cell(0.5, 21, 1000)));
    surge_field_count_driver(&field, &r, 1, 0.5, 21);
    surge_field_count_driver(&field, &r, 1, 0.5, 21.5); /* a cell nobody asks in */
    surge_field_count_driver(&field, &r, 1, 5, 21);     /* outside the region */
    CHECK_INT(field.cells[i].drivers, 1);
    CHECK_INT(field.count, 1);
    free_field(&field);
}

static void a_quiet_cell_is_forgotten(void)
{
    SurgeField field;
    SurgeRegion r = region(0.3);
    int i, ticks = 0;

    surge_field_init(&field, 0, realloc);
    i = surge_field_enter(&field, 7, cell_at(10, 10));
    field.cells[i].demand = 0.8f;
    field.cells[i].supply = 3;
    while (surge_cell_matters(&field.cells[i]) && ticks < 100) {
        surge_field_settle(&field, i, &r, 0.5, 0);
        ticks++;
    }
    CHECK(ticks > 3 && ticks < 10);
    free_field(&field);
}

int main(void)
{
    RUN(every_cell_is_found_again);
    RUN(who_looks_counts_by_the_weight);
    RUN(a_cell_stands_for_itself_without_weight);
    RUN(drivers_next_door_help);
    RUN(much_demand_falls_to_the_neighbours);
    RUN(little_demand_makes_no_cells_to_remember);
    RUN(smoothing_keeps_the_sum);
    RUN(drivers_count_in_cells_that_are_there);
    RUN(a_quiet_cell_is_forgotten);
    return unit_result();
}
