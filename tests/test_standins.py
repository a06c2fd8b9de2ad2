"""Can one cheat on the stand-ins? Probes that never look at a face, and meters that see no forgery in one, on people they have not seen."""
import json
import multiprocessing
import tarfile
import time
from functools import lru_cache
from pathlib import Path
import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from ffd_repro.base.paths import digest
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.corpora.videos import read_video
from ffd_repro.drawn.filming import carriers, developed, film, forged, tar_of
from ffd_repro.drawn.plans import STAND_INS
from ffd_repro.drawn.standins import build
from ffd_repro.drawn.trees import Clip, Fake, Size
from ffd_repro.faces.extraction import extract
from ffd_repro.faces.geometry import Box, crop, square
from ffd_repro.faces.loading import FaceStore
from ffd_repro.faces.sampling import Sampling
from ffd_repro.measures.probes import as_table, cross_probe, file_numbers, probe, probe_store, store_numbers

SIZES = {'FF++': Size(40, 128, 4), 'DFDC': Size(40, 120, 4, fakes=4), 'Celeb-DF': Size(24, 128, 3, fakes=3), 'HFF': Size(160, 96),
         'DFD': Size(28, 112, 3, takes=2, fakes=1), 'Celeb-DF-v1': Size(36, 112, 3, fakes=2), 'DFDC-P': Size(36, 112, 3, fakes=2),
         'UADFV': Size(49, 112, 3),
         'DF-TIMIT': Size(32, 112, 3), 'WildDeepfake': Size(50, 96, 3)}
LIMIT, ALL = .60, .65 # of the AUC of one kind of numbers, and of all together

@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    "A reduced stand-in of a corpus, made when it is asked for."
    home = tmp_path_factory.mktemp('standins')
    return lru_cache(maxsize=None)(lambda name: build(name, 'small', home/name, 1, False, SIZES[name]))

def decoded(data): return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

def files_of(root, path, name):
    "Names and bytes of the files that hold a clip, in the order of its frames."
    if tar := tar_of(path):
        inside = f'./{path.removeprefix(tar + "/")}/'
        with tarfile.open(root/tar) as box: found = {n: box.extractfile(n).read() for n in box.getnames() if n.startswith(inside)}
        return dict(sorted(found.items(), key=lambda item: int(Path(item[0]).stem)))
    return {p: (root/p).read_bytes() for p in carriers(path, SIZES[name].frames)}

@lru_cache(maxsize=None)
def frames_of(root, path, name):
    "The frames of a clip, whatever it is kept in."
    if path.endswith(('.mp4', '.avi')): return read_video(root/path)
    return np.stack([decoded(data) for data in files_of(root, path, name).values()])

def clips(name, root, quality):
    "Yield path, label and group of people of every clip."
    for i, job in enumerate(STAND_INS[name].jobs(SIZES[name])):
        for clip in job:
            path = clip.path.format(quality=quality)
            yield path, int(isinstance(clip, Fake)), Path(path).parent.name if name == 'DFDC' else i

def facts(root, path, name):
    "What can be told of a clip without looking at a face."
    size = sum(map(len, files_of(root, path, name).values()))
    return file_numbers(frames_of(root, path, name), size, root/path if path.endswith(('.mp4', '.avi')) else None)

FORMATS = {'DF-TIMIT'} # originals are JPEG files and forgeries AVI, here as in the official sets: their sizes tell which is which
VIEWS = [(name, q) for name, corpus in STAND_INS.items() for q in corpus.qualities]

def above(found, **bounds):
    "The probes whose interval over people lies above their bound: LIMIT where none is given."
    return {g: round(a, 3) for g, a in found.lo.items() if a > bounds.get(g, LIMIT)}

@pytest.mark.parametrize('name,quality', VIEWS)
def test_file_and_colour_tell_nothing(trees, name, quality):
    path, y, group = zip(*clips(name, trees(name), quality))
    found = as_table([facts(trees(name), p, name) for p in path])
    if name in FORMATS: found = found[['colour']]
    assert above(probe(found, np.array(y), np.unique(group, return_inverse=True)[1]), all=ALL) == {}

def measured(name, root, quality, side=48):
    "The faces of a view and what meters say of them."
    folder = root.parent/f'{name}-{quality}'
    extract(read_corpus(name, root, quality=quality or None), root, Sampling(1, 4), side, out=folder)
    store = FaceStore(folder)
    return store, store_numbers(store)

@pytest.mark.parametrize('name,quality', VIEWS)
def test_meters_tell_nothing(trees, name, quality):
    if name in FORMATS: return
    store, numbers = measured(name, trees(name), quality)
    assert above(probe_store(store, numbers), all=ALL, spectrum=.75) == {}
    if name != 'FF++': return
    other = cross_probe(numbers, store.manifest).to_numpy()
    assert other[~np.eye(len(other), dtype=bool)].max() <= ALL

def test_the_validation_part_of_celeb_df_is_made_of_whole_circles(tmp_path):
    "At the committed size no forgery falls between the parts, and both classes are enough to choose an epoch by."
    corpus, size = STAND_INS['Celeb-DF'], STAND_INS['Celeb-DF'].sizes['small']
    for path, text in {clip.path: '' for clip in sum(corpus.jobs(size), [])}.items() | corpus.texts(size).items():
        (tmp_path/path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/path).write_text(text)
    found = read_corpus('Celeb-DF', tmp_path)
    many = found.groupby(['split', 'label']).size()
    assert set(found.split) == {'train', 'val', 'test'} and many['val'].min() >= 100

