#!/usr/bin/env python3
"""Measures how cost grows: runs `bench` over ranges of one parameter.

    Tools/plots/growth.py BENCH [SWEEP ...]

BENCH is the path of the program, SWEEP some of the names below; all of them without. Each point is run
several times; the least CPU time is kept, as other programs on the machine only add to it, and the most
beside it, to show the noise. Results go to Docs/Performance/growth/SWEEP.csv, from which
Tools/plots/plot.py draws.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "..", "..", "Docs", "Performance", "growth")

# name: (workload and fixed arguments, parameter, its values, measured fields, runs per point)
SWEEPS = {
    "rate": ("soak seconds=8 cost-only=1", "rate", [1000, 3000, 10000, 30000, 100000, 300000],
             ["cpu_s", "cpu_s_per_mrec"], 3),
    "keys": ("keys", "keys", [100, 1000, 10000, 100000, 1000000], ["cpu_s_per_mrec", "rss_mb"], 5),
    "window": ("window-max slides=1000", "panes", [1, 3, 10, 30, 100, 300, 1000],
               ["cpu_p50_ms", "cpu_p99_ms", "rss_mb"], 3),
    "join": ("join records=500 keys=100000", "panes", [1, 3, 10, 30, 100],
             ["cpu_s_per_mrec", "rss_mb"], 3),
    "partitions": ("partitions", "partitions", [1, 2, 4, 10, 30, 100, 300, 1000],
                   ["cpu_s_per_mrec", "rss_mb"], 5),
    "receivers": ("receivers", "receivers", [1, 2, 4, 8, 16, 32, 64], ["cpu_s_per_mrec", "rss_mb"], 5),
    "state": ("state batches=200 rest-s=2 ckpt=CKPT", "keys", [10000, 100000, 1000000, 10000000],
              ["cpu_ms_per_batch", "p50_ms", "p99_ms", "rss_mb"], 2),
    "slots": ("keys batches=100", "slots", [1, 2, 4], ["seconds", "cpu_s_per_mrec"], 7),
}


def measure(bench, arguments):
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        command = [bench] + [a.replace("CKPT", folder + "/ckpt") for a in arguments]
        run = subprocess.run(command, capture_output=True, text=True)
        lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
        if run.returncode != 0 or not lines:
            sys.exit(f"{' '.join(command)} failed: {run.stderr.strip()}")
        return json.loads(lines[-1][7:])


def sweep(bench, name):
    fixed, parameter, values, fields, runs = SWEEPS[name]
    rows = [[parameter] + [f"{field}{end}" for field in fields for end in ("", "_most")]]
    for value in values:
        results = [measure(bench, fixed.split() + [f"{parameter}={value}"]) for _ in range(runs)]
        row = [str(value)]
        for field in fields:
            found = [result[field] for result in results]
            row += [f"{min(found):.4g}", f"{max(found):.4g}"]
        rows.append(row)
        print(name, " ".join(row), flush=True)
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, f"{name}.csv"), "w") as file:
        file.write("".join(",".join(row) + "\n" for row in rows))


if len(sys.argv) < 2:
    sys.exit(__doc__)
for chosen in sys.argv[2:] or SWEEPS:
    if chosen not in SWEEPS:
        sys.exit(f"there is no sweep {chosen}; there are {' '.join(SWEEPS)}")
    sweep(os.path.abspath(sys.argv[1]), chosen)
