#!/usr/bin/env python3
"""Draws Docs/Performance/growth/*.csv as SVG, on logarithmic axes; the same input gives the same bytes.

    Tools/plots/plot.py

The slope of the dotted line is that of linear growth: what is less steep grows more slowly.
"""
import math
import os

FOLDER = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "Docs", "Performance", "growth")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 64, 24, 40, 48

# file: (title, name of the x axis, the lines: column and label)
PLOTS = {
    "rate": ("CPU of 8 s under a steady rate", "records per second", [("cpu_s", "CPU seconds")]),
    "keys": ("Sums by key, 100,000 records a batch", "keys",
             [("cpu_s_per_mrec", "CPU seconds per million records")]),
    "window": ("A slide of a sliding maximum", "batches in the window",
               [("cpu_p50_ms", "CPU ms, median"), ("cpu_p99_ms", "CPU ms, 99th percentile")]),
    "join": ("A join over windows", "batches in the windows",
             [("cpu_s_per_mrec", "CPU seconds per million records")]),
    "partitions": ("Sums by key, 100,000 records a batch", "partitions before and after the shuffle",
                   [("cpu_s_per_mrec", "CPU seconds per million records")]),
    "receivers": ("Receivers at full speed", "receivers",
                  [("cpu_s_per_mrec", "CPU seconds per million records")]),
    "state": ("A batch that touches 1,000 keys", "keys with state",
              [("cpu_ms_per_batch", "CPU ms per batch"), ("p50_ms", "batch ms, median")]),
    "slots": ("Sums by key, 10 million records", "slots",
              [("seconds", "wall seconds"), ("cpu_s_per_mrec", "CPU seconds per million records")]),
}
COLOURS = ["#1f5fa8", "#b8481f"]


def read(name):
    with open(os.path.join(FOLDER, name + ".csv")) as file:
        rows = [line.strip().split(",") for line in file if line.strip()]
    return rows[0], [[float(value) for value in row] for row in rows[1:]]


def powers(low, high):
    return range(math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9) + 1)


def label(power):
    value = 10 ** power
    return f"{value:,.0f}" if power >= 0 else f"{value:.{-power}f}"


def draw(name):
    title, axis, lines = PLOTS[name]
    header, rows = read(name)
    xs = [row[0] for row in rows]
    series = [(text, [row[header.index(column)] for row in rows]) for column, text in lines]
    values = [value for _, column in series for value in column if value > 0]
    xp, yp = powers(min(xs), max(xs)), powers(min(values), max(values))
    if len(xp) < 2:
        xp = range(xp[0], xp[0] + 2)
    if len(yp) < 2:
        yp = range(yp[0], yp[0] + 2)

    def x(value):
        share = (math.log10(value) - xp[0]) / (xp[-1] - xp[0])
        return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"

    def y(value):
        share = (math.log10(value) - yp[0]) / (yp[-1] - yp[0])
        return f"{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="16" font-size="13">{title}</text>',
           f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{HEIGHT - 10}" '
           f'text-anchor="middle">{axis}</text>']
    for power in xp:
        at = x(10 ** power)
        out.append(f'<path d="M{at} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        out.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">'
                   f'{label(power)}</text>')
    for power in yp:
        at = y(10 ** power)
        out.append(f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{float(at) + 4:.1f}" text-anchor="end">'
                   f'{label(power)}</text>')
    decades = min(xp[-1] - xp[0], yp[-1] - yp[0])
    out.append(f'<path d="M{x(10 ** xp[0])} {y(10 ** yp[0])}L{x(10 ** (xp[0] + decades))} '
               f'{y(10 ** (yp[0] + decades))}" stroke="#999" stroke-dasharray="2 3"/>')
    for number, (text, column) in enumerate(series):
        colour = COLOURS[number]
        points = [(x(a), y(b)) for a, b in zip(xs, column) if b > 0]
        path = "L".join(f"{a} {b}" for a, b in points)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in points]
        out.append(f'<text x="{LEFT + 230 * number}" y="32" fill="{colour}">{text}</text>')
    out.append("</svg>")
    with open(os.path.join(FOLDER, name + ".svg"), "w") as file:
        file.write("\n".join(out) + "\n")


for plot in PLOTS:
    if os.path.exists(os.path.join(FOLDER, plot + ".csv")):
        draw(plot)
