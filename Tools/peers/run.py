#!/usr/bin/env python3
"""run.py WORKLOAD PEER [key=value ...]   (see README.md)
Runs one peer on one workload, prints one JSON line and appends it to results.jsonl.
WORKLOAD: w1a w1b w2 w3 w4 w5 w6 mem fsync tcp
PEER:     spark spark-ss flink limit limit2 ext   (ext: cmd=PATH, any program that speaks the protocol in README.md)
Options for the driver: wait-quiet=SECS (wait that long at most for other processes to go below 15 % CPU) lines= passes= warm= tag= xmx= gc= jvm= no-record=1 ; everything else goes to the peer.
"""
import json, os, resource, signal, socket, subprocess, sys, tempfile, time, shutil
HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.environ.get('PEERS', os.path.expanduser('~/.cache/stream-peers'))   # where setup.sh put the peers
B = f'{PEERS}/bench'                                                            # programs, data, logs and results
SJ = f'{PEERS}/spark/pyspark/jars'
FL = f'{PEERS}/flink/pyflink'
KIT = f'{B}/bin/kit'
M64 = (1 << 64) - 1
OPENS = ' '.join(f'--add-opens=java.base/{p}=ALL-UNNAMED' for p in
    ['java.lang', 'java.lang.invoke', 'java.lang.reflect', 'java.io', 'java.net', 'java.nio', 'java.util', 'java.util.concurrent', 'java.util.concurrent.atomic',
     'jdk.internal.ref', 'sun.nio.ch', 'sun.nio.cs', 'sun.security.action', 'sun.util.calendar']).split()

def stat_busy():
    f = [int(x) for x in open('/proc/stat').readline().split()[1:]]
    return (f[0] + f[1] + f[2] + f[5] + f[6] + f[7]) / 100.0, f[7] / 100.0

def free_port():
    s = socket.socket(); s.bind(('127.0.0.1', 0)); p = s.getsockname()[1]; s.close(); return p

def truth(lines):
    fn = f'{B}/data/w1-{lines}.truth'
    if not os.path.exists(fn):
        open(fn, 'w').write(subprocess.check_output([KIT, 'truth', '--file', f'{B}/data/w1.txt', '--lines', str(lines)], text=True))
    return json.load(open(fn))

def ref(name, args):
    """reference checksum from the limit program for w2/w3"""
    fn = f'{B}/data/{name}-' + '-'.join(args).replace('--', '') + '.truth'
    if not os.path.exists(fn):
        o = subprocess.check_output([KIT, 'limit-' + name, '--file', f'{B}/data/{name}.txt'] + args, text=True)
        open(fn, 'w').write([l for l in o.splitlines() if l.startswith('RESULT')][0][7:])
    return json.load(open(fn))

