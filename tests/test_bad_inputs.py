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
import pytest
from bad_doors import DOORS, pairs
from bad_inputs import INPUTS, OPEN
from ffd_repro.base.warm import ADDRESS

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
