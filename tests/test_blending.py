"""Landmarks, masks and blends on real photographs, where they are at hand (they are no part of this repository)."""
import os
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
from ffd_repro.corpora.images import read_image
from ffd_repro.faces.detection import dlib_faces, dlib_landmarks
from ffd_repro.faces.geometry import affine_to_crop, crop, move, square
from ffd_repro.faces.landmarks import has_landmarks, landmark_source, landmarks_of
from ffd_repro.faces.loading import FaceStore
from ffd_repro.faces.tracking import pick
from ffd_repro.forgeries.manipulations import PARTS, blend_photographs
from ffd_repro.forgeries.pictures import Photograph
from ffd_repro.sets.partial import partial_faces
from ffd_repro.sets.regions import extrinsic, pair_rows, regions
from ffd_repro.sets.self_blending import BlendSet, RealBlends, blend_crops

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
PHOTOS, FAKES = DATA/'real_faces', DATA/'fake_faces'
pytestmark = pytest.mark.skipif(not (PHOTOS/'manifest.csv').exists(),
                                reason='no real photographs: set FFD_TEST_DATA to the folder that holds real_faces/ and fake_faces/')
SIDE, MARGIN = 128, 1.3

def faces_in(paths):
    "Photographs in which dlib sees a face: pixels, box, landmarks."
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    for path in paths:
        image = read_image(path)
        small = min(1, 512/max(image.shape[:2]))
        image = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA) if small<1 else image
        box = pick(dlib_faces(image))
        if box is not None: yield path, image, box, dlib_landmarks(image, box)

def store_of(folder, rows):
    "A store of (picture, box, row of the manifest)."
    faces = np.stack([crop(image, square(box, MARGIN), SIDE) for image, box, _ in rows])
    usual = dict(corpus='Photographs', quality='', label=0, method='real', source='', pair='', split='train', frame=0, detector='dlib')
    table = pd.DataFrame([usual | dict(zip(('x0', 'y0', 'x1', 'y1'), box)) | row for _, box, row in rows])
    return FaceStore.of(faces, table, margin=MARGIN).save(folder)

@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    "Ten people, a photograph each, and where dlib sees their landmarks in the whole photograph."
    table = pd.read_csv(PHOTOS/'manifest.csv')
    table = table[table.kind.str.contains('CelebA')].drop_duplicates('identity').iloc[::4].head(16)
    found = list(faces_in(PHOTOS/f for f in table.file))[:10]
    who = dict(zip((PHOTOS/f for f in table.file), table.identity))
    rows = [(image, box, dict(video=f'v{i}', target=who[path])) for i, (path, image, box, _) in enumerate(found)]
    points = np.stack([move(p, affine_to_crop(square(box, MARGIN), SIDE)) for _, _, box, p in found])
    return store_of(tmp_path_factory.mktemp('photographs')/'store', rows), points, found

def test_landmarks_of_crops_are_those_of_the_photographs(photographs):
    store, whole, _ = photographs
    assert landmark_source(store)=='dlib' and has_landmarks(landmarks_of(store)).mean()>=.9
    width = np.linalg.norm(whole[:, 0]-whole[:, 16], axis=1)
    off = np.linalg.norm(landmarks_of(store)-whole, axis=2).mean(1)/width
    assert np.nanmedian(off)<.02 and np.nanmax(off)<.08, off

def test_real_in_real(photographs):
    "What holds on drawings holds on photographs, too; and the seam lies where the pixels change owner."
    store, _, _ = photographs
    faces = RealBlends(store, seed=4)
    fakes, m, points, inside = np.flatnonzero(faces.labels), store.manifest, landmarks_of(store), []
    x, masks = faces.pixels(fakes, 0)
    for at, image, mask, made in zip(fakes, x, masks, faces.plan(fakes, 0)):
        assert made.kind=='real_real' and m.target[made.source]!=m.target[made.target]
        assert not mask[0].any() and mask[1].any()
        alpha = blend_crops(store.faces[made.target], points[made.target], store.faces[made.source], points[made.source], 4, 0, at)[1]
        changed, ring = (image!=store.faces[made.target]).any(-1), mask[1]>0
        assert not changed[alpha==0].any() and alpha[ring].min()<.5<=alpha[ring].max() and .05<(alpha>=.5).mean()<.7
        inside.append(changed[alpha>.9].mean())
    assert np.mean(inside)>.9, inside
    again = faces.pixels(fakes, 0)
    assert (again[0]==x).all() and (again[1]==masks).all() and (faces.pixels(fakes, 1)[0]!=x).any()

