"""Extraction at corpus scale: every kind of file, tracks that follow and tracks that must not, masks, alignment, and memory that does not
grow."""
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
import cv2
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadFile, BadSetting, NoFace
from ffd_repro.base.paths import digest
from ffd_repro.corpora.frames import count_frames, frames_of, tar_folders
from ffd_repro.corpora.images import read_image
from ffd_repro.corpora.videos import VideoFrame, read_frames, video_info, write_video
from ffd_repro.faces import tracking
from ffd_repro.faces.cropping import default_detector
from ffd_repro.faces.detection import drawn_face, opencv_faces
from ffd_repro.faces.extraction import extract, extract_view
from ffd_repro.faces.geometry import centre, iou
from ffd_repro.faces.loading import FaceStore
from ffd_repro.faces.sampling import Even, Sampling
from ffd_repro.faces.tracking import EVERY, FACE_DETECTORS, Searcher, pick

WALL = np.full((160, 220, 3), 90, np.uint8)

def moving(n, x=80, **kw): return [drawn_face(x + 2*i, seed=i, **kw) for i in range(n)]

def table(*rows):
    "A manifest of rows (path, label, pair, mask), as far as they are given."
    made = []
    for row in rows:
        path, label, pair, mask = (*row, *('', 0, '', '')[len(row):])
        made.append(dict(corpus='Toy', quality='', label=label, method=('real', 'swap')[label], video=path, target=path, source=path,
                         pair=pair, split='train', path=path, mask=mask))
    return pd.DataFrame(made)

def png(image): return cv2.imencode('.png', image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()

def tar(path, members, mode='w'):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as t:
        for name, data in members.items():
            m = tarfile.TarInfo(name)
            if isinstance(data, bytes): m.size = len(data); t.addfile(m, io.BytesIO(data))
            else: m.type, m.linkname = data; t.addfile(m)
    return path

def turned(path, to, degrees):
    "The same video with a note to turn it."
    av = pytest.importorskip('av')
    with av.open(str(to), 'w') as out, av.open(str(path)) as src:
        s = out.add_stream_from_template(src.streams.video[0])
        s.set_display_rotation(degrees)
        for p in src.demux(video=0):
            if p.dts is not None: p.stream = s; out.mux(p)
    return to

# files of every kind

def test_every_kind_of_path_gives_the_same_faces(tmp_path):
    """A folder, a folder without suffixes, a plain tar called gz and a packed one hold the same images: they give the same faces, in
    the order of the numbers."""
    images = {i: drawn_face(100 + i, seed=i) for i in range(12)}
    for kind, name in (('png', '{}.png'), ('timit', '{:03d}')):
        (tmp_path/kind).mkdir()
        for i, im in images.items(): (tmp_path/kind/name.format(i)).write_bytes(png(im))
    tar(tmp_path/'fake_train/1.tar.gz', {f'./1/fake/23/{i}.png': png(images[i]) for i in reversed(images)})
    tar(tmp_path/'packed.tgz', {f'1/fake/23/{i}.png': png(images[i]) for i in images}, 'w:gz')
    paths = ['png', 'timit', 'fake_train/1.tar.gz/1/fake/23', 'packed.tgz/1/fake/23']
    before = sorted(p for p in tmp_path.rglob('*'))
    meta = extract(table(*((p,) for p in paths)), tmp_path, Sampling(5, 3), 64, 'whole', tmp_path/'store')
    assert (meta['faces'], meta['skipped'], meta['partial']) == (12, [], [])
    store = FaceStore(tmp_path/'store')
    assert store.manifest.frame.tolist() == [0, 5, 10]*4
    for k in range(1, 4): assert (store.faces[3*k:3*k+3] == store.faces[:3]).all()
    square = np.pad(images[5], ((30, 30), (0, 0), (0, 0)), 'symmetric') # what lies over the rim is mirrored
    assert (store.faces[1] == cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA)).all()
    assert [p for p in sorted(tmp_path.rglob('*')) if 'store' not in str(p)] == before, 'something was unpacked'

def test_searching_in_folders_and_archives(tmp_path):
    tar(tmp_path/'a.tar', {f'x/{i}.png': png(f) for i, f in enumerate(moving(14))})
    track = FACE_DETECTORS['opencv'].track(tmp_path, 'a.tar/x', range(14), EVERY)
    assert len(track) == 14 and all(abs(centre(f.box)[0] - 81 - 2*i) < 6 for i, f in track.items())