def main():
    if len(sys.argv) < 3: print(__doc__); sys.exit(2)
    w, peer = sys.argv[1], sys.argv[2]
    o = dict(x.split('=', 1) for x in sys.argv[3:])
    tag = o.pop('tag', ''); record = o.pop('no-record', '0') != '1'
    given = dict(o)
    tmp = tempfile.mkdtemp(prefix='peer-bench-')
    waitq = o.pop('wait-quiet', '0')
    limit_s = float(o.pop('limit-s', '200'))
    sender = None; expect = None; extra = {}
    kv = {}
    # ---------------- workload definitions
    if w == 'w1a':
        lines = int(o.pop('lines', 1000000)); passes = int(o.pop('passes', 2)); warm = int(o.pop('warm', 1))
        t = truth(lines); expect = t['checksum'], passes
        kv = dict(file=f'{B}/data/w1.txt', lines=lines, warm=warm, passes=passes)
        extra = dict(bytes=t['bytes'] * passes)
    elif w in ('w1b', 'w6'):
        lines = int(o.pop('lines', 1000000)); passes = int(o.pop('passes', 2)); warm = int(o.pop('warm', 1))
        t = truth(lines); expect = t['checksum'], passes
        port = free_port(); gate = tmp + '/gate'; so = tmp + '/sender.json'
        kv = {'port': port, 'gate': gate, 'sender-out': so, 'lines': lines, 'warm': warm, 'passes': passes, 'records': lines * passes, 'warm-words': t['words'] * warm, 'total-words': t['words'] * (warm + passes)}
        sender = [KIT, 'send', '--port', str(port), '--file', f'{B}/data/w1.txt', '--lines', str(lines), '--warm', str(warm), '--passes', str(passes), '--gate', gate, '--out', so, '--max-secs', '150']
        extra = dict(bytes=t['bytes'] * passes)
        if w == 'w6': kv['ckpt'] = o.pop('ckpt', f'{B}/data/ckpt-{os.getpid()}')
    elif w == 'w2':
        per, wb, mb = o.pop('per', '100000'), o.pop('warm-batches', '40'), o.pop('batches', '60')
        kv = {'file': f'{B}/data/w2.txt', 'per': per, 'warm-batches': wb, 'batches': mb, 'ckpt': f'{B}/data/ckpt-{os.getpid()}'}
        rf = ref('w2', ['--warm-batches', wb, '--batches', mb]); expect = rf['checksum'], 1; kv['outputs'] = rf['outputs']  # rows to expect in the timed slides
    elif w == 'w3':
        warm, passes = o.pop('warm', '1'), o.pop('passes', '3')
        kv = {'file': f'{B}/data/w3.txt', 'keys': 1000000, 'updates': 2000000, 'warm': warm, 'passes': passes, 'ckpt': f'{B}/data/ckpt-{os.getpid()}'}
        expect = ref('w3', ['--warm', warm, '--passes', passes])['checksum'], 1
    elif w == 'w4':
        rate, secs, ws = int(o.pop('rate', '20000')), int(o.pop('secs', '40')), int(o.pop('warm-s', '10'))
        port = free_port()
        kv = {'port': port, 'records': rate * secs, 'warm-s': ws, 'sender-out': tmp + '/sender.json'}
        if o.get('keyed') == '1': kv['ckpt'] = f'{B}/data/ckpt-{os.getpid()}'
        sender = [KIT, 'pace', '--port', str(port), '--rate', str(rate), '--secs', str(secs), '--out', tmp + '/sender.json']
        extra = dict(rate=rate)
    elif w == 'w5':
        port = free_port(); kv = {'port': port}
        sender = [KIT, 'send', '--port', str(port), '--file', f'{B}/data/w1.txt', '--lines', '1000', '--warm', '0', '--passes', '1', '--out', tmp + '/sender.json']
    elif w in ('mem', 'fsync', 'tcp'): peer = 'limit'
    else: sys.exit('unknown workload ' + w)
    # ---------------- peer command
    xmx = o.pop('xmx', '6g'); gc = o.pop('gc', 'Parallel'); jvm = o.pop('jvm', '').split(); cmdpath = o.pop('cmd', '')
    xms = [] if w == 'w5' else [f'-Xms{xmx}']
    kv.update(o)
    kvl = [f'{k}={v}' for k, v in kv.items()]
    J = ['java', f'-Xmx{xmx}'] + xms + [f'-XX:+Use{gc}GC', '-Dlog4j2.configurationFile=' + f'{HERE}/log4j2.properties'] + jvm + OPENS
    if peer in ('spark', 'spark-ss'): cmd = J + ['-cp', f'{B}/bin/spark:{SJ}/*', 'SparkPeer' if peer == 'spark' else 'SparkSS', w] + kvl
    elif peer == 'flink': cmd = J + ['-cp', f'{B}/bin/flink:{FL}/lib/*', 'FlinkPeer', w] + kvl
    elif peer in ('limit', 'limit2'):
        sub = {'mem': 'membw', 'fsync': 'fsync', 'tcp': 'tcpbw', 'w6': 'limit-w1b'}.get(w, 'limit-' + w)
        cmd = [KIT, sub] + [x for k, v in kv.items() for x in ('--' + k, str(v))]
        if peer == 'limit2': cmd += ['--threads', '2']
        if w == 'w6': cmd += ['--wal', f'{B}/data/wal.tmp']
    elif peer == 'ext': cmd = cmdpath.split() + [w] + kvl
    else: sys.exit('unknown peer ' + peer)
    os.makedirs(f'{B}/logs', exist_ok=True)
    wq = float(waitq)
    q_end = time.time() + wq
    while wq and time.time() < q_end:      # wait for a quiet machine: others below 15 % of the cores for 2 s
        x0, _ = stat_busy(); time.sleep(2); x1, _ = stat_busy()
        if (x1 - x0) / 2 / os.cpu_count() < 0.15: break
    log = open(f'{B}/logs/{w}-{peer}{tag}.log', 'w')
    sp = None
    if sender:
        sp = subprocess.Popen(sender, stdout=subprocess.PIPE, stderr=log, text=True)
        assert sp.stdout.readline().strip() == 'READY'
    load0 = os.getloadavg()[0]; b0, st0 = stat_busy(); tstart = time.time_ns(); r0 = resource.getrusage(resource.RUSAGE_CHILDREN)
    try: p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp)
    except OSError as e:
        if sp: sp.kill(); sp.wait()
        sys.exit(f'{cmd[0]}: {e.strerror} (cmd= takes an absolute path without spaces)')
    timer_end = time.time() + limit_s
    import threading
    def guard():
        while p.poll_done is False:
            if time.time() > timer_end: os.kill(p.pid, signal.SIGKILL); return
            time.sleep(0.2)
    p.poll_done = False
    th = threading.Thread(target=guard, daemon=True); th.start()
    res = None
    for line in p.stdout:
        if line.startswith('RESULT '): res = json.loads(line[7:])
        else: log.write(line)
    _, status, ru = os.wait4(p.pid, 0); p.poll_done = True; p.returncode = status
    b1, st1 = stat_busy(); wall = (time.time_ns() - tstart) / 1e9
    own = ru.ru_utime + ru.ru_stime; snd = 0.0
    if sp:
        try: sp.wait(3)
        except subprocess.TimeoutExpired: sp.kill(); sp.wait()
        try: extra['sender'] = json.load(open(tmp + '/sender.json'))
        except Exception: pass
        r1 = resource.getrusage(resource.RUSAGE_CHILDREN); snd = max(0.0, r1.ru_utime + r1.ru_stime - r0.ru_utime - r0.ru_stime - own)
    j = dict(workload=w, peer=peer, tag=tag)
    if res is None: j['error'] = f'no result (status {status}); see logs/{w}-{peer}{tag}.log'
    else:
        if 'first_output_ns' in res: j['first_output_s'] = (res['first_output_ns'] - tstart) / 1e9
        j.update({k: v for k, v in res.items() if k != 'x'})
        if expect and 'checksum' in res:
            j['checksum_ok'] = int(res['checksum']) & M64 == (int(expect[0]) * expect[1]) & M64
        if 'bytes' in extra and res.get('seconds'): j['bytes_per_s'] = extra['bytes'] / res['seconds']
        if res.get('cpu_s') and res.get('records') and 'cpu_s_per_mrec' not in res: j['cpu_s_per_mrec'] = res['cpu_s'] / res['records'] * 1e6
    if 'sender' in extra: j['sender'] = extra['sender']
    j.update(peak_rss_mb=ru.ru_maxrss / 1024, proc_cpu_s=round(own, 2), proc_wall_s=round(wall, 2), opts=given,
             noise=dict(load1=load0, other_cpu_s=round(max(0, b1 - b0 - own - snd), 2), other_cpu_frac=round(max(0, b1 - b0 - own - snd) / wall / os.cpu_count(), 3), steal_s=round(st1 - st0, 2)), at=time.strftime('%H:%M:%S'))
    # a figure counts only when the work was really done
    want = {'w1a': lambda: int(kv['lines']) * int(kv['passes']), 'w1b': lambda: int(kv['records']), 'w6': lambda: int(kv['records']),
            'w2': lambda: int(kv['per']) * int(kv['batches']), 'w3': lambda: int(kv['updates']) * int(kv['passes']), 'w4': lambda: int(kv['records'])}
    why = []
    if res is None: why.append('no result')
    else:
        if w in ('w1a', 'w1b', 'w2', 'w3', 'w6') and j.get('checksum_ok') is not True: why.append('checksum missing or wrong')
        if w in want and int(res.get('records', -1)) != want[w](): why.append(f"records {res.get('records')}, not {want[w]()}")
        if w in want and not 0 < float(res.get('cpu_s', 0)) <= j['proc_cpu_s'] + 0.05: why.append(f"cpu_s {res.get('cpu_s')} against {j['proc_cpu_s']} of the process")
        if w == 'w5' and not 0 < j.get('first_output_s', 0) < 100: why.append('no first output')
    if w not in ('mem', 'fsync', 'tcp'): j['accepted'] = not why
    if why: j['refused'] = '; '.join(why)
    for d in [tmp, f'{B}/data/ckpt-{os.getpid()}']: shutil.rmtree(d, ignore_errors=True)
    if os.path.exists(f'{B}/data/wal.tmp'): os.unlink(f'{B}/data/wal.tmp')
    line = json.dumps({k: (round(v, 4) if isinstance(v, float) else v) for k, v in j.items()})
    print(line)
    if record: open(f'{B}/results.jsonl', 'a').write(line + '\n')
    log.close()
main()
