"""Clips: the frames after each face, cut as it is, from every kind of file; what the plain store keeps; and batches that agree with
single faces."""
import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path
from unittest.mock import patch
import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from ffd_repro.base.errors import BadFile, BadSetting, MissingData, NoFace
from ffd_repro.corpora import videos
from ffd_repro.corpora.videos import write_video
from ffd_repro.faces import cropping
from ffd_repro.faces.clips import ClipSet, ClipStore, residuals
from ffd_repro.faces.cropping import faces_of
from ffd_repro.faces.detection import drawn_face
from ffd_repro.faces.extraction import extract, extract_view
from ffd_repro.faces.geometry import Box
from ffd_repro.faces.loading import FaceSet, FaceStore
from ffd_repro.faces.sampling import Even, Sampling
from ffd_repro.faces.tracking import Found

def moving(n, x=80, **kw): return [drawn_face(x + 2*i, seed=i, **kw) for i in range(n)]

def table(*rows):
    "A manifest of rows (path, label, pair), as far as they are given."
    made = []
    for row in rows:
        path, label, pair = (*row, *('', 0, '')[len(row):])
        made.append(dict(corpus='Toy', quality='', label=label, method=('real', 'swap')[label], video=path, target=path, source=path,
                         pair=pair, split='train', path=path, mask=''))
    return pd.DataFrame(made)

def png(image): return cv2.imencode('.png', image[..., ::-1])[1].tobytes()

def folder_of(path, images):
    path.mkdir(parents=True)
    for i, image in enumerate(images): (path/f'{i:03d}.png').write_bytes(png(image))

def boxes(root, **of):
    (root/'boxes').mkdir(exist_ok=True)
    for name, found in of.items(): (root/'boxes'/f'{name}.json').write_text(json.dumps(dict(boxes=found)))

def noise_store(n, after, side=16, seed=0):
    "A store in memory."
    draw = np.random.default_rng(seed)
    faces, followers = (draw.integers(0, 256, (n, *more, side, side, 3), np.uint8) for more in ((), (after,)))
    row = dict(corpus='Toy', quality='', method='real', video='v', target='', source='', pair='', split='train', detector='sidecar',
               after=after)
    return ClipStore.of(faces, followers, pd.DataFrame([row | dict(label=i % 2, frame=i) for i in range(n)]), data='stand-in')

# what is cut

@pytest.mark.parametrize('detector', ['opencv', 'sidecar', 'whole'])
def test_nothing_but_the_followers_is_added(tmp_path, detector):
    "With and without `after`: the same faces, rows, skips and reasons; a broken video and one without a face are skipped in both."
    folder_of(tmp_path/'r', moving(12)); folder_of(tmp_path/'f', moving(15, mouth=.2))
    write_video(tmp_path/'v.mp4', moving(9)); (tmp_path/'broken.mp4').write_bytes(b'no video')
    if detector == 'sidecar':
        boxes(tmp_path, r=[[60 + 2*i, 40, 120 + 2*i, 120] for i in range(12)], f=[[60, 40, 120, 120]]*15, v=[[60, 40, 120, 120]]*9)
    films = table(('r', 0, 'r'), ('f', 1, 'r'), ('v.mp4',), ('broken.mp4',))
    how = films, tmp_path, (Sampling(3, 9), Even(4)), 32, detector
    plain, clips = extract(*how, tmp_path/'plain'), extract(*how, tmp_path/'clips', after=4)
    assert {k: v for k, v in clips.items() if k != 'key' and not k.startswith('after')} == {k: v for k, v in plain.items() if k != 'key'}
    assert plain['key'] != clips['key'] and len(clips['skipped']) == 1
    assert (tmp_path/'plain/faces.npy').read_bytes() == (tmp_path/'clips/faces.npy').read_bytes()
    a, b = (pd.read_csv(tmp_path/s/'manifest.csv', dtype=str) for s in ('plain', 'clips'))
    pd.testing.assert_frame_equal(a, b.drop(columns='after'))
    assert not (tmp_path/'plain/followers.npy').exists()
    long = dict(r=12, f=15) | {'v.mp4': 9}
    assert b.after.astype(int).tolist() == [min(4, long[v] - 1 - int(i)) for v, i in zip(b.video, b.frame)]
    assert clips['after_short'] == (b.after.astype(int) < 4).sum() > 0

