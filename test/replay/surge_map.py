#!/usr/bin/env python3
"""Draw a day of surge: small maps at several times of day over outlines, and how many hexagons had surge all day.

    surge_map.py SURGE.geojson OUT.svg [--outlines AREAS.geojson[.gz]] [--zone NAME] [--times HH:MM,...] [--box W,S,E,N]
                 [--title TEXT] [--note TEXT]

SURGE.geojson: hexagons with `time`, `until` (UTC) and `multiplier`, one for each time a hexagon had that multiplier.
Without --times: eight, evenly spread over the time that the hexagons span. Without --box: where the hexagons drawn are.
Python's standard library only.
"""
import argparse
import gzip
import html
import json
import math
import textwrap
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

# Lower bounds of multipliers and their colours, light to dark (also when printed grey).
COLOURS = [(1.01, "#fee08b"), (1.3, "#fdae61"), (1.5, "#f46d43"), (1.8, "#d73027"), (2.0, "#a50026"), (2.5, "#5c0026")]
COLUMNS, PANEL, GAP, MARGIN, HEAD, STRIP = 4, 236, 12, 16, 58, 96
OUTSIDE, LAND, EDGE, INK, FAINT = "#dde5ea", "#fcfbf9", "#cbc6bb", "#222", "#666"


def mercator(lng, lat):
    """Web Mercator, radians; north is up, so y grows downwards."""
    return math.radians(lng), -math.asinh(math.tan(math.radians(lat)))


def rings(geometry):
    polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(geometry["type"], [])
    return [ring for polygon in polygons for ring in polygon]


def simplified(points, tolerance):
    """Douglas and Peucker 1973: the points needed to stay within `tolerance` of the line."""
    keep, stack = {0, len(points) - 1}, [(0, len(points) - 1)]
    while stack:
        first, last = stack.pop()
        (x0, y0), (x1, y1) = points[first], points[last]
        length, far, where = math.hypot(x1 - x0, y1 - y0), tolerance, None
        for i in range(first + 1, last):
            x, y = points[i]
            off = abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length if length else math.hypot(x - x0, y - y0)
            if off > far:
                far, where = off, i
        if where:
            keep.add(where)
            stack += [(first, where), (where, last)]
    return [points[i] for i in sorted(keep)]


class Map:
    """From degrees to pixels of a panel, for a box of degrees."""

    def __init__(self, box):
        (self.x, y1), (x1, self.y) = mercator(box[0], box[1]), mercator(box[2], box[3])
        self.scale = PANEL / (x1 - self.x)
        self.height = round((y1 - self.y) * self.scale)

    def pixels(self, ring):
        return [((x - self.x) * self.scale, (y - self.y) * self.scale) for x, y in (mercator(*p[:2]) for p in ring)]

    def path(self, ring, tolerance=0.0):
        points = self.pixels(ring)
        if max(p[0] for p in points) < 0 or min(p[0] for p in points) > PANEL or \
                max(p[1] for p in points) < 0 or min(p[1] for p in points) > self.height:
            return ""
        if tolerance:
            half = len(points) // 2  # a ring: both halves, so that the ends differ
            points = simplified(points[:half + 1], tolerance)[:-1] + simplified(points[half:], tolerance)
        if len(points) < 4:
            return ""
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points[:-1]) + "Z"