def test_names_with_spaces_and_letters_of_all_kinds(tmp_path):
    write_video(tmp_path/'real videos/Zoë Ångström 1.mp4', moving(4))
    tar(tmp_path/'архив 1.tar.gz', {'1/ré al/0 1/7.png': png(drawn_face())})
    (tmp_path/'顔').mkdir(); (tmp_path/'顔'/'a 1.png').write_bytes(png(drawn_face()))
    videos = table(('real videos/Zoë Ångström 1.mp4',), ('архив 1.tar.gz/1/ré al/0 1',), ('顔',), ('顔/a 1.png',))
    meta = extract(videos, tmp_path, Sampling(2, 2), 32, 'opencv', tmp_path/'store')
    assert (meta['faces'], meta['skipped']) == (5, [])
    assert FaceStore(tmp_path/'store').manifest.video.unique().tolist() == videos.video.tolist()

@pytest.mark.parametrize('degrees', [90, -90, 180])
def test_portrait_videos_are_upright(tmp_path, degrees):
    "A face filmed on its side, with the note that phones write: it is found, upright, and the size is that of the turned frame."
    lying = [np.ascontiguousarray(np.rot90(f, -degrees//90)) for f in moving(6)]
    write_video(tmp_path/'lying.mp4', lying)
    turned(tmp_path/'lying.mp4', tmp_path/'noted.mp4', degrees)
    assert video_info(tmp_path/'noted.mp4')[2:] == (220, 160)
    upright, frame = moving(6)[3], dict(read_frames(tmp_path/'noted.mp4', [3]))[3]
    assert np.abs(frame.astype(int) - upright).mean() < 6
    seen = cv2.VideoCapture(str(tmp_path/'noted.mp4')).read()[1]
    assert np.abs(cv2.cvtColor(seen, cv2.COLOR_BGR2RGB).astype(int) - dict(read_frames(tmp_path/'noted.mp4', [0]))[0]).mean() < 2
    track = FACE_DETECTORS['opencv'].track(tmp_path, 'noted.mp4', range(6), EVERY)
    assert len(track) == 6 and iou(track[0].box, pick(opencv_faces(moving(1)[0]))) > .8

def test_odd_grey_and_deep_images(tmp_path):
    face = drawn_face()[:159, :219]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    for name, image in dict(odd=face[..., ::-1], grey=grey, deep=grey.astype(np.uint16)*257,
                            alpha=np.dstack([face[..., ::-1], np.full(grey.shape, 7, np.uint8)])).items():
        cv2.imwrite(str(tmp_path/f'{name}.png'), image)
    write_video(tmp_path/'odd.mp4', [face]*2)
    assert (read_image(tmp_path/'odd.png') == face).all() and (read_image(tmp_path/'alpha.png') == face).all()
    assert (read_image(tmp_path/'deep.png') == read_image(tmp_path/'grey.png')).all() and (read_image(tmp_path/'grey.png') == grey[...,
        None]).all()
    meta = extract(table(*((f'{n}.png',) for n in ('odd', 'grey', 'deep', 'alpha')), ('odd.mp4',)), tmp_path, Sampling(1, 1), 40,
                   'opencv', tmp_path/'store')
    assert (meta['faces'], meta['skipped']) == (5, [])
    faces = FaceStore(tmp_path/'store').faces
    assert (faces[1] == faces[2]).all() and (faces[0] == faces[3]).all()

def test_exif_note_turns_a_photograph(tmp_path):
    Image = pytest.importorskip('PIL.Image')
    note = Image.Exif(); note[274] = 8
    Image.fromarray(drawn_face()).transpose(Image.Transpose.ROTATE_270).save(tmp_path/'p.jpg', exif=note, quality=95)
    assert np.abs(read_image(tmp_path/'p.jpg').astype(int) - drawn_face()).mean() < 4

# archives and links that are not what they seem

@pytest.mark.parametrize('name, data', [('../x.png', b'x'), ('1/../../x.png', b'x'), ('/tmp/x.png', b'x'),
                                        ('1/x.png', (tarfile.SYMTYPE, '/etc/passwd')), ('1/x.png', (tarfile.LNKTYPE, '../y.png')),
                                        ('1/x.png', (tarfile.FIFOTYPE, ''))])
def test_unsafe_archives_are_refused_and_named(tmp_path, name, data):
    tar(tmp_path/'bad.tar.gz', {'1/fake/2/0.png': png(drawn_face()), name: data})
    (tmp_path/'good').mkdir(); (tmp_path/'good/0.png').write_bytes(png(drawn_face()))
    with pytest.raises(BadFile, match='points outside it|link or a device') as e: tar_folders(tmp_path/'bad.tar.gz')
    assert 'bad.tar.gz' in str(e.value)
    meta = extract(table(('bad.tar.gz/1/fake/2',), ('good',)), tmp_path, Sampling(1, 1), 32, 'whole', tmp_path/'store')
    assert [s['path'] for s in meta['skipped']] == ['bad.tar.gz/1/fake/2'] and meta['faces'] == 1

def test_every_truncation_of_an_archive_is_noticed(tmp_path):
    "Cut anywhere: a tar that has lost members never passes for a shorter one."
    whole = tar(tmp_path/'whole.tar', {f'x/{i}.png': png(WALL[:8, :8]) for i in range(6)})
    data = whole.read_bytes()
    used = len(data.rstrip(b'\0'))
    for end in [10, 400, 512, 600, *range(1024, used, 512)]:
        (tmp_path/'cut.tar').write_bytes(data[:end])
        with pytest.raises(BadFile, match='to its end'): tar_folders(tmp_path/'cut.tar')
    packed = tar(tmp_path/'p.tgz', {f'x/{i}.png': png(drawn_face(seed=i)[:40, :40]) for i in range(6)}, 'w:gz').read_bytes()
    for share in (.01, .3, .7, .99):
        (tmp_path/'cut.tgz').write_bytes(packed[:int(len(packed)*share)])
        with pytest.raises(BadFile, match='to its end'): list(frames_of(tmp_path/'cut.tgz/x'))

def test_an_archive_that_changes_is_read_anew(tmp_path):
    tar(tmp_path/'a.tar', {'x/0.png': png(WALL)})
    assert count_frames(tmp_path/'a.tar/x') == 1
    tar(tmp_path/'a.tar', {'x/0.png': png(WALL), 'x/1.png': png(WALL)})
    assert count_frames(tmp_path/'a.tar/x') == 2

def test_links_among_frames_that_lead_out_are_refused(tmp_path):
    (tmp_path/'secret.png').write_bytes(png(WALL)); (tmp_path/'clip').mkdir()
    (tmp_path/'clip/0.png').symlink_to('../secret.png')
    with pytest.raises(BadFile, match='leads out'): count_frames(tmp_path/'clip')

@contextmanager
def as_nobody():
    "Without the rights of root, where the test has them."
    root = os.geteuid() == 0
    if root: os.seteuid(65534)
    try: yield
    finally:
        if root: os.seteuid(0)

def test_files_that_may_not_be_read():
    "A video, an image, a folder and an archive without read permission: each says so."
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder); folder.chmod(0o755)
        write_video(folder/'v.mp4', moving(2)); (folder/'i.png').write_bytes(png(WALL)); tar(folder/'a.tar', {'x/0.png': png(WALL)})
        (folder/'d').mkdir(); (folder/'d/0.png').write_bytes(png(WALL))
        for name in ('v.mp4', 'i.png', 'a.tar', 'd'): (folder/name).chmod(0)
        with as_nobody():
            if os.access(folder/'v.mp4', os.R_OK, effective_ids=True): pytest.skip('this user may read everything')
            for name in ('v.mp4', 'i.png', 'a.tar/x', 'd', 'd/0.png'):
                with pytest.raises(BadFile, match='permission denied') as e: list(frames_of(folder/name))
                assert 'chmod' in str(e.value)
        (folder/'d').chmod(0o755)

# tracks

def clip(folder, frames): write_video(folder/'clip.mp4', frames, crf=12); return 'clip.mp4'

def counting(frames_searched):
    "The detector `opencv`, which notes how often it is asked."
    def faces(frame): frames_searched.append(1); return opencv_faces(frame)
    return Searcher('opencv', faces)

def true_box(frame): return pick(opencv_faces(frame))

def test_a_moving_face_is_followed_with_few_searches(tmp_path):
    frames, asked = [drawn_face(70 + 25*np.sin(i/12) + i/2, 80 + 6*np.sin(i/5), seed=i) for i in range(100)], []
    track = counting(asked).track(tmp_path, clip(tmp_path, frames), range(100), EVERY)
    assert len(track) == 100 and len(asked) <= 16
    assert np.mean([iou(f.box, true_box(frames[i])) for i, f in track.items()]) > .9
    assert {f.how for f in track.values()} == {'opencv', 'opencv+tracked'} and sum(f.how == 'opencv' for f in track.values()) == len(asked)

def test_nothing_is_interpolated_over_a_cut(tmp_path):
    "At frame 40 the picture is cut to another person elsewhere: no box lies between the two places."
    frames = [drawn_face(60, 85, r=40, seed=i) for i in range(40)] + [drawn_face(165, 80, r=40, seed=i) for i in range(40)]
    track = FACE_DETECTORS['opencv'].track(tmp_path, clip(tmp_path, frames), range(80), EVERY)
    assert len(track) == 80
    for i, f in track.items(): assert iou(f.box, true_box(frames[0 if i < 40 else 40])) > .75, (i, f)

def test_a_short_scene_between_two_alike_is_seen(tmp_path):
    "Six frames of another place, between two searched frames whose boxes agree: the face is not taken to be there."
    frames = [drawn_face(seed=i) for i in range(60)]
    frames[26:32] = [drawn_face(175, 60, r=36, seed=i) for i in range(6)]
    track = FACE_DETECTORS['opencv'].track(tmp_path, clip(tmp_path, frames), range(60), EVERY)
    for i in range(26, 32): assert i in track and iou(track[i].box, true_box(frames[28])) > .7, (i, track.get(i))
    assert iou(track[25].box, true_box(frames[0])) > .8 and iou(track[32].box, true_box(frames[0])) > .8

def test_a_face_that_leaves_has_no_box_while_it_is_away(tmp_path):
    frames = moving(40) + [WALL]*60
    track = FACE_DETECTORS['opencv'].track(tmp_path, clip(tmp_path, frames), range(100), EVERY)
    assert set(range(40)) <= set(track) and max(track) <= 39 + 12
    assert all('interpolated' in track[i].how for i in track if i >= 40)

def test_an_empty_clip_costs_few_searches_and_is_no_face(tmp_path):
    asked = []
    assert counting(asked).track(tmp_path, clip(tmp_path, [WALL]*120), range(120), EVERY) == {} and len(asked) <= 25
    with pytest.raises(NoFace): tracking.find_track('opencv', tmp_path, 'clip.mp4', range(120), EVERY)

def test_every_frame_can_be_searched(tmp_path):
    frames, asked = moving(20), []
    track = counting(asked).track(tmp_path, clip(tmp_path, frames), range(20), every=1)
    assert len(asked) == 20 and {f.how for f in track.values()} == {'opencv'}
    with pytest.raises(BadSetting, match='every'): counting(asked).track(tmp_path, 'clip.mp4', range(20), every=0)

def test_frames_far_apart_are_all_searched(tmp_path):
    asked = []
    track = counting(asked).track(tmp_path, clip(tmp_path, moving(60, x=60)), range(0, 60, 15), EVERY)
    assert len(asked) == 4 and sorted(track) == [0, 15, 30, 45]

def test_the_track_stays_with_its_face(tmp_path):
    "A second, larger face comes in half-way: the track does not change over."
    frames = []
    for i in range(40):
        f = np.concatenate([drawn_face(70, 80, r=38, seed=i), np.full((160, 60, 3), 90, np.uint8)], 1)
        if i >= 18: f[:, 120:] = drawn_face(75, 80, r=52, seed=i)[:, :160]
        frames.append(f)
    track = FACE_DETECTORS['opencv'].track(tmp_path, clip(tmp_path, frames), range(40), EVERY)
    assert all(abs(centre(f.box)[0] - 70) < 12 for f in track.values()), {i: centre(f.box) for i, f in track.items()}

def test_only_the_frames_between_two_searches_are_held():
    class Held:
        alive = most = 0
        def __init__(self): Held.alive += 1; Held.most = max(Held.most, Held.alive)
        def __del__(self): Held.alive -= 1
    picture = drawn_face()
    def frames(*_):
        for i in range(200):
            held = Held()
            yield i, VideoFrame(lambda held=held: picture, lambda held=held: cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
            del held
    with patch.object(tracking, 'lazy_frames', frames): track = FACE_DETECTORS['opencv'].track('', '', range(200), EVERY)
    assert len(track) == 200 and Held.most <= EVERY + 3

# the store

def pairs(root, n=12, fake=None):
    write_video(root/'r.mp4', moving(n)); write_video(root/'f.mp4', [drawn_face(80 + 2*i, mouth=.2, seed=i) for i in range(fake or n)])
    return table(('r.mp4', 0, 'r.mp4'), ('f.mp4', 1, 'r.mp4', 'm.mp4'))

def test_a_fake_longer_than_its_original_stops_there_and_is_counted(tmp_path):
    meta = extract(pairs(tmp_path, 9, 30), tmp_path, Even(6), 48, 'opencv', tmp_path/'store')
    rows = FaceStore(tmp_path/'store').manifest
    assert rows[rows.label == 1].frame.tolist() == [0, 5] and (rows[rows.label == 1].detector.str.endswith('+pair')).all()
    assert meta['partial'] == [dict(video='f.mp4', path='f.mp4', asked=6, cut=2,
                                    reason='4 beyond the end of its original or of its last face')]

def test_even_sampling_asks_for_the_true_length(tmp_path):
    "A fake of another length than its original has other frames; the original is searched for them, too."
    meta = extract(pairs(tmp_path, 30, 21), tmp_path, (Even(4), Even(5)), 48, 'opencv', tmp_path/'store')
    rows = FaceStore(tmp_path/'store').manifest
    assert rows.frame.tolist() == [0, 9, 19, 29, 0, 5, 10, 15, 20] and meta['partial'] == []

def test_a_mask_shorter_than_its_video(tmp_path):
    videos = pairs(tmp_path)
    write_video(tmp_path/'m.mp4', [cv2.circle(np.zeros((160, 220), np.uint8), (100, 90), 30, 200, -1)]*5)
    plain = extract(videos, tmp_path, Sampling(3, 4), 48, 'opencv', tmp_path/'plain')
    meta = extract(videos, tmp_path, Sampling(3, 4), 48, 'opencv', tmp_path/'store', masks=True)
    rows, masks = pd.read_csv(tmp_path/'store'/'manifest.csv'), np.load(tmp_path/'store'/'masks.npy')
    assert rows['mask'].tolist() == ['real']*4 + ['official', 'official', 'none', 'none'] and masks.shape == (8, 48,
        48) and masks.dtype == np.uint8
    assert [m.max() > 190 for m in masks] == [False]*4 + [True, True, False, False] and 150 < masks[4][masks[4] > 60].mean() < 205
    assert meta['mask_counts'] == dict(real=4, official=2, none=2) and 'beyond its end' in meta['mask_notes'][0]['reason']
    assert (tmp_path/'store'/'faces.npy').read_bytes() == (tmp_path/'plain'/'faces.npy').read_bytes()
    assert 'mask' not in pd.read_csv(tmp_path/'plain'/'manifest.csv')
    assert plain['key'] != meta['key'] and not (tmp_path/'plain'/'masks.npy').exists()

def test_masks_in_folders_go_by_name_and_by_size(tmp_path):
    "The mask folder lacks a frame and is half as large: each mask still lies on its own face."
    for d in ('frames', 'masks'): (tmp_path/d).mkdir()
    for i in range(0, 50, 10):
        (tmp_path/f'frames/{i:03d}.png').write_bytes(png(drawn_face(100)))
        if i != 10: (tmp_path/f'masks/{i:03d}.png').write_bytes(png(cv2.circle(np.zeros((80, 110), np.uint8), (i + 10, 40), 6, 255, -1)))
    meta = extract(table(('frames', 1, '', 'masks')), tmp_path, Sampling(1, 5), 110, 'whole', tmp_path/'store', masks=True)
    rows, masks = pd.read_csv(tmp_path/'store'/'manifest.csv'), np.load(tmp_path/'store'/'masks.npy')
    assert rows['mask'].tolist() == ['official', 'none', 'official', 'official', 'official'] and meta['mask_counts'] == dict(official=4,
        none=1)
    for m, i in zip(masks[[0, 2, 3, 4]], (0, 20, 30, 40)): assert abs((m.sum(0)*np.arange(110)).sum()/m.sum() - (i + 10)) < 1.5

@pytest.mark.parametrize('note', range(1, 9))
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif'])
def test_a_mask_lies_on_its_picture_whatever_the_note(tmp_path, note, suffix):
    "A spot in the stored pixels, with a note that turns the picture; the mask is stored alike and has no note."
    Image, stored = pytest.importorskip('PIL.Image'), np.zeros((80, 120, 3), np.uint8)
    cv2.circle(stored, (100, 15), 10, (255, 255, 255), -1)
    camera = Image.Exif(); camera[274] = note
    Image.fromarray(stored).save(tmp_path/f'p{suffix}', exif=camera)
    Image.fromarray(stored[..., 0]).save(tmp_path/'m.png')
    extract(table((f'p{suffix}', 1, '', 'm.png')), tmp_path, Sampling(1, 1), 96, 'whole', tmp_path/'store', masks=True)
    face, mask = np.load(tmp_path/'store'/'faces.npy')[0, ..., 0], np.load(tmp_path/'store'/'masks.npy')[0]
    both = ((face > 127) & (mask > 127)).sum()/((face > 127) | (mask > 127)).sum()
    assert both > .9 if note in (1, 5, 6, 7, 8) else both < .5 # 2, 3 and 4 leave the size as it is: the mask's own note decides

def test_a_mask_of_another_shape_is_left_out_and_named(tmp_path):
    (tmp_path/'p.png').write_bytes(png(np.zeros((80, 120, 3), np.uint8)))
    for name, size in (('other', (120, 80)), ('small', (40, 60))): (tmp_path/f'{name}.png').write_bytes(png(np.full(size, 255, np.uint8)))
    other, small = (extract(table(('p.png', 1, '', f'{n}.png')), tmp_path, Sampling(1, 1), 96, 'whole', tmp_path/n/'store', masks=True)
                    for n in ('other', 'small'))
    assert other['mask_counts'] == dict(none=1) and 'The mask is 80x120 pixels and its frame 120x80' in other['mask_notes'][0]['reason']
    assert small['mask_counts'] == dict(official=1)

def test_alignment_is_the_originals(tmp_path):
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    lean = cv2.getRotationMatrix2D((110, 80), -15, 1)
    for name, mouth in (('r', .1), ('f', .2)):
        write_video(tmp_path/f'{name}.mp4', [cv2.warpAffine(drawn_face(110, mouth=mouth, seed=i), lean, (220, 160),
                                                            borderMode=cv2.BORDER_REFLECT) for i in range(6)])
    videos = table(('r.mp4', 0, 'r.mp4'), ('f.mp4', 1, 'r.mp4'))
    meta = extract(videos, tmp_path, Sampling(2, 3), 64, 'opencv', tmp_path/'store', align=True)
    rows = pd.read_csv(tmp_path/'store'/'manifest.csv')
    assert meta['align'] is True and rows.turn.tolist()[:3] == rows.turn.tolist()[3:] and rows.turn.between(8, 22).all()
    assert set(rows.detector) <= {f'opencv{t}+level{p}' for t in ('', '+tracked') for p in ('', '+pair')}

def test_the_question_of_a_plain_store_has_not_changed(tmp_path):
    "Stores of boxes that come with a corpus keep their key, so that results computed from them are found again."
    videos = pairs(tmp_path)
    for v in 'rf':
        (tmp_path/'boxes').mkdir(exist_ok=True); (tmp_path/f'boxes/{v}.json').write_text(json.dumps(dict(boxes=[[60, 40, 120, 120]]*12)))
    meta = extract(videos, tmp_path, (Sampling(2, 4), Sampling(2, 1)), 32, None, tmp_path/'store')
    stamps = [[v, 'train', (tmp_path/v).stat().st_size] for v in ('r.mp4', 'f.mp4')]
    assert meta['key'] == digest(json.dumps([dict(real=[2, 4], fake=[2, 1], side=32, detector='sidecar', margin=1.3), stamps]))
    assert list(pd.read_csv(tmp_path/'store'/'manifest.csv')) == ['corpus', 'quality', 'label', 'method', 'video', 'target', 'source',
        'pair', 'split', 'frame', 'x0', 'y0', 'x1', 'y1', 'detector']

def test_another_way_of_cutting_is_another_folder(tmp_path):
    "In the cache, what differs from the profile has a folder of its own; to ask for the usual detector by name is to ask for it."
    for k, (real, fake) in enumerate([('000', '000_003'), ('003', '003_000')]):
        for file in (f'original_sequences/youtube/c23/videos/{real}.mp4', f'manipulated_sequences/Deepfakes/c23/videos/{fake}.mp4'):
            write_video(tmp_path/'ff'/file, moving(6, 70 + 5*k))
    with patch.dict(os.environ, FFD_CACHE=str(tmp_path/'cache')):
        folder = lambda **kw: extract_view('FF++-HQ:DF', 'smoke', tmp_path/'ff', workers=1, **kw)[0]
        plain = folder()
        others = [folder(sampling='even:2'), folder(margin=1.6), folder(masks=True), folder(detector='whole'), folder(every=1)]
        again = [folder(), folder(detector='opencv'), folder(margin=1.3, every=EVERY)]
    assert len({plain, *others}) == 6 and all((f/'meta.json').exists() for f in others)
    assert again == [plain]*3 and json.loads((plain/'asked.json').read_text())['detector'] == 'opencv'

def test_corpora_of_ready_faces_are_taken_whole(tmp_path):
    assert [default_detector(c, tmp_path) for c in ('HFF', 'WildDeepfake', 'DeepfakeBench', 'FF++', 'Toy')] == ['whole']*3 + ['opencv']*2

def test_a_box_outside_the_picture_is_a_counted_skip(tmp_path):
    videos = pairs(tmp_path)
    (tmp_path/'boxes').mkdir()
    for v, box in (('r', [60, 40, 120, 120]), ('f', [900, 900, 960, 960])):
        (tmp_path/f'boxes/{v}.json').write_text(json.dumps(dict(boxes=[box]*12)))
    meta = extract(videos, tmp_path, Sampling(2, 2), 32, None, tmp_path/'store')
    assert [(s['path'], 'outside' in s['reason']) for s in meta['skipped']] == [('f.mp4', True)]

MEMORY = '''
import resource, sys, pandas as pd
from pathlib import Path
from ffd_repro.faces.extraction import extract
from ffd_repro.faces.sampling import Sampling
root, n = Path(sys.argv[1]), int(sys.argv[2])
rows = [dict(corpus='Toy', quality='', label=0, method='real', video=f'v{i}',
             target='', source='', pair='', split='train', path='clip.mp4', mask='') for i in range(n)]
extract(pd.DataFrame(rows), root, Sampling(1, 24), 192, 'opencv', root/f'store{n}')
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)
'''

def test_memory_does_not_grow_with_the_number_of_videos(tmp_path):
    "Ten times as many videos, 100 MB more in the store, about the same memory."
    write_video(tmp_path/'clip.mp4', moving(24))
    peak = [int(subprocess.run([sys.executable, '-c', MEMORY, str(tmp_path), str(n)], capture_output=True, text=True, check=True,
                               cwd=Path(__file__).resolve().parents[1]).stdout) for n in (4, 40)]
    assert (tmp_path/'store40'/'faces.npy').stat().st_size > 100e6
    assert peak[1] - peak[0] < 30, peak

def test_the_other_reader_follows_as_well(tmp_path):
    "Without PyAV OpenCV decodes, which cannot keep frames: the track is the same."
    from ffd_repro.corpora import videos
    name = clip(tmp_path, moving(30))
    with_av = FACE_DETECTORS['opencv'].track(tmp_path, name, range(30), EVERY)
    with patch.object(videos, '_has_av', lambda: False): without = FACE_DETECTORS['opencv'].track(tmp_path, name, range(30), EVERY)
    assert set(without) == set(with_av) and min(iou(without[i].box, with_av[i].box) for i in with_av) > .85

def test_progress_counts_faces_and_videos(tmp_path, capsys):
    extract(pairs(tmp_path), tmp_path, Sampling(2, 3), 32, 'opencv', tmp_path/'store')
    shown = capsys.readouterr().err
    assert 'detecting faces' in shown and 'cropping faces' in shown and 'video' in shown