@pytest.mark.parametrize('turn', [0., 12.])
def test_followers_are_cut_with_the_box_and_turn_of_their_face(tmp_path, turn):
    "The boxes move; a follower is its frame in the box of the face before it, not in its own."
    folder_of(tmp_path/'r', moving(8))
    track = {i: Found(Box(50 + 5.*i, 30, 130 + 5*i, 130), 'opencv', turn) for i in range(8)}
    got = faces_of(tmp_path, 'r', [1, 4], track, 48, 1.3, after=3)
    for k, start in enumerate((1, 4)):
        for t in (1, 2, 3):
            assert (got.followers[k, t-1] == faces_of(tmp_path, 'r', [start + t], {start + t: track[start]}, 48).pixels[0]).all()
    assert (got.followers[0, 2] != got.pixels[1]).any() # frame 4 by the box of frame 1, and by its own

def test_a_fake_takes_the_box_of_its_original_for_its_whole_clip(tmp_path):
    "The fake's frames are the original's: then faces and followers of both agree to the bit."
    frames = moving(16)
    folder_of(tmp_path/'r', frames); folder_of(tmp_path/'f', frames)
    extract(table(('r', 0, 'r'), ('f', 1, 'r')), tmp_path, Sampling(4, 4), 48, 'opencv', tmp_path/'store', after=3)
    s = ClipStore(tmp_path/'store')
    real, fake = (np.flatnonzero(s.manifest.label == l) for l in (0, 1))
    assert (s.faces[real] == s.faces[fake]).all() and (s.followers[real] == s.followers[fake]).all()
    assert s.manifest.detector[fake].str.endswith('+pair').all()
    extract(table(('r', 0, 'r')), tmp_path, Sampling(4, 4), 48, 'opencv', tmp_path/'alone', after=3)
    assert (ClipStore(tmp_path/'alone').followers == s.followers[real]).all()

def test_a_fake_longer_than_its_original_goes_on_moving(tmp_path):
    "Its last face has a box of the original; the frames after it are its own."
    folder_of(tmp_path/'r', moving(6)); folder_of(tmp_path/'f', moving(12))
    extract(table(('r', 0, 'r'), ('f', 1, 'r')), tmp_path, Sampling(5, 3), 32, 'opencv', tmp_path/'store', after=3)
    rows = ClipStore(tmp_path/'store').manifest
    assert rows.frame.tolist() == [0, 5, 0, 5] and rows.after.tolist() == [3, 0, 3, 3]

def test_every_frame_is_decoded_once(tmp_path):
    "A frame that is a face and follows three others is converted once, and the file is gone through once."
    write_video(tmp_path/'v.mp4', moving(12))
    looked, opened, plain = Counter(), [], cropping.lazy_frames
    def counted(path, *a):
        opened.append(path)
        for i, frame in plain(path, *a):
            def rgb(i=i, frame=frame): looked[i] += 1; return frame.rgb()
            yield i, frame._replace(rgb=rgb)
    with patch.object(cropping, 'lazy_frames', counted):
        faces_of(tmp_path, 'v.mp4', range(8), {i: Found(Box(60, 40, 120, 120), 'x') for i in range(12)}, 32, after=3)
    assert len(opened) == 1 and looked == {i: 1 for i in range(11)}