def small_net(width=16):
    block = lambda a, b: [torch.nn.Conv2d(a, b, 3, padding=1, bias=False), torch.nn.BatchNorm2d(b), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    return torch.nn.Sequential(*block(3, width), *block(width, 2*width), *block(2*width, 4*width), torch.nn.AdaptiveAvgPool2d(1),
                               torch.nn.Flatten(), torch.nn.Linear(4*width, 2))

def trained_auc(X, y, train, epochs=6):
    "AUC on the rest of a small net trained on `train`."
    torch.manual_seed(0); torch.set_num_threads(1)
    X, y = torch.from_numpy(np.stack(X)).permute(0, 3, 1, 2), torch.tensor(y)
    net, weight = small_net(), torch.where(y[train] == 0, (y == 1).sum()/(y == 0).sum(), 1.)
    at, opt = np.flatnonzero(train), torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(epochs*len(at)//64):
        rows = at[torch.multinomial(weight, 64, replacement=True)]
        loss = torch.nn.functional.cross_entropy(net(X[rows]/127.5 - 1), y[rows])
        opt.zero_grad(); loss.backward(); opt.step()
    net.eval()
    with torch.no_grad(): scores = net(X[~train]/127.5 - 1).softmax(1)[:, 1]
    return roc_auc_score(y[~train], scores)

def pictures(name, root, quality, what, every=2, methods=()):
    "Pictures, labels and whether their people are for training; of some methods where they are named, '' for originals."
    X, y, train = [], [], []
    for path, label, group in clips(name, root, quality):
        if methods and not any(m in path if m else not label for m in methods): continue
        boxes = json.loads((root/'boxes'/Path(path).with_suffix('.json')).read_text())['boxes']
        for frame, box in list(zip(frames_of(root, path, name), boxes))[::every]:
            X.append(what(frame, Box(*box))); y.append(label)
            train.append(int(digest(str(group)), 16)%10 < 7)
    return X, y, np.array(train)

def background(frame, box, side=48):
    "The frame with the head greyed out."
    frame = frame.copy()
    x0, y0, x1, y1 = (max(int(v), 0) for v in square(box, 1.9))
    frame[y0:y1, x0:x1] = 127
    return cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)

@pytest.mark.parametrize('name,quality', [(name, 'c23' if 'c23' in corpus.qualities else '')
                                          for name, corpus in STAND_INS.items() if not corpus.crop and name not in FORMATS])
def test_background_tells_nothing(trees, name, quality):
    assert trained_auc(*pictures(name, trees(name), quality, background)) <= LIMIT

def test_faces_tell_something_but_not_all(): # before the codec: what it leaves of this takes more people (benchmarks/people.py)
    corpus, size, X, train = STAND_INS['FF++'], Size(200, 128, 1), [], []
    for i in range(size.people):
        own, other = Clip(f'{i:03d}', f'{i:03d}'), Clip('', f'{i ^ 1:03d}')
        real, = film('FF++', size, own, own, own)
        fake, _ = forged('FF++', size, Fake(f'{i:03d}_{i ^ 1:03d}', 'Deepfakes', own, other))
        for pixels in (real.pixels, *fake):
            shown, = developed(corpus, size, own, [pixels])
            X.append(crop(shown, square(Box(*real.box), 1.3), 64)); train.append(i//2%10 < 7)
    assert .55 < trained_auc(X, [0, 1]*size.people, np.array(train), epochs=30) < .99

def bytes_of(root): return {p.relative_to(root).as_posix(): digest(p) for p in Path(root).rglob('*') if p.is_file()}

def built_apart(*args): # of `build`; a fork where that is safe, so that nothing is imported again
    process = multiprocessing.Process(target=build, args=args)
    process.start()
    return process

@pytest.mark.parametrize('name,suffix,size', [('Celeb-DF', '.mp4', Size(9, 64, 2, fakes=1)), ('WildDeepfake', '.gz', Size(10, 64, 2))])
def test_a_killed_build_continues_to_the_same_bytes(tmp_path, name, suffix, size):
    started = lambda folder: built_apart(name, 'smoke', tmp_path/folder, 1, False, size)
    def finished(folder):
        process = started(folder); process.join()
        assert process.exitcode == 0
        return bytes_of(tmp_path/folder)
    broken = started('broken')
    while len(list((tmp_path/'broken').rglob(f'*{suffix}'))) < 5: time.sleep(.005)
    broken.kill(); broken.join()
    assert not (tmp_path/'broken'/'STAND-IN.json').exists()
    left, whole = bytes_of(tmp_path/'broken'), finished('whole')
    kept = {p: d for p, d in left.items() if not Path(p).name.startswith('.')}
    assert kept.items() < whole.items(), 'it was not stopped half-way'
    assert finished('broken') == whole

def test_two_processes_write_what_one_writes(tmp_path):
    size = Size(14, 64, 2)
    one, two = (build('FF++', 'smoke', tmp_path/str(n), n, False, size) for n in (1, 2))
    assert bytes_of(one) == bytes_of(two)
