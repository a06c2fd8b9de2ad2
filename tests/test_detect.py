"""`ffd_detect` as people use it: folders with anything in them, no weights, a pickle, a long clip; real people where they are at hand."""
import json
import os
import subprocess
import sys
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadFile, BadSetting
from ffd_repro.base.registry import detectors, load
from ffd_repro.base.seeds import seed_everything
from ffd_repro.base.warm import PYTHON
from ffd_repro.corpora.miniature import noise_clip
from ffd_repro.corpora.videos import write_video
from ffd_repro.detect.answers import detect
from ffd_repro.detect.calibration import likeness, picture_numbers, rate_text
from ffd_repro.detect.exporting import ffd_export
from ffd_repro.detect.onnx_files import EQUAL, onnx_graph, read_onnx
from ffd_repro.detect.pretrained import Pretrained, find_weights, from_pretrained, logits_of, save_pretrained, weights_places
from ffd_repro.detect.reports import report_lines
from ffd_repro.detect.sightings import sightings
from ffd_repro.faces.detection import drawn_face

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
needs_data = pytest.mark.skipif(not (DATA/'videos'/'manifest.csv').exists(),
                                reason='no real clips: set FFD_TEST_DATA to the folder that holds videos/ and real_faces/')
ROOT = dict(PYTHONPATH=str(Path(__file__).resolve().parent.parent))
RATE = dict(rate=.04, lo=.01, hi=.1, people=60)
MARKS = dict(threshold=.9, low=.1, share=.05, false_alarms=RATE, caught=RATE, misses=RATE)

def picture(path, rgb):
    path.write_bytes(cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())

def somebody(n): return drawn_face(x=100 + n % 7, r=45 + n % 5, mouth=.05 + .01*(n % 9), seed=n)

def two_faces(): return np.concatenate([drawn_face(seed=1), drawn_face(x=120, seed=2, mouth=.2)], 1)

@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    "A net that has learnt nothing, with marks, and with what forty drawn faces are like."
    load('systems', 'baselines')
    seed_everything(7)
    home = tmp_path_factory.mktemp('weights')
    for n in range(40): picture(home/f'{n:02}.png', somebody(n))
    faces = np.stack([next(sightings(p, 32))[0].face for p in sorted(home.glob('*.png'))])
    like = likeness(picture_numbers(faces), range(40))
    return save_pretrained(detectors['meso_inception4'].make(side=32, tiny=True), home/'meso', 'meso_inception4', side=32, tiny=True,
                           run='none', calibration=dict(frames=4, video=MARKS, frame=MARKS), likeness=dict(video=like, frame=like))