def moment(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        return json.load(f)["features"]


def colour(multiplier):
    return [c for least, c in COLOURS if multiplier >= least][-1]


def box_of(hexagons, times):
    drawn = [p for h in hexagons for p in h["ring"] if any(h["time"] <= t < h["until"] for t in times)]
    drawn = drawn or [p for h in hexagons for p in h["ring"]]
    west, east = min(p[0] for p in drawn), max(p[0] for p in drawn)
    south, north = min(p[1] for p in drawn), max(p[1] for p in drawn)
    return (west - 0.01, south - 0.01, east + 0.01, north + 0.01)


def panel(chart, hexagons, at, zone, x, y):
    """One small map: the hexagons of that moment over the land."""
    shown = [h for h in hexagons if h["time"] <= at < h["until"]]
    by_colour = {}
    for h in shown:
        by_colour.setdefault(colour(h["multiplier"]), []).append(chart.path(h["ring"]))
    out = [f'<svg x="{x}" y="{y}" width="{PANEL}" height="{chart.height}"><rect width="{PANEL}" height="{chart.height}" fill="{OUTSIDE}"/>',
           '<use href="#land"/>']
    out += [f'<path d="{"".join(paths)}" fill="{c}" fill-opacity=".85" stroke="#fff" stroke-width=".6"/>' for c, paths in sorted(by_colour.items())]
    label = f'{at.astimezone(zone):%H:%M}'
    highest = f'up to {max(h["multiplier"] for h in shown):.1f}' if shown else 'no surge'
    out.append(f'<rect width="112" height="20" fill="#fff" fill-opacity=".85"/><text x="6" y="14"><tspan font-weight="bold">{label}</tspan>'
               f'<tspan dx="7" fill="{FAINT}">{highest}</tspan></text></svg>')
    return out


def strip(hexagons, first, last, times, zone, x, y, width):
    """Hexagons with surge through the day, darker for 1.5 and more; a mark for each map."""
    steps = 288
    span = (last - first) / steps
    height = STRIP - 34
    counts = [[sum(1 for h in hexagons if h["time"] <= first + span * i < h["until"] and h["multiplier"] >= least) for i in range(steps)]
              for least in (1.01, 1.5)]
    most = max(max(counts[0]), 1)
    out = [f'<g transform="translate({x} {y})"><text x="0" y="-5" fill="{FAINT}">hexagons with surge, at most {most}; darker: 1.5 and more</text>']
    for line, fill in zip(counts, (COLOURS[0][1], COLOURS[2][1])):
        points = "".join(f"L{i * width / steps:.1f} {height - height * n / most:.1f}" for i, n in enumerate(line))
        out.append(f'<path d="M0 {height}{points}L{width} {height}Z" fill="{fill}"/>')
    hour = first.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    every = max(1, round((last - first) / timedelta(hours=8)))
    while hour <= last:
        at = width * ((hour - first) / (last - first))
        if at >= 0 and hour.hour % every == 0:
            anchor = "start" if at < 16 else "end" if at > width - 16 else "middle"
            out.append(f'<text x="{at:.1f}" y="{height + 14}" text-anchor="{anchor}" fill="{FAINT}">{hour:%H:%M}</text>')
        hour = (hour.astimezone(timezone.utc) + timedelta(hours=1)).astimezone(zone)
    for t in times:
        at = width * ((t - first) / (last - first))
        out.append(f'<path d="M{at:.1f} 0V{height}" stroke="{INK}" stroke-width=".7" stroke-dasharray="2 2"/>')
    return out + [f'<path d="M0 {height}H{width}" stroke="{FAINT}"/></g>']


def legend(x, y):
    out = [f'<g transform="translate({x} {y})"><text x="0" y="10" fill="{FAINT}">multiplier of the fare</text>']
    for i, (least, c) in enumerate(COLOURS):
        after = COLOURS[i + 1][0] if i + 1 < len(COLOURS) else 3.01
        label = f"{max(least, 1.1):g}" if after - least < 0.35 and least < 2 else f"{least:g} to {after - (0.1 if after < 3 else 0.01):g}"
        out.append(f'<rect x="{150 + i * 72}" y="0" width="14" height="12" fill="{c}"/><text x="{168 + i * 72}" y="10">{label}</text>')
    return out + ["</g>"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surge")
    parser.add_argument("out")
    parser.add_argument("--outlines")
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--times")
    parser.add_argument("--box")
    parser.add_argument("--title", default="Surge")
    parser.add_argument("--note", default="")
    args = parser.parse_args()
    zone = ZoneInfo(args.zone)
    hexagons = [{"ring": f["geometry"]["coordinates"][0], "time": moment(f["properties"]["time"]), "until": moment(f["properties"]["until"]),
                 "multiplier": f["properties"]["multiplier"]} for f in read(args.surge)]
    if not hexagons:
        parser.error("there was no surge: nothing to draw")
    first, last = min(h["time"] for h in hexagons), max(h["until"] for h in hexagons)
    if last - first > timedelta(hours=6):  # whole days
        first = first.astimezone(zone).replace(hour=0, minute=0, second=0)
        last = max(first + timedelta(days=1), last)
    if args.times:
        day = (first + (last - first) / 2).astimezone(zone).date()
        times = [datetime.combine(day, datetime.strptime(t, "%H:%M").time(), zone) for t in args.times.split(",")]
    else:
        times = [first + (last - first) * (i + 0.5) / 8 for i in range(8)]
    chart = Map([float(x) for x in args.box.split(",")] if args.box else box_of(hexagons, times))

    land = "".join(chart.path(ring, 0.5) for f in (read(args.outlines) if args.outlines else []) for ring in rings(f["geometry"]))
    rows = math.ceil(len(times) / COLUMNS)
    width = 2 * MARGIN + COLUMNS * PANEL + (COLUMNS - 1) * GAP
    below = HEAD + rows * (chart.height + GAP) + 20
    note = textwrap.wrap(args.note, 165)
    height = below + STRIP + 15 * len(note) + 4
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}">',
           f'<defs><path id="land" d="{land}" fill="{LAND}" stroke="{EDGE}" stroke-width=".5"/></defs>',
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{MARGIN}" y="25" font-size="17" font-weight="bold">{html.escape(args.title)}</text>']
    out += legend(MARGIN, 36)
    for i, t in enumerate(times):
        out += panel(chart, hexagons, t, zone, MARGIN + i % COLUMNS * (PANEL + GAP), HEAD + i // COLUMNS * (chart.height + GAP))
    out += strip(hexagons, first, last, times, zone, MARGIN, below, width - 2 * MARGIN)
    out += [f'<text x="{MARGIN}" y="{below + STRIP - 4 + 15 * i}" fill="{FAINT}" font-size="11">{html.escape(line)}</text>' for i, line in enumerate(note)]
    with open(args.out, "w", encoding="utf-8") as f:
        f.write("\n".join(out + ["</svg>", ""]))


if __name__ == "__main__":
    main()
