#!/usr/bin/env python3
"""table.py: for each workload/peer/tag the line measured with the least other load"""
import json, os
PEERS = os.environ.get('PEERS', os.path.expanduser('~/.cache/stream-peers'))
best = {}
for l in open(f'{PEERS}/bench/results.jsonl'):
    j = json.loads(l)
    if 'error' in j or j.get('complete') is False or j.get('checksum_ok') is False: continue
    k = (j['workload'], j['peer'], j['tag'] + (f" {j['batch_ms']}ms" if j['workload'] == 'w4' and 'batch_ms' in j else '') + (' keyed' if j['opts'].get('keyed') else ''))
    if k not in best or j['noise']['other_cpu_frac'] < best[k]['noise']['other_cpu_frac']: best[k] = j
f = lambda v, d=0: '' if v is None else f'{v:,.{d}f}'
print(f"{'workload':5} {'peer':26} {'records/s':>12} {'cpu_s/Mrec':>11} {'rss MB':>8} {'p50ms':>8} {'p99ms':>8} {'max ms':>8} {'other':>6}  rest")
for k in sorted(best):
    j = best[k]; rest = {x: j[x] for x in ('first_output_s', 'rss_idle_mb', 'idle_cpu_frac', 'sched_delay_max_ms', 'init_records_per_s', 'tcp_loopback_bytes_per_s', 'memcpy_1t_bytes_per_s', 'sum_1t_bytes_per_s', 'sum_2t_bytes_per_s', 'append_fdatasync_1m_bytes_per_s', 'append_fdatasync_8m_bytes_per_s', 'sync_4k_p50_ms') if x in j}
    print(f"{k[0]:5} {k[1] + k[2]:26} {f(j.get('records_per_s')):>12} {f(j.get('cpu_s_per_mrec'), 3):>11} {f(j['peak_rss_mb']):>8} {f(j.get('p50_ms'), 2):>8} {f(j.get('p99_ms'), 2):>8} {f(j.get('max_ms'), 1):>8} {j['noise']['other_cpu_frac']:>6.2f}  {rest or ''}")
