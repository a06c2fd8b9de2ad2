"""A detector from outside, by somebody who has the package and an empty folder."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
import pytest
from ffd_repro.base.warm import PYTHON

ROOT = Path(__file__).resolve().parent.parent
BIN, EXAMPLES = Path(sys.executable).parent, ROOT/'examples'

@pytest.fixture
def folder(tmp_path):
    "An empty folder with the example in it."
    shutil.copy(EXAMPLES/'my_detector.py', tmp_path)
    return tmp_path

def run(folder, *words, **env):
    "A command in the folder, with the plug-in named as a user would name it."
    ours = dict(FFD_PLUGINS='my_detector.py', FFD_RESULTS=str(folder/'results'), PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    done = subprocess.run([*PYTHON, *words], capture_output=True, text=True, cwd=folder, stdin=subprocess.DEVNULL, timeout=300,
                          env=os.environ | ours | env)
    return done.returncode, done.stdout + done.stderr

def test_the_file_is_what_its_page_exports(tmp_path):
    from nbdev.export import nb_export
    nb_export(EXAMPLES/'my_detector.ipynb', tmp_path)
    after_header = lambda path: path.read_text().split('\n# %% auto #0\n')[1].split('\n')
    code = lambda path: [line for line in after_header(path) if not line.startswith('# %% ')]
    assert code(tmp_path/'my_detector.py') == code(EXAMPLES/'my_detector.py')

def test_its_page_runs():
    from nbdev.test import test_nb
    assert test_nb(EXAMPLES/'my_detector.ipynb', basepath=str(ROOT))[0]

LOOK = """
from ffd_repro.pages.cli import list_detectors
from ffd_repro.base.errors import BadSetting
from ffd_repro.base.registry import detectors, load
from ffd_repro.training.checks import check_detector
load('systems', 'baselines', 'claims')
print(*list_detectors(), sep='\\n')
print(check_detector('my_detector').to_string())
try: detectors['my_detector'].make(pretrained=True)
except BadSetting as e: print(e)
"""

def test_it_is_listed_and_checked(folder):
    code, text = run(folder, '-c', LOOK)
    assert code == 0, text
    for expected in ('my_detector', 'My detector', 'full, plain', 'learns everywhere', 'no pretrained weights'):
        assert expected in text, text

def test_it_trains_by_another_recipe_too(folder):
    for more in ((), ('--epochs', '2', '--lr', '0.003')):
        code, text = run(folder, BIN/'ffd_train', 'my_detector', '--train', 'HFF', '--profile', 'smoke', *more)
        assert code == 0, text
    records = [json.loads(p.read_text()) for p in (folder/'results'/'runs').glob('my_detector_full_HFF_smoke_*.json')]
    assert sorted((r['asked']['recipe']['epochs'], len(r['history']['epochs'])) for r in records) == [(1, 1), (2, 2)]
    assert len({r['id'] for r in records}) == 2 and len({r['code'] for r in records}) == 1

TABLE = """
from ffd_repro.base.registry import targets
from ffd_repro.claims.targets import Target
targets.register(Target(key='mine/table-1', kind='score_table', title='My detector beside Xception', views=(('HFF', 'HFF'),),
                        methods=(('my_detector', 'full'), ('xception', 'full')), metrics=('AUC', 'params')))
"""

def test_it_gets_its_table_and_its_page(folder):
    (folder/'my_table.py').write_text(TABLE)
    files = os.pathsep.join(('my_detector.py', 'my_table.py')) # a page runs in another folder, and finds them
    code, text = run(folder, BIN/'ffd_page', 'mine/table-1', '--profile', 'smoke', FFD_PLUGINS=files)
    assert code == 0, text
    rows = (folder/'results'/'reproduced'/'mine'/'table-1.csv').read_text()
    page = (folder/'results'/'notebooks'/'mine'/'table-1.ipynb').read_text()
    assert rows.count('mine,table-1,my_detector,full,HFF') == 2 and ',ok,1 seeds' in rows and 'My detector' in page

def test_nobody_takes_the_place_of_a_table_or_makes_one_without_its_detector(folder):
    for key, method, says in (('mclcr/table-1', 'my_detector', 'registered by'), ('mine/table-1', 'my_detectr', 'did you mean')):
        (folder/'my_table.py').write_text(TABLE.replace('mine/table-1', key).replace('my_detector', method))
        code, text = run(folder, BIN/'ffd_page', key, '--profile', 'smoke', FFD_PLUGINS=os.pathsep.join(('my_detector.py', 'my_table.py')))
        assert code == 1 and says in text and 'Traceback' not in text and not list((folder/'results').rglob('table-1.csv')), text

def test_it_is_checked_by_a_command(folder):
    code, text = run(folder, BIN/'ffd_check', 'my_detector')
    assert code == 0 and 'learns everywhere' in text and 'paper, small, smoke' in text
    code, text = run(folder, BIN/'ffd_check', 'my_detector', '--side', '16')
    assert code == 1 and 'use at least 32' in text and 'Traceback' not in text, text

@pytest.mark.parametrize('text, expected', [
    ('import no_such_package', 'no_such_package'),
    ('def (', 'SyntaxError'),
    (None, 'no such file')])
def test_a_broken_one_is_named(folder, text, expected):
    if text is not None: (folder/'broken.py').write_text(text)
    ask, files = 'from ffd_repro.base.registry import load_plugins; load_plugins()', ('my_detector.py', 'broken.py')
    code, said = run(folder, '-c', ask, FFD_PLUGINS=os.pathsep.join(files))
    assert code != 0 and 'broken.py' in said and expected in said and 'fix:' in said, said