def test_photographs_blend_whole(photographs):
    "The same on the whole photographs, as an own corpus is forged from them: outside the mask not a byte differs."
    _, _, found = photographs
    for (_, image, _, points), (_, other, _, theirs) in zip(found[:4], found[1:5]):
        forged, mask = blend_photographs(Photograph(image, points), Photograph(other, theirs), 'test')
        assert mask.any() and (forged[mask==0]==image[mask==0]).all() and (forged[mask>200]!=image[mask>200]).any(-1).mean()>.8

@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    "Swaps with their originals, both cut with the box of the original."
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    table = pd.read_csv(FAKES/'manifest.csv')
    table = table[table.pair_with.fillna('').str.startswith('real_faces/')|table.pair_with.fillna('').str.startswith('dfl_pairs')]
    if not len(table): pytest.skip('no swaps with their originals')
    rows, n = [], 0
    for fake, real in zip(table.file, table.pair_with):
        real = DATA/real if real.startswith('real_faces') else PHOTOS/real
        if not real.exists(): continue
        image, forged = read_image(real), read_image(FAKES/fake)
        box = pick(dlib_faces(image)) if image.shape==forged.shape else None
        if box is None: continue
        rows += [(image, box, dict(video=f'r{n}', target=f'p{n}', pair=f'r{n}')),
                 (forged, box, dict(video=f'f{n}', target=f'p{n}', source='s', pair=f'r{n}', label=1, method='swap'))]
        n += 1
        if n==5: break
    if not rows: pytest.skip('no swap of the size of its original')
    return store_of(tmp_path_factory.mktemp('pairs')/'store', rows)

def test_masks_of_real_swaps(pairs):
    "The difference of a real pair is the face: its hull holds the nose, and not the corners."
    r, points = regions(pairs), landmarks_of(pairs)
    fakes = np.flatnonzero(pairs.manifest.label)
    good = [i for i in fakes if r.kinds[i]=='difference' and has_landmarks(points[i:i+1])[0]]
    assert len(good)>=len(fakes)//2, r.kinds
    nose = [r.masks[i][tuple(np.round(points[i, 30, ::-1]).astype(int))]>0 for i in good]
    corners = [(r.masks[i][[0, 0, -1, -1], [0, -1, 0, -1]]>0).mean() for i in good]
    assert np.mean(nose)>=.7 and np.mean(corners)<=.3, (nose, corners)
    assert all(extrinsic(r.masks[i]).any() for i in good)

def test_parts_of_real_swaps(pairs):
    real = pair_rows(pairs)
    for part in PARTS:
        made = partial_faces(pairs, np.flatnonzero(pairs.manifest.label), part)
        for image, mask, row in zip(made.images, made.masks, made.rows):
            assert (image[mask==0]==pairs.faces[real[row]][mask==0]).all()
        assert (made.masks>0).any(), part

def test_fake_in_real(pairs):
    faces = BlendSet(pairs, shares=(0, 0, 1), seed=1)
    fakes = np.flatnonzero(faces.labels)
    made, (_x, masks) = faces.plan(fakes, 0), faces.pixels(fakes, 0)
    blended = [i for i, m in enumerate(made) if m.kind=='fake_real']
    assert blended and all(pairs.manifest.label[made[i].target]==0
                           and pairs.manifest.target[made[i].target]!=pairs.manifest.target[made[i].source] for i in blended)
    assert all(masks[i, 1].any() for i in blended)
