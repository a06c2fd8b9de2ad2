"""Kills commands at random moments and lets them go on: the end must be the same bytes. `python benchmarks/kills.py --rounds 50`"""
import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from ffd_repro.base.paths import TEMPORARY
from ffd_repro.base.warm import ADDRESS

ROOT = Path(__file__).resolve().parent.parent
MAIN = 'import sys; from ffd_repro.base.console import main; sys.argv = sys.argv[1:]; sys.exit(main())'
TARGET = 'mclcr/table-4' # a page with few runs
TRAIN = ('ffd_train', 'meso_inception4', '--train', 'HFF') # UADFV has test videos only
CORPUS, FACES = ('ffd_corpus', 'UADFV'), ('ffd_extract', 'UADFV')
WORKS = dict(corpus=([], CORPUS), # what is done before, what is killed
             extraction=([CORPUS], FACES),
             training=([('ffd_faces', 'HFF')], TRAIN),
             scoring=([TRAIN, ('ffd_faces', 'UADFV')], (*TRAIN, '--tests', 'HFF,UADFV')),
             page=([('ffd_reproduce', '--targets', TARGET)], ('ffd_page', TARGET)),
             report=([('ffd_reproduce', '--targets', TARGET)], ('ffd_report',)),
             batch=([], ('ffd_reproduce', '--targets', TARGET)))
SPENT = ('wall_s', 'cpu_s', 'peak_mb') # of a record: what a run took
WAYS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ELSEWHERE = ('logs', 'marks', '.snakemake', 'locks') # below the cache: what a batch tells and remembers

def start(place, words):
    env = {k: v for k, v in os.environ.items() if k != ADDRESS} | dict(FFD_CACHE=f'{place}/cache', FFD_RESULTS=f'{place}/results',
                                                                      OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.Popen([sys.executable, '-c', MAIN, *words], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')

def run(place, words):
    "A command to its end, and its seconds."
    began, p = time.time(), start(place, words)
    said, _ = p.communicate()
    if p.returncode: sys.exit(f'{" ".join(words)} failed:\n{said[-3000:]}')
    return time.time() - began

def content(path):
    "The bytes of a file, of a record without what it took."
    data = path.read_bytes()
    if path.parent.name != 'runs' or path.suffix != '.json': return hashlib.sha256(data).hexdigest()
    return hashlib.sha256(json.dumps({k: v for k, v in json.loads(data).items() if k not in SPENT}, sort_keys=True).encode()).hexdigest()

def visible(place):
    "Every file that somebody may read, and what is in it."
    found = {p.relative_to(place): p for p in sorted(place.rglob('*')) if p.is_file()}
    def read(name):
        hidden = any(part.startswith('.') for part in name.parts) or name.parts[1] in ELSEWHERE and name.parts[0] == 'cache'
        return not hidden and name.name != 'lock' and name.suffix not in ('.lock', '.pt')
    return {str(name): content(p) for name, p in found.items() if read(name)}

def relatives(place):
    "The processes that work for a place, whoever started them."
    return [int(p.name) for p in Path('/proc').glob('[0-9]*') if works_for(p, place)]

def works_for(process, place):
    "Whether a live process was started with this place for its cache."
    try:
        if (process/'stat').read_text().rpartition(')')[2].split()[0] == 'Z': return False
        return f'FFD_CACHE={place}/cache'.encode() in (process/'environ').read_bytes().split(b'\0')
    except OSError: return False

def called(pid):
    "What a process was started as, as far as it is still there."
    try: return Path(f'/proc/{pid}/cmdline').read_text(errors='replace').replace('\0', ' ')[-200:].strip()
    except OSError: return f'{pid}, gone meanwhile'

def put(place, state):
    shutil.rmtree(place, ignore_errors=True)
    if state.exists(): shutil.copytree(state, place)

def readable(path):
    "Whether a file on its way, like a record that tests are still added to, is whole as it is."
    try: text = path.read_text()
    except UnicodeDecodeError: return False
    try: return path.suffix not in ('.json', '.ipynb') or bool(json.loads(text))
    except ValueError: return False

def wrong_after_kill(place, before, whole):
    "Names of files that are neither what they were nor what they become, and cannot be read."
    odd = [name for name, data in visible(place).items() if data not in (before.get(name), whole.get(name))]
    return [name for name in odd if not readable(place/name)]

def once(place, state, words, before, whole, seconds, number, draw):
    "One kill and one resume; what was wrong."
    put(place, state)
    moment, p = draw.uniform(.1, 1)*seconds, start(place, words) # before that python itself starts
    try: said = p.communicate(timeout=moment)[0]
    except subprocess.TimeoutExpired:
        p.send_signal(number)
        began, said = time.time(), p.communicate()[0]
        took = time.time() - began
        if number != signal.SIGKILL and (p.returncode not in (0, 128 + number, -number) or took > 5 or 'Traceback' in said):
            yield f'{number.name}: status {p.returncode} after {took:.1f} s: {said[-600:]}'
    until = time.time() + 10
    while (left := relatives(place)) and time.time() < until: time.sleep(.1)
    if left: yield f'processes are left: {[called(p) for p in left]}'
    if odd := wrong_after_kill(place, before, whole): yield f'half-written: {odd[:5]}'
    run(place, words)
    now = visible(place)
    if now != whole: yield f'other bytes: {sorted(k for k in now.keys() | whole.keys() if now.get(k) != whole.get(k))[:5]}'
    rest = [*place.rglob(f'*{TEMPORARY}*'), *place.glob('cache/.snakemake/locks/*')]
    if rest: yield f'left behind: {[p.name for p in rest[:5]]}'

def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--rounds', type=int, default=50, help='kills in all')
    ask.add_argument('--works', default=','.join(WORKS), help='which works')
    ask.add_argument('--seed', type=int, default=0)
    asked = ask.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background ignores it, and so would what is started here
    draw, works, failures = random.Random(asked.seed), asked.works.split(','), 0
    with tempfile.TemporaryDirectory(prefix='kills of ffd ') as folder: # a blank in every path
        place, known = Path(folder)/'work', {}
        for n in range(asked.rounds):
            work = works[n % len(works)]
            earlier, words = WORKS[work]
            state = Path(folder)/f'before {work}'
            if work not in known:
                for first in earlier: run(place, first)
                if place.exists(): shutil.copytree(place, state)
                before, seconds = visible(place) if place.exists() else {}, run(place, words)
                known[work] = before, visible(place), seconds
                shutil.rmtree(place)
            before, whole, seconds = known[work]
            number = draw.choice(WAYS)
            problems = list(once(place, state, words, before, whole, seconds, number, draw))
            failures += bool(problems)
            print(f'{n + 1:3d} {work:10s} {number.name:8s} {"; ".join(problems) or "ok"}', flush=True)
    print(f'{asked.rounds - failures} of {asked.rounds} ended as if nobody had killed them')
    sys.exit(failures > 0)

if __name__ == '__main__': main()
