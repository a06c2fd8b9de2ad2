"""Forgeries on photographs: real ones where they are at hand (they are no part of this repository), drawn ones elsewhere."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from ffd_repro.base.errors import BadSetting, MissingData, NoFace
from ffd_repro.base.paths import digest
from ffd_repro.base.warm import PYTHON
from ffd_repro.corpora.lfw import fetch_lfw, photographs
from ffd_repro.corpora.splits import check_disjoint
from ffd_repro.drawn.motion import track
from ffd_repro.drawn.people import sample_identity
from ffd_repro.drawn.photo_album import opened, photo_landmarks
from ffd_repro.drawn.photo_corpus import corpus_summary, ffd_photographs, forge
from ffd_repro.drawn.rendering import render
from ffd_repro.drawn.scenes import sample_scene
from ffd_repro.forgeries.manipulations import blend_photographs, forgers, swap
from ffd_repro.forgeries.pictures import Photograph, is_grey

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
PHOTOS = DATA/'real_faces'
needs_photos = pytest.mark.skipif(not (PHOTOS/'manifest.csv').exists(),
                                  reason='no real photographs: set FFD_TEST_DATA to the folder that holds videos/ and real_faces/')

def needs_dlib():
    for name in ('dlib', 'face_recognition_models'):
        pytest.importorskip(name, reason='the extra `faces` is not installed: pip install "ffd_repro[faces]"')

def draw(root, people=6, each=2, side=112):
    "Photographs drawn by the renderer in `root`, and their landmarks by the digest of their pixels."
    known = {}
    for p in range(people):
        for n in range(each):
            name = f'Jö {p}'
            f = render(sample_identity('photographs', p), track('photographs', p, n=each+1)[n],
                       sample_scene('photographs', p, n, style='FF++'), side)
            (root/name).mkdir(parents=True, exist_ok=True)
            (root/name/f'{n}.png').write_bytes(cv2.imencode('.png', f.pixels[..., ::-1])[1].tobytes())
            known[digest(f.pixels.tobytes())] = f.landmarks.astype(float)
    return known

class Known:
    "Landmarks that the renderer knows; a class, so that other processes can have it."
    def __init__(self, known): self.known = known
    def __call__(self, pixels): return self.known.get(digest(pixels.tobytes()))

@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp('photographs')
    return root, Known(draw(root))

def pictures(tree): return {p.relative_to(tree).as_posix(): digest(p) for p in tree.rglob('*.png')}

def test_two_processes_make_the_corpus_of_one(drawn, tmp_path):
    root, find = drawn
    one, two = (forge(root, tmp_path/str(n), 'swap,blend,eyes,upsample', 2, workers=n, find=find, progress=False) for n in (1, 2))
    assert pictures(one)==pictures(two) and len(pictures(one))>12
    for name in ('manifest.csv', 'skipped.csv'): assert (one/name).read_bytes()==(two/name).read_bytes()
    other = forge(root, tmp_path/'seed', 'swap,blend,eyes,upsample', 2, seed=1, workers=1, find=find, progress=False)
    assert pictures(other)!=pictures(one)

def test_the_tree_is_what_its_lists_say(drawn, tmp_path):
    root, find = drawn
    tree = forge(root, tmp_path, 'all', 3, workers=1, find=find, progress=False)
    m = pd.read_csv(tree/'manifest.csv', keep_default_na=False)
    assert list(m.columns)==['path', 'label', 'method', 'target', 'source', 'pair', 'split', 'mask', 'video']
    assert set(m.path)|set(m['mask'][m.label==1])==set(pictures(tree))
    assert m.video.is_unique and set(m.pair)<=set(m.video[m.label==0])
    assert (m.source[m.method.isin(['swap', 'blend'])]!=m.target[m.method.isin(['swap', 'blend'])]).all()
    check_disjoint(m)
    said = json.loads((tree/'MADE.json').read_text())
    assert 'not an official corpus' in said['note'] and sum(said['made'].values())==len(m)
    assert str(len(m[m.method=='swap'])) in corpus_summary(tree)

def test_a_killed_run_goes_on_and_leaves_no_half(tmp_path):
    known = draw(tmp_path/'in', 8, 6)
    np.savez(tmp_path/'known.npz', **known)
    script = f"""