def test_every_kind_of_file_gives_the_same_clips(tmp_path):
    images = moving(8)
    folder_of(tmp_path/'a', images)
    for name, mode in (('t.tar', 'w'), ('t.tar.gz', 'w:gz')):
        with tarfile.open(tmp_path/name, mode) as t:
            for i, image in reversed(list(enumerate(images))):
                m = tarfile.TarInfo(f'x/{i}.png'); m.size = len(data := png(image)); t.addfile(m, io.BytesIO(data))
    extract(table(('a',), ('t.tar/x',), ('t.tar.gz/x',)), tmp_path, Sampling(3, 3), 32, 'whole', tmp_path/'s', after=3)
    f = ClipStore(tmp_path/'s').followers
    assert (f[:3] == f[3:6]).all() and (f[:3] == f[6:]).all() and (f[0, 2] == ClipStore(tmp_path/'s').faces[1]).all()

def test_an_image_is_a_clip_that_stands_still(tmp_path):
    (tmp_path/'i.png').write_bytes(png(drawn_face()))
    extract(table(('i.png',)), tmp_path, Sampling(1, 5), 32, 'whole', tmp_path/'s', after=5)
    s = ClipStore(tmp_path/'s')
    assert s.manifest.after.tolist() == [0] and (residuals(ClipSet(s).images([0])) == 0).all()

