"""Commands as forks of a warm process: as far as a caller can see, each is a python of its own."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
import pytest
from ffd_repro.base.warm import ADDRESS, PYTHON, warm

@pytest.fixture(scope='module')
def server():
    outer = os.environ.pop(ADDRESS, '') # of the gate
    with warm('json'): yield os.environ[ADDRESS]
    os.environ[ADDRESS] = outer

def start(text, *words, **more):
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen([*PYTHON, '-c', text, *words], text=True, **streams, **more)

def gone(pid, within=10):
    "Whether a process ends soon."
    for _ in range(100*within):
        try: ended = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
        except (FileNotFoundError, ProcessLookupError): ended = True
        if ended: return True
        time.sleep(.01)

def test_a_command_is_a_fork_with_its_callers_surroundings(server, tmp_path):
    shows = 'print(os.getcwd(), os.environ["FFD_TEST"], sys.argv, "json" in sys.modules, __name__)'
    text = f'import os, sys; {shows}; print("bad", file=sys.stderr); sys.exit(7)'
    command = start(text, 'a word', cwd=tmp_path, env=os.environ | dict(FFD_TEST='here'))
    out, err = command.communicate()
    assert (out, err, command.returncode) == (f"{tmp_path} here ['-c', 'a word'] True __main__\n", 'bad\n', 7)

def test_files_modules_and_errors(server, tmp_path):
    (tmp_path/'beside.py').write_text('word = "found"')
    (tmp_path/'program.py').write_text('import beside, sys; print(beside.word, __name__, sys.argv[1:]); raise ValueError("no")')
    done = subprocess.run([*PYTHON, tmp_path/'program.py', '--option'], capture_output=True, text=True)
    assert done.stdout == "found __main__ ['--option']\n" and 'ValueError: no' in done.stderr and done.returncode == 1
    assert subprocess.run([*PYTHON, '-m', 'json.tool'], input='{"a":1}', capture_output=True, text=True).stdout == '{\n    "a": 1\n}\n'

def test_random_streams_differ(server):
    drawn = [start('import random; print(random.random())').communicate()[0] for _ in range(2)]
    assert drawn[0] != drawn[1]

@pytest.mark.parametrize('number, status', [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_signals_reach_the_command(server, number, status):
    command = start('import time; print("ready", flush=True); time.sleep(60)')
    command.stdout.readline()
    command.send_signal(number)
    assert command.wait(10) == status

def test_a_killed_client_takes_its_command_and_its_workers_along(server):
    text = 'import os, subprocess, sys; w = subprocess.Popen(["sleep", "60"]); print(os.getpid(), w.pid, flush=True); w.wait()'
    command = start(text)
    pids = command.stdout.readline().split()
    command.kill()
    assert all(gone(pid) for pid in pids)

def test_another_number_of_threads_gets_a_python_of_its_own(server):
    text = 'import os; print(os.getppid())'
    other = start(text, env=os.environ | dict(OMP_NUM_THREADS='3'))
    assert int(other.communicate()[0]) == os.getpid() # started by us: the words were handed to python itself
    assert int(start(text).communicate()[0]) != os.getpid()

def test_commands_end_with_their_server(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    with warm():
        command = start('import os, time; print(os.getpid(), flush=True); time.sleep(60)')
        pid = command.stdout.readline().strip()
    assert gone(pid) and command.wait(10)
    assert start('print(1)').communicate()[0] == '1\n'

def test_a_server_under_a_server_knows_what_was_worked_out_first(server):
    shows = 'import json, sys; print(getattr(json, "worked_out", None), sys.argv); sys.exit(3)'
    with warm(first='import json; json.worked_out = 7'):
        command = start(shows, 'a word')
        assert (command.communicate()[0], command.returncode) == ("7 ['-c', 'a word']\n", 3)
        outlives = start('import os, time; print(os.getpid(), flush=True); time.sleep(60)')
        pid = outlives.stdout.readline().strip()
    assert gone(pid) and outlives.wait(10)
    assert start(shows, 'a word').communicate()[0] == "None ['-c', 'a word']\n" # and nobody else does

def test_forks_of_a_starter_with_workers_keep_their_output_and_leave_the_workers_alone():
    text = '''import multiprocessing, os, subprocess, tempfile
from joblib import Parallel, delayed
from ffd_repro.base.warm import PYTHON, warm
at_work = lambda: sorted(w.pid for w in multiprocessing.active_children())
Parallel(2)(delayed(abs)(i) for i in range(2))
folder, before = tempfile.TemporaryDirectory(), at_work()
asked = 'import sys; from joblib import Parallel, delayed; print(Parallel(2)(delayed(abs)(-i) for i in range(2))); sys.exit(7)'
with warm(): done = subprocess.run([*PYTHON, '-c', asked], capture_output=True, text=True)
print((done.stdout, done.stderr, done.returncode) == ('[0, 1]\\n', '', 7), len(before), at_work() == before, os.path.isdir(folder.name))
'''
    alone = {k: v for k, v in os.environ.items() if k != ADDRESS}
    done = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True, env=alone)
    assert done.stdout.split() == ['True', '2', 'True', 'True'], done.stderr

def test_a_server_that_still_imports_ends_with_its_starter(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    began = time.time()
    with pytest.raises(KeyboardInterrupt), warm(first='import time; time.sleep(60)'): raise KeyboardInterrupt
    assert time.time() - began < 20 # seconds; half of one on an idle machine

def test_a_command_that_waits_for_its_server_ends_with_its_starter(tmp_path):
    text = '''import subprocess
from ffd_repro.base.warm import PYTHON, warm
with warm(first='import time; time.sleep(60)'):
    command = subprocess.Popen([*PYTHON, '-c', 'open("begun", "w"); import time; time.sleep(60)'])
    print(command.pid, flush=True)
    command.wait()'''
    alone = {k: v for k, v in os.environ.items() if k != ADDRESS}
    starter = subprocess.Popen([sys.executable, '-c', text], stdout=subprocess.PIPE, text=True, env=alone, cwd=tmp_path)
    pid = starter.stdout.readline().strip()
    time.sleep(1) # until it waits: a fiftieth of a second on an idle machine
    starter.kill()
    starter.wait()
    assert gone(pid, 30) and not (tmp_path/'begun').exists()
