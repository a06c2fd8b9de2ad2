"""The commands as a newcomer meets them: help, wrong names, and two of them at once."""
import json
import os
import resource
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
import pytest
from ffd_repro.base.warm import ADDRESS, PYTHON

ROOT = Path(__file__).resolve().parent.parent

def commands():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT/'settings.ini', encoding='utf-8')
    return sorted(line.split('=')[0] for line in config['DEFAULT']['console_scripts'].split())

MAIN = 'import sys; from ffd_repro.base.console import main; sys.argv = sys.argv[1:]; sys.exit(main())' # what every script holds

def ffd(*words, **env): # a fork of the gate's process, where one is kept
    return subprocess.run([*PYTHON, '-c', MAIN, *words], capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL,
                          env=os.environ | env, timeout=300)

@pytest.mark.parametrize('command', commands())
def test_help_is_for_newcomers(command):
    done = ffd(command, '--help')
    assert done.returncode == 0 and len(done.stdout) > 150, done.stderr
    assert 'default' in done.stdout or command in ('ffd', 'ffd_list', 'ffd_page', 'ffd_site')

@pytest.mark.parametrize('command', commands())
def test_help_takes_less_than_a_second_of_the_processor(command):
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, '-c', MAIN, command, '--help'], capture_output=True, text=True, cwd=ROOT)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime < 1, done.stderr

@pytest.mark.parametrize('words', [('ffd_reproduce', '--dry-run', '--targets', 'ldfnet/table-3', '--tflops', '1'),
                                   ('ffd', 'reproduce', '--dry_run', '--targets=ldfnet/table-3', '--tflops=1')])
def test_an_option_has_two_spellings_and_a_command_two_names(words):
    done = ffd(*words)
    assert done.returncode == 0 and 'ldfnet/table-3' in done.stdout, done.stderr

def test_the_version_is_told():
    from ffd_repro import __version__
    assert {ffd(*words, '--version').stdout for words in (('ffd',), ('ffd', 'train'), ('ffd_page',))} == {f'ffd_repro {__version__}\n'}

def test_a_command_needs_no_warm_process():
    done = subprocess.run([sys.executable, '-c', MAIN, 'ffd_list', 'detectors'], capture_output=True, text=True, cwd=ROOT,
                          env={k: v for k, v in os.environ.items() if k != ADDRESS})
    assert done.returncode == 0 and 'ldfnet' in done.stdout, done.stderr

@pytest.mark.parametrize('words, expected', [
    (('ffd_page', 'ldfnet/table-33'), 'did you mean'),
    (('ffd_page', 'ldfnet/table-3', '--profile', 'smal'), 'did you mean small'),
    (('ffd_train', 'ldfnett'), 'did you mean ldfnet'),
    (('ffd_train', 'ldfnet', '--setting', 'ful'), 'did you mean full'),
    (('ffd_train', 'ldfnet', '--train', 'FF++-MQ:'), 'not a view'),
    (('ffd_corpus', 'FF+'), 'FF++'),
    (('ffd_list', 'target'), 'did you mean targets'),
    (('ffd_page', 'ldfnet/table-3', '--profil', 'smal'), 'did you mean small'),
    (('ffd_page', 'ldfnet/table-3', '--no-trian'), 'did you mean --no-train'),
    (('ffd', 'trian'), 'did you mean train'),
    (('ffd_reproduce', '--targets', 'ldfnet/table-9'), 'did you mean')])
def test_a_wrong_name_gets_the_right_one(words, expected):
    done = ffd(*words)
    assert done.returncode != 0
    assert expected in done.stderr + done.stdout
    assert 'Traceback' not in done.stderr + done.stdout

def test_a_missing_data_folder_is_said_at_once():
    done = ffd('ffd_train', 'ldfnet', FFD_DATA=str(ROOT/'no such folder'))
    assert done.returncode != 0 and 'FFD_DATA does not name a folder' in done.stderr and 'Traceback' not in done.stderr

def test_two_processes_make_one_run(tmp_path):
    words = [*PYTHON, '-c', MAIN, 'ffd_train', 'meso_inception4', '--train', 'HFF', '--seed', '101']
    env = os.environ | dict(FFD_RESULTS=str(tmp_path/'results'), OMP_NUM_THREADS='1')
    both = [subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [p.communicate(timeout=300) for p in both]
    assert [p.returncode for p in both] == [0, 0], texts
    records = list((tmp_path/'results'/'runs').glob('*.json'))
    assert len(records) == 1 and json.loads(records[0].read_text())['status'] == 'ok'
    assert not [p for p in (tmp_path/'results'/'runs').iterdir() if p.name.startswith('.')]

def test_a_page_that_fails_leaves_the_old_one(tmp_path):
    env = dict(FFD_RESULTS=str(tmp_path), FFD_CACHE=str(tmp_path/'a file'))
    (tmp_path/'a file').write_text('in the way of the cache')
    page = tmp_path/'notebooks'/'ldfnet'/'table-3.ipynb'
    page.parent.mkdir(parents=True)
    page.write_text('the old page')
    done = ffd('ffd_page', 'ldfnet/table-3', **env)
    assert done.returncode != 0 and 'Traceback' not in done.stderr
    assert page.read_text() == 'the old page' and [p.name for p in page.parent.iterdir()] == ['table-3.ipynb']