def test_ready_faces_of_different_sizes_are_each_taken_whole(tmp_path):
    folder_of(tmp_path/'a', [drawn_face(), cv2.resize(drawn_face(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)])
    got = faces_of(tmp_path, 'a', [0], None, 40, after=1)
    assert np.abs(got.pixels[0].astype(int) - got.followers[0, 0]).mean() < 2

# ends and breaks

def fewer(path, n, then=None):
    "A reader of a video that gives `n` frames of those it promises, and then ends or fails."
    def decode(p):
        for i, image in enumerate(moving(n)): yield lambda image=image: videos._of_array(image)
        if then: raise ValueError(then)
    return decode

@pytest.mark.parametrize('n, then, frames', [(10, None, [0, 4, 8]), (10, 'damaged', [0, 4, 8]), (7, None, [0, 6]),
                                             (11, None, [0, 4, 8, 12])])
def test_a_video_that_ends_early_keeps_its_faces(tmp_path, n, then, frames):
    "The container promises 13 frames; whatever the faces alone give, they give with followers."
    write_video(tmp_path/'v.mp4', moving(13))
    track = {i: Found(Box(60, 40, 120, 120), 'x') for i in range(13)}
    with patch.object(videos, '_decode_av', fewer('v', n, then)), patch.object(videos, '_decode_cv', fewer('v', n, then)):
        plain, clips = faces_of(tmp_path, 'v.mp4', frames, track, 32), faces_of(tmp_path, 'v.mp4', frames, track, 32, after=5)
    assert clips.frames == plain.frames and (clips.pixels == plain.pixels).all()
    assert clips.after == [min(5, n - 1 - i) for i in clips.frames] and len(clips.followers) == len(clips.frames)
    for face, clip, k in zip(clips.pixels, clips.followers, clips.after): assert (clip[k:] == (clip[k-1] if k else face)).all()
    assert bool(clips.note) == (then is not None or n < 10)

@pytest.mark.parametrize('n, then', [(5, None), (5, 'damaged')])
def test_a_broken_video_fails_as_it_does_without_followers(tmp_path, n, then):
    write_video(tmp_path/'v.mp4', moving(13))
    track, said = {i: Found(Box(60, 40, 120, 120), 'x') for i in range(13)}, []
    with patch.object(videos, '_decode_av', fewer('v', n, then)), patch.object(videos, '_decode_cv', fewer('v', n, then)):
        for after in (0, 4):
            with pytest.raises(BadFile) as e: faces_of(tmp_path, 'v.mp4', [0, 8], track, 32, after=after)
            said.append(e.value.what)
    if then: assert said[0] == said[1]
    with pytest.raises(NoFace): faces_of(tmp_path, 'v.mp4', [0], {}, 32, after=2)

def test_a_broken_frame_ends_the_clips_before_it_and_is_named(tmp_path):
    folder_of(tmp_path/'a', moving(10)); (tmp_path/'a/005.png').write_bytes(b'no image')
    meta = extract(table(('a',)), tmp_path, Sampling(3, 4), 32, 'whole', tmp_path/'s', after=3)
    s = ClipStore(tmp_path/'s')
    assert s.manifest.frame.tolist() == [0, 3, 6, 9] and s.manifest.after.tolist() == [3, 1, 3, 0]
    assert (s.followers[1] == s.followers[1, :1]).all()
    assert [(n['path'], 'image' in n['reason']) for n in meta['after_notes']] == [('a', True)] and meta['after_short'] == 2

@pytest.mark.parametrize('after', [1, 3])
def test_going_on_after_an_interruption_gives_the_same_bytes(tmp_path, after):
    from ffd_repro.faces import extraction
    folder_of(tmp_path/'r', moving(9)); folder_of(tmp_path/'f', moving(9, mouth=.2))
    how = table(('r', 0, 'r'), ('f', 1, 'r')), tmp_path, Sampling(2, 3), 32, 'opencv'
    def stop(*a): raise KeyboardInterrupt
    with patch.object(extraction, '_assemble', stop), pytest.raises(KeyboardInterrupt): extract(*how, tmp_path/'s', after=after)
    with patch.object(cropping, 'faces_of', stop): extract(*how, tmp_path/'s', after=after) # nothing is cut again
    extract(*how, tmp_path/'two', after=after, workers=2)
    for name in ('faces.npy', 'followers.npy', 'manifest.csv'):
        assert (tmp_path/'s'/name).read_bytes() == (tmp_path/'two'/name).read_bytes()

def test_another_number_of_followers_is_another_question(tmp_path):
    "In one folder it replaces the store; in the cache it has a folder of its own. None at all is the plain store."
    folder_of(tmp_path/'r', moving(6))
    keys = [extract(table(('r',)), tmp_path, Sampling(2, 2), 32, 'whole', tmp_path/'s', after=a)['key'] for a in (2, 3, 0)]
    assert len(set(keys)) == 3 and not (tmp_path/'s/followers.npy').exists()
    for file in ('original_sequences/youtube/c23/videos/000.mp4', 'manipulated_sequences/Deepfakes/c23/videos/000_003.mp4'):
        write_video(tmp_path/'ff'/file, moving(6))
    with patch.dict(os.environ, FFD_CACHE=str(tmp_path/'cache')):
        folders = [extract_view('FF++-HQ:DF', 'smoke', tmp_path/'ff', workers=1, missing='skip', **kw)[0]
                   for kw in ({}, dict(after=0), dict(after=2), dict(after=3))]
    assert folders[0] == folders[1] and len(set(folders)) == 3 and [(f/'followers.npy').exists() for f in folders] == [False, False, True,
        True]

def test_the_command_cuts_followers_and_says_how_many_are_short(tmp_path, capsys):
    from ffd_repro.faces.extraction import ffd_extract
    for file in ('original_sequences/youtube/c23/videos/000.mp4', 'manipulated_sequences/Deepfakes/c23/videos/000_003.mp4'):
        write_video(tmp_path/'ff'/file, moving(6))
    ffd_extract('FF++-HQ:DF', profile='smoke', root=str(tmp_path/'ff'), out=str(tmp_path/'s'), workers=1, missing='skip', after=3)
    s = ClipStore(tmp_path/'s')
    assert s.after == 3 and f'followers: 3 of each face; {(s.manifest.after < 3).sum()} faces' in capsys.readouterr().out

# stores

def test_stores_that_do_not_fit_are_refused(tmp_path):
    n = iter(range(9))
    def broken(change, error, match):
        s = noise_store(6, 3).save(tmp_path/str(next(n)))
        change(s.folder)
        with pytest.raises(error, match=match) as e: ClipStore(s.folder)
        assert 'extract with after=' in str(e.value)
    save = lambda shape, dtype=np.uint8: lambda f: np.save(f/'followers.npy', np.zeros(shape, dtype))
    broken(lambda f: (f/'followers.npy').unlink(), MissingData, 'without the frames after')
    broken(save((5, 3, 16, 16, 3)), BadFile, r'\[5, 3, 16, 16, 3\]')
    broken(save((6, 3, 16, 8, 3)), BadFile, r'\[6, 3, 16, 8, 3\]')
    broken(save((6, 16, 16, 3)), BadFile, 'the faces')
    broken(save((6, 0, 16, 16, 3)), BadFile, 'the faces')
    broken(save((6, 3, 16, 16, 3), np.float32), BadFile, 'float32')
    broken(lambda f: os.truncate(f/'followers.npy', 3000), BadFile, 'cannot be read')
    broken(save((6, 2, 16, 16, 3)), BadFile, 'does not say')
    broken(lambda f: pd.read_csv(f/'manifest.csv').drop(columns='after').to_csv(f/'manifest.csv', index=False), BadFile, 'does not say')

def test_batches_of_clips_are_batches_of_faces():
    "Any subset, order, epoch and augmentation: frame t of a clip is what `FaceSet` makes of a store of the frames t."
    s = noise_store(20, 3)
    rows, how = np.random.default_rng(1).permutation(20)[:13], dict(mean=(.2, .5, .7), std=(.1, .3, .5), augment='flip', seed=5)
    clips = ClipSet(s, rows, after=3, **how)
    for t in range(4):
        one = FaceStore.of(s.followers[:, t-1] if t else s.faces, s.manifest)
        for epoch in (0, 3):
            for a, b in zip(clips.batches(5, 2, epoch), FaceSet(one, rows, **how).batches(5, 2, epoch), strict=True):
                assert torch.equal(a.images[:, t], b.images) and torch.equal(a.rows, b.rows) and torch.equal(a.labels, b.labels)

def test_settings_are_checked(tmp_path):
    s = noise_store(4, 2)
    for after in (3, -1):
        with pytest.raises(BadSetting, match='the store has 2'): ClipSet(s, after=after)
    with pytest.raises(BadSetting, match='the store has 0'): ClipSet(FaceStore.of(s.faces, s.manifest), after=1)
    with pytest.raises(BadSetting, match='empty'): ClipSet(s, [])
    with pytest.raises(BadSetting, match='after is -2'):
        extract(table(('r',)), tmp_path, Sampling(2, 2), 32, 'whole', tmp_path/'x', after=-2)

def test_a_batch_reads_what_it_needs(tmp_path):
    "A store of three gigabytes that is mostly a hole."
    s = noise_store(40, 5).save(tmp_path/'s').folder
    np.lib.format.open_memmap(s/'faces.npy', 'w+', np.uint8, (3000, 256, 256, 3))
    np.lib.format.open_memmap(s/'followers.npy', 'w+', np.uint8, (3000, 5, 256, 256, 3))
    pd.concat([pd.read_csv(s/'manifest.csv')]*75).to_csv(s/'manifest.csv', index=False)
    tracemalloc.start()
    try:
        batch = ClipSet(ClipStore(s), after=5, augment='flip').batch([7, 2999]).images
        assert tracemalloc.get_traced_memory()[1] < batch.numel()*4 + 12e6
    finally: tracemalloc.stop()

ALONE = '''
import sys
from importlib.abc import MetaPathFinder
class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('av', 'dlib', 'fastcore', 'matplotlib', 'timm', 'torchvision', 'nbdev', 'captum', 'ptflops', 'tqdm'):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
from ffd_repro.faces.clips import ClipSet, ClipStore, residuals
print(tuple(residuals(ClipSet(ClipStore(sys.argv[1]), augment='flip').batch([0, 1]).images).shape))
'''

def test_clips_need_torch_and_no_more(tmp_path):
    s = noise_store(4, 2).save(tmp_path/'s')
    out = subprocess.run([sys.executable, '-c', ALONE, str(s.folder)], capture_output=True, text=True,
                         cwd=Path(__file__).resolve().parents[1])
    assert out.stdout.strip() == '(2, 2, 3, 16, 16)', out.stderr