import os
print(os.getpid(), flush=True)
import numpy as np
from pathlib import Path
from ffd_repro.base.paths import digest
from ffd_repro.drawn.photo_corpus import forge
known = dict(np.load({str(tmp_path/'known.npz')!r}))
forge({str(tmp_path/'in')!r}, {str(tmp_path/'out')!r}, 'swap,blend', 2, workers=1,
      find=lambda p: known.get(digest(p.tobytes())), progress=False)
"""
    run = subprocess.Popen([*PYTHON, '-c', script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pid = int(run.stdout.readline())
    began, tree = time.time(), tmp_path/'out'/'LFW'
    while len(list(tree.rglob('fake/*/*/*.png')))<8 and run.poll() is None and time.time()-began<120: time.sleep(.02)
    os.kill(pid, signal.SIGKILL); run.communicate()
    assert (tree/'.made-begun.json').exists() and not (tree/'MADE.json').exists()
    assert all(cv2.imread(str(p)) is not None for p in tree.rglob('[!.]*.png'))
    def never(pixels): raise AssertionError('searched again')
    find = Known(known)
    forge(tmp_path/'in', tmp_path/'out', 'swap,blend', 2, workers=1,
      find=never, progress=False)
    whole = forge(tmp_path/'in', tmp_path/'whole', 'swap,blend', 2, workers=1,
      find=find, progress=False)
    assert pictures(tree)==pictures(whole) and not list(tree.rglob('.*'))

def test_bad_folders_are_named(drawn, tmp_path):
    root, find = drawn
    (tmp_path/'mine').mkdir(); (tmp_path/'mine'/'LFW').mkdir(); (tmp_path/'mine'/'LFW'/'thesis.txt').write_text('mine')
    with pytest.raises(BadSetting, match='something else'): forge(root, tmp_path/'mine', find=find, progress=False)
    assert [p.name for p in (tmp_path/'mine'/'LFW').iterdir()]==['thesis.txt']
    with pytest.raises(NoFace, match='None of 12'): forge(root, tmp_path/'blind', workers=1, find=lambda pixels: None, progress=False)
    with pytest.raises(MissingData, match='no such folder'): forge(tmp_path/'nowhere', tmp_path/'out', find=find)
    with pytest.raises(SystemExit) as stop: ffd_photographs(str(tmp_path/'nowhere'), out=str(tmp_path/'out'))
    assert 'fix:' in str(stop.value) and 'Traceback' not in str(stop.value)

def test_nobody_else_is_a_listed_skip(tmp_path):
    find = Known(draw(tmp_path/'in', 1, 2))
    tree = forge(tmp_path/'in', tmp_path/'out', 'swap,upsample', 2, workers=1, find=find, progress=False)
    m, left = pd.read_csv(tree/'manifest.csv'), pd.read_csv(tree/'skipped.csv')
    assert m.method.value_counts().to_dict()=={'real': 2, 'upsample': 2}
    assert left.why.str.contains('nobody else').all() and len(left)==2

def test_lfw_without_network_is_one_line_and_a_fix(tmp_path, monkeypatch, capfd):
    import sklearn.datasets
    def closed(**kw): raise OSError('<urlopen error [Errno -2] Name or service not known>')
    monkeypatch.setattr(sklearn.datasets, 'fetch_lfw_people', closed)
    monkeypatch.setenv('FFD_CACHE', str(tmp_path))
    with pytest.raises(SystemExit) as stop: ffd_photographs(out=str(tmp_path/'out'))
    what, where, fix = str(stop.value).splitlines()
    assert 'LFW could not be fetched' in what and 'lfw' in where and 'network' in fix
    assert 'Traceback' not in capfd.readouterr().err

def test_half_an_archive_is_not_taken_for_lfw(tmp_path, monkeypatch):
    import sklearn.datasets
    def unpack(data_home, people, **kw):
        for p in people:
            folder = Path(data_home)/'lfw_home'/'lfw_funneled'/p
            folder.mkdir(parents=True, exist_ok=True); (folder/f'{p}_0001.jpg').write_bytes(b'-')
    (tmp_path/'lfw_home'/'lfw_funneled'/'Ann_Lee').mkdir(parents=True)
    calls = []
    monkeypatch.setattr(sklearn.datasets, 'fetch_lfw_people', lambda **kw: calls.append(1) or unpack(people=['Ann_Lee', 'Bo_Day'], **kw))
    tree = fetch_lfw(tmp_path, dict(photographs=2, people=2))
    assert len(photographs(tree))==2 and len(calls)==1
    with pytest.raises(MissingData, match='not whole: 2 photographs of 2 people'): fetch_lfw(tmp_path, dict(photographs=3, people=3))

# real photographs

@pytest.fixture(scope='module')
def real():
    "Some photographs of each kind, with landmarks."
    needs_dlib()
    table = photographs(PHOTOS)
    kind = table.path.str.split('/').str[0]
    table = table.groupby(kind, group_keys=False).apply(lambda t: t.iloc[::max(1, len(t)//12)]).reset_index(drop=True)
    found = [(opened(PHOTOS, p), w, p) for p, w in zip(table.path, table.person)]
    found = [(x, photo_landmarks(x), w, p) for x, w, p in found]
    return [Photograph(x, l, w, p) for x, l, w, p in found if l is not None], len(found)

@needs_photos
def test_faces_of_real_photographs_are_found(real):
    photos, asked = real
    assert asked>=60 and len(photos)/asked>=.95, (len(photos), asked)

@needs_photos
@pytest.mark.parametrize('name', list(forgers))
def test_forgeries_of_real_photographs(real, name):
    photos, _ = real
    for k, photo in enumerate(photos[::2]):
        donor = next(p for p in photos[k+7:]+photos[:k+7] if p.person!=photo.person)
        image, mask = forgers[name].make(photo, donor, 'test', k)
        assert (image[mask==0]==photo.pixels[mask==0]).all() and image.shape==photo.pixels.shape, photo.path
        assert mask.any() and (image!=photo.pixels).any(), photo.path
        assert is_grey(image)==is_grey(photo.pixels), photo.path

@needs_photos
def test_a_swap_takes_the_colours_and_shows_no_rim(real):
    "Colour under the mask stays near the original's, and no black from beyond a donor's rim comes in."
    photos, _ = real
    for k, photo in enumerate(photos):
        donor = next(p for p in photos[k+5:]+photos[:k+5] if p.person!=photo.person)
        for make in (swap, blend_photographs):
            image, mask = make(photo, donor, 'test', k)
            inside = mask>200
            if inside.sum()<100: continue
            assert np.abs(image[inside].mean(0)-photo.pixels[inside].mean(0)).max()<30, (photo.path, make.__name__)

@needs_photos
def test_a_face_swapped_into_itself_stays(real):
    photos, _ = real
    for photo in photos[::5]:
        image, mask = swap(photo, photo, 'test')
        assert np.abs(image.astype(int)-photo.pixels)[mask>0].mean()<3, photo.path

@needs_photos
def test_the_format_gives_nothing_away(tmp_path):
    "Size of the file and of the picture, bits per pixel, and the header of the PNG: nothing that tells real from forged."
    needs_dlib()
    table = photographs(PHOTOS)
    tree = forge(PHOTOS, tmp_path, 'swap,blend,partial,upsample', 1, people=150, workers=2, progress=False)
    m = pd.read_csv(tree/'manifest.csv', keep_default_na=False)
    head = [(tree/p).read_bytes()[:29] for p in m.path]
    facts = pd.DataFrame(dict(bytes=[(tree/p).stat().st_size for p in m.path], width=[int.from_bytes(h[16:20], 'big') for h in head],
                              height=[int.from_bytes(h[20:24], 'big') for h in head]))
    facts['density'] = facts.bytes/facts.width/facts.height
    auc = {c: roc_auc_score(m.label, facts[c]) for c in facts}
    assert all(.4<=a<=.6 for a in auc.values()), auc
    assert len({h[24:] for h in head})==1 and {p.rsplit('.')[-1] for p in m.path}=={'png'}
    assert (m.label==1).sum()>.9*(m.label==0).sum() and m.target.nunique()>.9*min(150, table.person.nunique())
