"""Everything that opens files, and every command, given what nobody should be given (`bad_inputs`, `bad_doors`): a named error or a counted
skip, in bounded time and memory; nothing is run, and nothing is written outside of the folder for what comes out."""
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
import numpy as np
import pytest
from bad_doors import DOORS, pairs
from bad_inputs import GOOD, INPUTS, NAMES, OPEN, OTHERS, UNREADABLE
from ffd_repro.base.warm import ADDRESS
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.faces.loading import FaceStore

ROOT = Path(__file__).resolve().parent.parent

def walked(home, names):
    "What one process tells of some doors; it has to reach the end."
    env = {k: v for k, v in os.environ.items() if k not in ('FFD_DATA', ADDRESS)} | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    with (home/'told').open('w') as out, (home/'err').open('w') as err:
        child = subprocess.Popen([sys.executable, str(ROOT/'tests'/'bad_doors.py'), str(home), *names], cwd=ROOT, stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=err, env=env, start_new_session=True)
        try: child.wait(600)
        finally:
            with suppress(ProcessLookupError): os.killpg(child.pid, signal.SIGKILL) # with all that it may have started
    lines = [json.loads(line) for line in (home/'told').read_text().splitlines() if line.startswith('{"')]
    assert lines and child.returncode == 0 and 'begins' not in lines[-1], (lines[-1:], (home/'err').read_text(errors='replace')[-2000:])
    return [line for line in lines if 'begins' not in line]

@pytest.fixture(scope='module')
def told(tmp_path_factory):
    names = sorted(DOORS, key=lambda n: (n == 'answer', n))
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(lambda half: walked(tmp_path_factory.mktemp('bad'), half), ([n for n in names if n != 'answer'], ['answer']))
        return [row for half in halves for row in half]

def fault(row):
    "What is wrong with an answer; '' where nothing is."
    if row['seen']: return f'did {row["seen"]}'
    if row['changed']: return f'changed {row["changed"]}'
    if 'says' in row: # a command line
        said = row['what'] + row['said']
        wrong = row['how'] != 'left' or row['what'] in ('0', 'None') or 'Traceback' in said or not re.search(row['says'], said)
        return f'{row["how"]}: {said[-500:]}' if wrong else ''
    return f'{row["how"]}: {row["what"]}' if row['how'] not in ('refused', 'counted', *['read']*row['whole']) else ''

@pytest.mark.parametrize('door', DOORS)
def test_bad_inputs_are_named_and_do_no_harm(told, door):
    rows = [r for r in told if r['door'] == door]
    assert len(rows) == sum(name == door and (name, what) not in OPEN for name, _, what in pairs())
    assert not (faults := [f'{r["input"][:80]}: {fault(r)}' for r in rows if fault(r)]), '\n'.join(faults)

def test_there_are_many_of_them():
    assert sum(map(len, INPUTS.values())) >= 150 and len(pairs()) >= 500

# one folder of everything

@pytest.fixture(scope='module')
def read_folder(tmp_path_factory):
    "What extraction, doctor and detection made of a folder of everything."
    home = tmp_path_factory.mktemp('folder')
    env = {k: v for k, v in os.environ.items() if k not in ('FFD_DATA', ADDRESS)} | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, str(ROOT/'tests'/'bad_doors.py'), str(home), 'everything'], cwd=home, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors='replace', env=env, timeout=600)
    assert (home/'told.json').exists(), done.stderr[-3000:]
    return home, json.loads((home/'told.json').read_text())

def test_a_folder_of_everything_harms_nothing(read_folder):
    home, found = read_folder
    assert not found['seen'] and not found['changed'] and not list(home.rglob('opened*')) and found['peak'] < 1500 # MB
    assert [t['status'] for t in found['told']] == [0, 0, 1, 1, 0, 1], [(t['words'], t['status'], t['said'][-500:]) for t in found['told']]
    assert not [t for t in found['told'] if 'Traceback' in t['said']]
    assert all(word in found['told'][2]['said'] for word in ('where: ', 'fix: ', 'more such files')) # of the extraction that skips nothing

def test_extraction_takes_the_good_ones_and_names_the_others(read_folder):
    home, found = read_folder
    alone, among = (FaceStore(home/'out'/name/'store') for name in ('good', 'all'))
    by_video = lambda store: {v: store.faces[g.index] for v, g in store.manifest.groupby('video')}
    alone, among = by_video(alone), by_video(among)
    assert len(alone) == 2*len(GOOD) and all(np.array_equal(among[v], faces) for v, faces in alone.items())
    assert among.keys() - alone.keys() == {'folder/real/' + os.fsdecode(n).rsplit('.', 1)[0] for n in NAMES} # odd names are names
    notes = read_corpus('folder', home/'all', missing='skip').attrs
    named = {s['path'] for s in json.loads((home/'out'/'all'/'store'/'meta.json').read_text())['skipped']}
    named |= {p for p, *_ in notes['problems']} | set(notes['ignored'])
    assert {f'real/{n}' for n in (*found['bad'], *map(os.fsdecode, UNREADABLE), *OTHERS)} <= named
    assert not any('/.' in n for n in named) # what is hidden is nobody's

def test_the_doctor_names_each(read_folder):
    home, found = read_folder
    report = json.loads((home/'out'/'all'/'doctor.json').read_text())
    said = '\n'.join(n for r in report['corpora'] for f in r['findings'] if f['severity'] != 'fine' for n in f['names'])
    assert not [n for n in (*found['bad'], *OTHERS, 'strip.png') if f'real/{n}' not in said]
    assert 'This check broke' not in found['told'][3]['said'] and 'Error' not in said, said

def test_detection_scores_the_good_ones_and_names_the_others(read_folder):
    home, found = read_folder
    alone, among = (json.loads((home/'out'/name/'answers'/'answers.json').read_text()) for name in ('good', 'all'))
    scored = lambda facts, name: {f['file'].removeprefix(str(home/name)): f['score'] for f in facts['files'] if f['faces']}
    good, all_ = scored(alone, 'good'), scored(among, 'all')
    assert len(good) == 2*len(GOOD) and all(all_[n] == score is not None for n, score in good.items())
    bad = {Path(f['file']).name: f['said'] for f in among['files'] if f['verdict'] == 'unreadable'}
    assert set(bad) == set(found['bad']) and all(';' in said for said in bad.values()) # what is wrong; what to do
    assert {Path(o).name for o in among['others']} == set(OTHERS)
    assert next(f['verdict'] for f in among['files'] if f['file'].endswith('strip.png')) == 'no face'
