"""What a run rests on, asked of changed copies of the package: a moved file changes nothing, a changed constant just the runs that use
it."""
import json
import os
import shutil
import subprocess
from pathlib import Path
import pytest
from ffd_repro.base.warm import PYTHON

ROOT = Path(__file__).resolve().parent.parent
ASK = '''
import json, os, sys
for name in [m for m in sys.modules if m.split('.')[0] == 'ffd_repro']: del sys.modules[name] # this process may know the real one
sys.path.insert(0, os.getcwd())
from ffd_repro.base.registry import load
from ffd_repro.runs.code import test_code, training_code
from ffd_repro.runs.specs import make_spec
load('systems', 'baselines')
specs = dict(
    ldfnet=('ldfnet', 'full', 'FF++-HQ', ('FF++-HQ', 'Celeb-DF')), image=('ldfnet', 'full', 'FF++-HQ', ('FF++-HQ',), 'split=image'),
    lls=('lls', 'full', 'FF++-HQ', ('FF++-HQ',)), sampled=('xception', 'full', 'DFDC', ('DFDC',), 'sampling=lls'),
    blends=('bigarts', 'full', 'Celeb-DF', ('Celeb-DF', 'Celeb-DF|jpeg=60', 'Celeb-DF|blur=0.3', 'Celeb-DF|crf=30')),
    plain=('xception', 'full', 'DFDC', ('DFDC',)), smoke=('xception', 'full', 'DFDC', ('DFDC',)))
found = {}
for name, (method, setting, train, tests, *protocol) in specs.items():
    spec = make_spec(method, setting, train, tests, 'smoke' if name == 'smoke' else 'small', 7, *protocol)
    found[name] = training_code(spec)
    found |= {f'{name} on {test}': test_code(spec, test) for test in spec.tests}
print(json.dumps(found))
'''
ASK_KEPT = ASK[:ASK.index('from ffd_repro.runs.code')] + '''
from ffd_repro.base.views import parse_view
from ffd_repro.evidence.meters import meters_code
from ffd_repro.evidence.sources import speed_code
from ffd_repro.evidence.spectra import spectra_code
from ffd_repro.evidence.values import maps_code, measures, values_code
load('systems', 'baselines', 'evidence')
print(json.dumps(dict(
    meters=meters_code(('FF++-HQ', 'DFDC', ''), 'small', ('stand-in',)*2), spectra=spectra_code(parse_view('FF++-HQ'), 'small', 'stand-in'),
    maps=maps_code(), speed=speed_code('ldfnet'), **{metric: values_code(metric) for metric in measures})))
'''

def asked(folder, code:str=ASK)->dict: # name of a run, or of a test of one -> fingerprint
    env = os.environ | dict(FFD_CACHE=str(folder/'cache'), FFD_ROOT=str(ROOT))
    env.pop('FFD_DATA', None)
    done = subprocess.run([*PYTHON, '-c', code], cwd=folder, env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])

@pytest.fixture
def copy(tmp_path):
    shutil.copytree(ROOT/'ffd_repro', tmp_path/'ffd_repro')
    return tmp_path

@pytest.fixture(scope='module')
def before(tmp_path_factory):
    folder = tmp_path_factory.mktemp('before')
    shutil.copytree(ROOT/'ffd_repro', folder/'ffd_repro')
    return asked(folder)

def module(folder, name:str)->Path: # 'faces.protocols'
    return folder/'ffd_repro'/f'{name.replace(".", "/")}.py'

def replaced(path:Path, old:str, new:str):
    text = path.read_text()
    assert text.count(old) == 1, f'{path.name} has {text.count(old)} times {old!r}'
    path.write_text(text.replace(old, new))

def changed(before:dict, folder)->set: # names
    after = asked(folder)
    return {name for name in before if before[name] != after[name]}

def test_every_run_and_test_has_its_own(before):
    assert len(set(before.values())) > len(before)/2 and before['ldfnet'] != before['lls'] and before['plain'] != before['smoke']
    assert before['ldfnet'] != before['image'] and before['plain'] != before['sampled']

def test_a_moved_and_renamed_module_changes_nothing(before, copy):
    for old, new in (('layers.scse', 'layers.gates'), ('corpora.splits', 'corpora.parts_of_corpora'),
                     ('training.losses', 'base.losses_of_nets')):
        shutil.move(module(copy, old), module(copy, new))
        room, name = new.split('.')
        for path in (copy/'ffd_repro').rglob('*.py'):
            text = path.read_text().replace(f'..{old} import', f'..{new} import')
            if path.parent.name == old.split('.')[0]: text = text.replace(f'from .{old.split(".")[1]} import', f'from ..{new} import')
            path.write_text(text)
    assert changed(before, copy) == set()

def test_what_is_kept_beside_runs_rests_on_code_not_on_the_process(tmp_path):
    for name in ('here', 'there'): shutil.copytree(ROOT/'ffd_repro', tmp_path/name/'ffd_repro')
    here, there = (asked(tmp_path/name, ASK_KEPT) for name in ('here', 'there'))
    assert here == there and len(set(here.values())) > len(here)/2

def test_a_share_of_the_parts_changes_what_is_divided_by_it(before, copy):
    replaced(module(copy, 'sets.face_sets'), 'round(.15*len(people))', 'round(.2*len(people))')
    assert changed(before, copy) == set(before)

def test_a_constant_of_the_image_split_changes_that_split_alone(before, copy):
    replaced(module(copy, 'faces.protocols'), 'IMAGE_VAL = .1 ', 'IMAGE_VAL = .2 ')
    assert changed(before, copy) == {name for name in before if name.startswith('image')}

def test_a_sampling_changes_the_runs_that_take_it(before, copy):
    replaced(module(copy, 'systems.lls'), "'': (Even(32), Even(32))}", "'': (Even(31), Even(32))}")
    assert changed(before, copy) == {name for name in before if name.startswith('sampled')}

def test_a_treatment_changes_its_tests_alone(before, copy):
    replaced(module(copy, 'sets.treatments'), 'GaussianBlur(image, (3, 3), sigma)', 'GaussianBlur(image, (5, 5), sigma)')
    assert changed(before, copy) == {'blends on Celeb-DF|blur=0.3'}

def test_a_layer_changes_the_nets_that_have_it(before, copy):
    replaced(module(copy, 'layers.scse'), 'x*(c + s)', 'x*(c - s)')
    assert changed(before, copy) == {'blends'}

def test_a_kind_of_set_changes_the_trainings_that_are_fed_it(before, copy):
    replaced(module(copy, 'sets.self_blending'), 'class BlendSet(_Planned):', 'class BlendSet(_Planned):\n    added = 1\n')
    assert changed(before, copy) == {'blends'}

def test_what_draws_a_stand_in_changes_every_run_on_it(before, copy):
    replaced(module(copy, 'drawn.filming'), 'cv2.setNumThreads(1)', 'cv2.setNumThreads(2)')
    assert changed(before, copy) == set(before)