def ffd_detect(*words, cwd, **env):
    script = Path(cwd)/'.ffd_detect.py' # what its console script does, installed or not
    script.write_text('from ffd_repro.detect.reports import ffd_detect\nffd_detect()')
    return subprocess.run([*PYTHON, script, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300,
                          env=os.environ | ROOT | env)

@pytest.mark.parametrize('code', ['utf-8', 'ascii'])
def test_names_that_are_no_text(weights, tmp_path, code):
    home = tmp_path/'mine'
    home.mkdir()
    for name in (b'caf\xe9.tif', '顔.TIFF'.encode(), b'-two\nlines.png', b'no\xff.txt'):
        picture(home/'x.png', somebody(1))
        os.rename(os.fsencode(home/'x.png'), os.fsencode(home) + b'/' + name)
    done = ffd_detect(home, '--weights', weights, '--out', tmp_path/'out', '--quiet', cwd=tmp_path, PYTHONIOENCODING=code)
    assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr
    files = [Path(f['file']).name for f in json.loads((tmp_path/'out'/'answers.json').read_text())['files']]
    assert set(files) == {'caf' + chr(92) + 'udce9.tif', '顔.TIFF', '-two' + chr(92) + 'nlines.png'}
    assert set(pd.read_csv(tmp_path/'out'/'answers.csv').file.str.rsplit('/', n=1).str[1]) == set(files)

def test_a_folder_with_anything_in_it(weights, tmp_path):
    home = tmp_path/'mine'
    (home/'deep'/'.git').mkdir(parents=True)
    picture(home/'two.png', two_faces())
    write_video(home/'deep'/'one & <only>.mp4', [drawn_face(x=90 + t, seed=t) for t in range(20)], fps=10)
    noise_clip(home/'nobody.mp4', 1)
    (home/'broken.mp4').write_bytes(b'ftypisom' + bytes(500))
    (home/'broken.jpg').write_bytes(b'\xff\xd8\xff')
    (home/'empty.mov').touch()
    (home/'phone.HEIC').write_bytes(b'ftypheic')
    for junk in ('notes.txt', 'Thumbs.db', 'net.pth', 'deep/.git/config.png'): (home/junk).write_bytes(b'junk')
    done = ffd_detect(home, '--weights', weights, '--out', tmp_path/'out', '--quiet', cwd=tmp_path)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr # some could not be read
    facts = json.loads((tmp_path/'out'/'answers.json').read_text())
    verdicts = {Path(f['file']).name: f['verdict'] for f in facts['files']}
    assert {k: v for k, v in verdicts.items() if v in ('unreadable', 'no face')} == {
        'broken.mp4': 'unreadable', 'broken.jpg': 'unreadable', 'empty.mov': 'unreadable', 'nobody.mp4': 'no face',
        'phone.HEIC': 'unreadable'}
    assert 'phone.HEIC: HEIC photos are not read; save it as JPEG' in done.stdout
    assert len(verdicts) == 7 and sorted(Path(o).name for o in facts['others']) == ['Thumbs.db', 'net.pth', 'notes.txt']
    of = {Path(f['file']).name: f for f in facts['files']}
    assert len(of['two.png']['faces']) == 2 and len(of['one & <only>.mp4']['faces']) == 1
    table, page = pd.read_csv(tmp_path/'out'/'answers.csv'), (tmp_path/'out'/'answers.html').read_text()
    assert set(table.file) == {f['file'] for f in facts['files']}
    assert 'one &amp; &lt;only&gt;' in page and '<only>' not in page and 'src="http' not in page
    for text in (done.stdout, page, facts['limits']): assert 'about a real person' in text

def test_no_weights_is_said_kindly(tmp_path):
    picture(tmp_path/'two.png', two_faces())
    done = ffd_detect('two.png', cwd=tmp_path, FFD_CACHE=str(tmp_path/'cache'))
    if done.returncode == 0: pytest.skip('weights come with this package')
    assert done.returncode == 2 and 'ffd_train' in done.stderr and 'ffd_export' in done.stderr and '--weights' in done.stderr
    assert 'Traceback' not in done.stderr and not (tmp_path/'ffd_answers').exists()

def test_the_rates_of_new_people_are_told_first(tmp_path):
    "The packaged weights raise more false alarms on people who set nothing than on those who set the threshold."
    if not (weights_places()[0]/'ldfnet').exists(): pytest.skip('no weights come with this package')
    picture(tmp_path/'two.png', two_faces())
    report = detect(tmp_path/'two.png', 'ldfnet', progress=False)
    marks, line = report.facts['weights']['calibration'], report_lines(report).splitlines()[-2]
    new, own = marks['checked']['video'], marks['video']
    assert new['false_alarms']['rate'] > own['false_alarms']['rate']
    order = [line.index(rate_text(r)) for r in (new['false_alarms'], new['caught'], own['false_alarms'])]
    assert order == sorted(order) and rate_text(own['caught']) not in line

def test_weights_in_the_cache_are_found_by_name(weights, tmp_path, monkeypatch):
    monkeypatch.setenv('FFD_CACHE', str(tmp_path))
    (tmp_path/'weights').mkdir()
    (tmp_path/'weights'/'mine').symlink_to(weights)
    assert from_pretrained(find_weights('mine')).facts['run'] == 'none'
    picture(tmp_path/'two.png', two_faces())
    assert len(detect(tmp_path/'two.png', 'mine', progress=False).facts['files'][0]['faces']) == 2

def test_a_pickle_is_never_opened(tmp_path):
    bomb = b"cos\nsystem\n(S'touch opened'\ntR." # what a pickle may do to whoever loads it
    for name in ('net.pt', 'net.pkl', 'pytorch_model.bin', 'net.pth'):
        (tmp_path/name).write_bytes(bomb)
        with pytest.raises(BadFile, match='pickle'): from_pretrained(tmp_path/name)
    done = ffd_detect('x.png', '--weights', 'net.pth', cwd=tmp_path)
    assert done.returncode == 2 and 'pickle' in done.stderr and 'save_pretrained' in done.stderr and 'Traceback' not in done.stderr
    assert not (tmp_path/'opened').exists()

def test_memory_does_not_grow_with_the_clip(weights, tmp_path):
    "Fifteen hundred frames are 345 MB of pixels; looked at one by one they take no more room than thirty do."
    frame = np.ascontiguousarray(cv2.resize(drawn_face(), (320, 240)))
    code = ('import resource, sys; from ffd_repro.detect.answers import detect; detect(*sys.argv[1:], frames=30, progress=False); '
            'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)')
    peaks = []
    for n in (30, 1500):
        write_video(tmp_path/f'{n}.mp4', (frame for _ in range(n)), crf=30)
        done = subprocess.run([sys.executable, '-c', code, tmp_path/f'{n}.mp4', weights], text=True, # a process of its own: a fork has the
                              capture_output=True, env=os.environ | ROOT)                             # peak of its parent
        peaks.append(float(done.stdout))
    assert peaks[1] - peaks[0] < 60, peaks

def needs_onnx():
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(name, reason='the extra `onnx` is not installed: pip install "ffd_repro[onnx]"')

def test_the_weights_that_ship_as_onnx(tmp_path, capsys):
    "On faces that no check has seen, and on another number of them."
    needs_onnx()
    folder = weights_places()[0]/'ldfnet'
    if not folder.exists(): pytest.skip('no weights come with this package')
    ffd_export(str(folder), out=str(tmp_path), onnx=True)
    assert 'the scores of PyTorch' in capsys.readouterr().out
    pre = from_pretrained(folder)
    faces = np.stack([cv2.resize(somebody(n)[20:140, 40:160], (pre.facts['side'],)*2, interpolation=cv2.INTER_AREA) for n in range(5)])
    logits, scores = read_onnx(tmp_path/'model.onnx')(faces)
    assert np.abs(scores - pre.scores(faces)).max() < EQUAL and np.ptp(scores) > 10*EQUAL # and they are not all one number
    assert np.abs(logits - logits_of(pre.net, faces, pre.facts['mean'], pre.facts['std'])).max() < EQUAL

def untrained(name, side=64):
    "A tiny net as it is drawn, with what an export needs to know of it."
    load('systems', 'baselines')
    seed_everything(7)
    d = detectors[name]
    facts = dict(detector=name, side=side, mean=list(d.mean), std=list(d.std))
    return Pretrained(d.make(d.settings[0], side=side, tiny=True).eval(), facts)

@pytest.mark.parametrize('name', ('xception', 'f3net')) # a net of plain layers; one that looks at spectra
def test_other_detectors_as_onnx(name):
    needs_onnx()
    pre, faces = untrained(name), np.random.default_rng(7).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    want, (got, _) = logits_of(pre.net, faces, pre.facts['mean'], pre.facts['std']), read_onnx(onnx_graph(pre))(faces)
    assert np.abs(got - want).max() < EQUAL*np.abs(want).max()

def test_a_detector_that_cannot_be_written_as_onnx_is_named():
    needs_onnx()
    with pytest.raises(BadSetting, match='ws_dan cannot be written as ONNX'): onnx_graph(untrained('ws_dan'))

@needs_data
def test_real_people_are_found_and_called_unlike_drawn_ones(weights, tmp_path):
    clips = [DATA/'videos'/f for f in pd.read_csv(DATA/'videos'/'manifest.csv').file[::6]]
    photos = sorted((DATA/'real_faces'/'celebahq_1024').glob('*.jpg'))[:4]
    files = detect(clips + photos, from_pretrained(weights), frames=6, progress=False).facts['files']
    found = [f for f in files if f['faces']]
    assert len(found) >= .9*len(files), [f['file'] for f in files if not f['faces']]
    strange = [p['unlike']['unlike'] for f in found for p in f['faces'] if p['decides']]
    assert np.mean(strange) > .9 and all(f['verdict'] == 'unsure' for f in found if all(p['unlike']['unlike'] for p in f['faces']))
    for n in range(100, 112): picture(tmp_path/f'{n}.png', somebody(n))
    again = detect(tmp_path, from_pretrained(weights), progress=False).facts['files']
    assert np.mean([p['unlike']['unlike'] for f in again for p in f['faces']]) <= .25 # of twelve; one in twenty is promised
