"""Commands that are killed, interrupted or told to end: nobody stays behind, nothing half-written is taken for whole."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
import pytest
from filelock import FileLock
from ffd_repro.base.paths import TEMPORARY
from ffd_repro.base.warm import ADDRESS, PYTHON

ROOT = Path(__file__).resolve().parent.parent
MAIN = 'import sys; from ffd_repro.base.console import main; sys.argv = sys.argv[1:]; sys.exit(main())'
CORPUS = ('ffd_corpus', 'UADFV', '--profile', 'smoke')
FACES = ('ffd_extract', 'UADFV', '--workers', '2')

def start(folder, *words, python=PYTHON, **env):
    places = dict(FFD_CACHE=str(folder/'cache'), FFD_RESULTS=str(folder/'results'), OMP_NUM_THREADS='1')
    return subprocess.Popen([*python, '-c', MAIN, *words], cwd=ROOT, env=os.environ | places | env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace')

def run(folder, *words):
    done = start(folder, *words)
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, err
    return out

def below(pid):
    "A process and all that it has started, as far as they live."
    seen = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try: number, rest = int(stat.parent.name), stat.read_text().rpartition(')')[2].split()
        except OSError: continue
        if rest[0] != 'Z': seen[number] = int(rest[1])
    found = [pid]
    for p in found: found += [child for child, parent in seen.items() if parent == p]
    return [p for p in found if p in seen]

def at_work_for(folder):
    "Processes whose cache lies in a folder, whoever started them."
    def works(p):
        try: return f'FFD_CACHE={folder}/cache'.encode() in (p/'environ').read_bytes().split(b'\0')
        except OSError: return False
    return alive([int(p.name) for p in Path('/proc').glob('[0-9]*') if works(p)])

def wait_for(what, within=300): # seconds; a few on an idle machine
    until = time.time() + within
    while not (found := what()):
        assert time.time() < until, 'it did not come to that'
        time.sleep(.05)
    return found

def alive(pids): return [p for p in pids if Path(f'/proc/{p}').exists() and '\nState:\tZ' not in Path(f'/proc/{p}/status').read_text()]

def files(folder): return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}

@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    "What the two commands leave when nobody stops them."
    folder = tmp_path_factory.mktemp('place')/'work'
    run(folder, *CORPUS)
    run(folder, *FACES)
    made = files(folder/'cache')
    folder.rename(folder.with_name('first'))
    return folder, made

def test_workers_of_a_killed_build_end_and_it_goes_on(unbroken):
    folder, whole = unbroken
    alone = {ADDRESS: ''} # a process of its own: nobody else ends its workers
    killed = start(folder, *CORPUS, python=[sys.executable], **alone)
    family = wait_for(lambda: len(tree := below(killed.pid)) >= 3 and list(folder.rglob('*.mp4')) and tree)
    killed.kill()
    wait_for(lambda: not alive(family), 10)
    begun = files(folder/'cache') # what has its name is whole
    assert all(whole.get(name) == data for name, data in begun.items() if not Path(name).name.startswith('.'))
    run(folder, *CORPUS)
    now = files(folder/'cache')
    assert now == {name: data for name, data in whole.items() if name.startswith('standins')}

@pytest.mark.parametrize('number, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_extraction_that_is_told_to_end_does_and_goes_on(unbroken, number, status):
    folder, whole = unbroken
    if not (folder/'cache').exists(): run(folder, *CORPUS)
    told = start(folder, *FACES)
    wait_for(lambda: list(folder.rglob('*.faces.npz')) or told.poll() is not None)
    family, began = below(told.pid), time.time()
    told.send_signal(number)
    out, err = told.communicate(timeout=60)
    if told.returncode: # it may have been done just before
        assert told.returncode == status and 'Traceback' not in err + out and 'goes on from here' in err, err
        assert time.time() - began < 5
    wait_for(lambda: not alive(family), 5)
    run(folder, *FACES)
    assert files(folder/'cache') == whole
    for store in (folder/'cache').glob('faces/*/*'): # so that the next one has something to do
        for f in store.iterdir(): f.unlink()
        store.rmdir()

def test_two_batches_in_one_folder(tmp_path):
    lock = FileLock(tmp_path/'cache'/'marks'/'smoke'/'batch.lock')
    Path(lock.lock_file).parent.mkdir(parents=True)
    with lock:
        second = start(tmp_path, 'ffd_reproduce', '--targets', 'lda/table-9')
        out, err = second.communicate(timeout=120)
    assert second.returncode == 1 and 'Another batch is at work in this folder' in err and 'Traceback' not in err

def test_a_batch_that_is_told_to_end_takes_all_its_jobs_along(tmp_path):
    batch = start(tmp_path, 'ffd_reproduce', '--targets', 'lda/table-9')
    wait_for(lambda: list(tmp_path.glob('cache/logs/smoke/corpus/*.log')))
    family = at_work_for(tmp_path)
    assert len(family) > 2 # the batch, the process that all are forked from, a job
    began = time.time()
    batch.send_signal(signal.SIGTERM)
    out, err = batch.communicate(timeout=60)
    assert batch.returncode == 143 and 'Traceback' not in err + out and time.time() - began < 5, err
    wait_for(lambda: not alive(family), 10)
    assert not list((tmp_path/'cache'/'.snakemake'/'locks').glob('*'))

def test_nothing_temporary_is_left(unbroken):
    assert not [p for p in unbroken[0].parent.rglob(f'*{TEMPORARY}*')]
