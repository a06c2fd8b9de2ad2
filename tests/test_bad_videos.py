"""What a folder full of broken files does to extraction: clear words, counted skips, nothing half-written."""
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch
import cv2
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadFile, BadSetting, MissingData, NoFace, UnknownName
from ffd_repro.base.warm import PYTHON
from ffd_repro.corpora import videos
from ffd_repro.corpora.file_checks import check_shown
from ffd_repro.corpora.heads import inspect_file, inspect_files
from ffd_repro.corpora.images import read_image
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.corpora.scan import CorpusScan
from ffd_repro.corpora.videos import count_video, lost_frames, read_frames, read_video, video_frames, video_info, write_video
from ffd_repro.faces.detection import drawn_face
from ffd_repro.faces.extraction import extract, extract_view
from ffd_repro.faces.loading import FaceSet, FaceStore
from ffd_repro.faces.sampling import Even, Sampling

RULE = (Sampling(2, 4), Sampling(2, 1))

def frames(n=8, seed=0): return [np.random.default_rng((seed, i)).integers(60, 190, (64, 80, 3), np.uint8) for i in range(n)]

@pytest.fixture
def tree(tmp_path):
    "Two pairs in the official FaceForensics++ form, with the boxes that a stand-in has."
    root = tmp_path/'FaceForensics++'
    paths = [f'original_sequences/youtube/c23/videos/{p}.mp4' for p in ('000', '003', '004', '005')]
    paths += [f'manipulated_sequences/Deepfakes/c23/videos/{p}.mp4' for p in ('000_003', '003_000', '004_005', '005_004')]
    for k, path in enumerate(paths):
        write_video(root/path, frames(seed=k))
        box = root/'boxes'/Path(path).with_suffix('.json')
        box.parent.mkdir(parents=True, exist_ok=True); box.write_text(json.dumps(dict(boxes=[[20, 10, 60, 50]]*8)))
    for part, pairs in dict(train=[['000', '003']], val=[], test=[['004', '005']]).items():
        (root/f'{part}.json').write_text(json.dumps(pairs))
    (root/'STAND-IN.json').write_text('{"corpus": "FF++"}')
    return root

def store_of(tree, out='store', **kw): return extract(read_corpus('FF++', tree, 'c23'), tree, RULE, 32, None, tree.parent/out, **kw)

def test_whole_tree(tree):
    meta = store_of(tree)
    assert (meta['faces'], meta['videos'], meta['skipped'], meta['data'], meta['detector']) == (4*4 + 4*1, 8, [], 'stand-in', 'sidecar')
    store = FaceStore(tree.parent/'store')
    assert sorted(set(store.manifest.split)) == ['test', 'train'] and store.manifest.video.nunique() == 8

def test_every_kind_of_broken_video_is_counted_and_named(tree):
    folder = tree/'original_sequences/youtube/c23/videos'
    whole = (folder/'000.mp4').read_bytes()
    (folder/'000.mp4').write_bytes(whole[:len(whole)//2])
    (folder/'003.mp4').write_bytes(b'')
    (folder/'004.mp4').write_text('a text, not a video')
    cv2.imwrite(str(tree/'x.png'), np.zeros((8, 8, 3), np.uint8)); shutil.copy(tree/'x.png', folder/'005.mp4')
    (tree/'boxes/manipulated_sequences/Deepfakes/c23/videos/000_003.json').unlink()
    (tree/'boxes/manipulated_sequences/Deepfakes/c23/videos/003_000.json').write_text(json.dumps(dict(boxes=[None]*8)))
    videos = read_corpus('FF++', tree, 'c23')
    (tree/'manipulated_sequences/Deepfakes/c23/videos/004_005.mp4').unlink()
    meta = extract(videos, tree, RULE, 32, None, tree.parent/'store')
    reasons = {Path(s['path']).stem: s['reason'] for s in meta['skipped']}
    assert (meta['videos'], len(reasons)) == (1, 7)
    for name, words in {'000': 'Cannot be opened', '003': 'empty', '004': 'Cannot be opened', '005': 'no video', '000_003': 'No boxes',
                        '003_000': 'no face', '004_005': 'No such video'}.items():
        assert words in reasons[name], (name, reasons[name])
    kept = json.loads((tree.parent/'store'/'meta.json').read_text())
    assert kept['skipped'] == meta['skipped'] and kept['faces'] == len(FaceStore(tree.parent/'store')) == 1

def test_a_searching_detector_counts_and_names_just_the_same(tree):
    "Without boxes: frames of noise show no face, and the broken files are told apart from them."
    shutil.rmtree(tree/'boxes')
    folder = tree/'original_sequences/youtube/c23/videos'
    write_video(folder/'000.mp4', [drawn_face(90 + 2*i, seed=i) for i in range(20)])
    write_video(tree/'manipulated_sequences/Deepfakes/c23/videos/000_003.mp4', [drawn_face(90 + 2*i, mouth=.2, seed=i) for i in range(26)])
    (folder/'003.mp4').write_bytes(b'')
    meta = extract(read_corpus('FF++', tree, 'c23'), tree, (Sampling(2, 20), Sampling(2, 20)), 32, None, tree.parent/'store')
    reasons = {Path(s['path']).stem: s['reason'] for s in meta['skipped']}
    assert (meta['detector'], meta['videos'], len(reasons)) == ('opencv', 2, 6) and 'empty' in reasons['003']
    assert all('no face' in reasons[n] for n in ('004', '005', '003_000', '004_005', '005_004')), reasons
    assert [(p['video'].split('/')[-1], p['asked'], p['cut']) for p in meta['partial']] == [('000_003', 13, 10)]
    rows = FaceStore(tree.parent/'store').manifest
    real, fake = (set(rows[rows.label == label].detector) for label in (0, 1))
    assert {'opencv', 'opencv+tracked'} <= real and fake <= {'opencv+pair', 'opencv+tracked+pair', 'opencv+interpolated+pair'}

def test_a_video_that_promises_too_much(tree):
    "The head of the file says 8 frames, 7 can be decoded: asking for the last by that promise loses one frame, not the video."
    path = tree/'original_sequences/youtube/c23/videos/000.mp4'
    write_video(path, frames(7))
    with patch.object(videos, '_promised', lambda *a: 8):
        meta = extract(read_corpus('FF++', tree, 'c23').query("target=='000' and label==0"), tree, Even(4), 32, None, tree.parent/'store')
        assert FaceStore(tree.parent/'store').manifest.frame.tolist() == [0, 2, 4] and meta['partial'][0]['asked'] == 4
        with pytest.raises(BadFile, match='the video has 7'): list(read_frames(path, [7]))

def test_photographs_cut_short_or_of_another_kind(tmp_path):
    image = drawn_face()
    for end in ('png', 'jpg', 'webp', 'bmp'):
        data = cv2.imencode(f'.{end}', image)[1].tobytes()
        for share in (0, .2, .8):
            (tmp_path/f'x.{end}').write_bytes(data[:int(len(data)*share)])
            with pytest.raises(BadFile, match='Cannot be read as an image'): read_image(tmp_path/f'x.{end}')

def test_nothing_usable_leaves_nothing(tree):
    for f in tree.rglob('*.mp4'): f.write_text('x')
    with pytest.raises(NoFace, match='No face was cropped from any of 8 videos'): store_of(tree)
    assert not (tree.parent/'store').exists()

def test_single_files_name_the_file_and_the_fix(tmp_path):
    write_video(tmp_path/'a.mp4', frames())
    whole = (tmp_path/'a.mp4').read_bytes()
    (tmp_path/'cut.mp4').write_bytes(whole[:len(whole)*2//3])
    (tmp_path/'none.jpg').write_bytes(b'\xff\xd8')
    for path, call in (('cut.mp4', read_video), ('gone.mp4', video_info), ('none.jpg', read_image)):
        with pytest.raises(BadFile) as e: call(tmp_path/path)
        assert path in str(e.value) and 'fix:' in str(e.value)
    with pytest.raises(BadFile, match='Frame 20 was asked for, the video has 8'): list(read_frames(tmp_path/'a.mp4', [2, 20]))

def test_damage_in_the_middle_is_no_silent_replacement(tmp_path):
    "Bytes of some frames are overwritten: those before them are right, and the damage is an error."
    write_video(tmp_path/'a.mp4', frames(30), crf=30)
    good, data = dict(read_frames(tmp_path/'a.mp4')), bytearray((tmp_path/'a.mp4').read_bytes())
    data[len(data)//2:len(data)//2+4000] = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    (tmp_path/'b.mp4').write_bytes(data)
    with pytest.raises(BadFile, match='cannot be decoded'):
        for i, f in read_frames(tmp_path/'b.mp4'): assert (f == good[i]).all()

# what a container holds and does not show, and what it promises and does not hold

def film(path, images, codec='libx264', sound=False, **options):
    "A video of `images`; with `sound` a silent track beside, half a second longer."
    av = pytest.importorskip('av')
    with av.open(str(path), 'w') as out:
        h, w = images[0].shape[:2]
        s = out.add_stream(codec, rate=25, options=options, width=w, height=h, pix_fmt='yuvj420p' if codec == 'mjpeg' else 'yuv420p')
        s.thread_count = 1
        track = out.add_stream('aac', rate=16000, layout='mono') if sound else None
        for image in images: out.mux(s.encode(av.VideoFrame.from_ndarray(image)))
        out.mux(s.encode())
        for i in range(len(images) + 13 if sound else 0):
            f = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.float32), format='fltp', layout='mono')
            f.sample_rate, f.pts, f.time_base = 16000, 640*i, Fraction(1, 16000)
            out.mux(track.encode(f))
        if sound: out.mux(track.encode())
    return path

def trim(path, to, start, n):
    "Show `n` frames from `start` on, by the edit list alone."
    data, at = bytearray(path.read_bytes()), path.read_bytes().find(b'elst')
    scale, = struct.unpack_from('>I', data, data.find(b'mdhd') + 16)
    begin, = struct.unpack_from('>i', data, at + 16)
    struct.pack_into('>Ii', data, at + 12, 40*n, begin + start*scale//25)
    to.write_bytes(data)
    return to

def note(path, to, a, b, c, d):
    "Let the header of the (only) track say how its frames are to be seen."
    data, at = bytearray(path.read_bytes()), path.read_bytes().find(b'tkhd')
    struct.pack_into('>5i', data, at + 44, 65536*a, 65536*b, 0, 65536*c, 65536*d)
    to.write_bytes(data)
    return to

def promise(path, to, n):
    "Let the header of an AVI promise `n` frames."
    data = bytearray(path.read_bytes())
    for at in (data.find(b'avih') + 24, data.find(b'strh') + 40): struct.pack_into('<I', data, at, n)
    to.write_bytes(data)
    return to

def rows(*paths):
    return pd.DataFrame([dict(corpus='Toy', quality='', label=0, method='real', video=p, target=p, source=p, pair='', split='train', path=p,
                              mask='') for p in paths])

def warned(root, *paths):
    "What the check of lengths says of these files."
    found = list(check_shown(CorpusScan('folder', root, rows(*paths), {}, inspect_files(root, paths))))
    return found[0].names if found else []

without_av = patch.object(videos, '_has_av', lambda: False)

@pytest.mark.parametrize('bf, sound', [(0, False), (2, False), (0, True), (2, True)])
@pytest.mark.parametrize('start, n', [(0, 30), (17, 30), (60, 30), (1, 30), (85, 5)])
def test_frames_that_an_edit_list_hides_are_not_there(tmp_path, bf, sound, start, n):
    "Losslessly trimmed: the frames shown are those of the whole clip, from the first to the last, however they are asked for."
    whole = film(tmp_path/'a.mp4', frames(90), sound=sound, bf=str(bf), g='12')
    cut, every = trim(whole, tmp_path/'cut.mp4', start, n), read_video(whole)
    assert len(every) == 90 and (count_video(cut), video_info(cut).frames, lost_frames(cut)) == (n, n, 0)
    assert (read_video(cut) == every[start:start+n]).all()
    assert [(i, (f == every[start+i]).all()) for i, f in read_frames(cut, [0, n-1])] == [(0, True), (n-1, True)]
    assert sum(1 for _ in video_frames(cut)) == n
    with pytest.raises(BadFile, match=f'Frame {n} was asked for, the video has {n}'): list(read_frames(cut, [n]))
    found = inspect_file(tmp_path, 'cut.mp4', deep=True)
    assert (found['frames'], found['fault'], warned(tmp_path, 'cut.mp4')) == (n, '', [])
    with without_av: assert count_video(cut) == n == len(list(read_frames(cut, None))) and lost_frames(cut) == 0

def test_faces_are_taken_from_what_is_shown(tmp_path):
    cut = trim(film(tmp_path/'a.mp4', frames(40), g='250', bf='2'), tmp_path/'cut.mp4', 12, 20)
    meta = extract(rows('cut.mp4'), tmp_path, Even(3), 32, 'whole', tmp_path/'store')
    assert FaceStore(tmp_path/'store').manifest.frame.tolist() == [0, 9, 19] and (meta['skipped'], meta['partial']) == ([], [])
    cut.write_bytes(cut.read_bytes()[:-3000]) # its index lies at the end: what is trimmed and broken is broken
    with pytest.raises(BadFile): read_video(cut)

# where the point (x, y) is seen, and the same as an operation on arrays
SEEN = {(1, 0, 0, 1): lambda m: m, (0, 1, -1, 0): lambda m: np.rot90(m, -1), (-1, 0, 0, -1): lambda m: np.rot90(m, 2),
        (0, -1, 1, 0): lambda m: np.rot90(m), (-1, 0, 0, 1): np.fliplr, (1, 0, 0, -1): np.flipud,
        (0, 1, 1, 0): lambda m: m.swapaxes(0, 1), (0, -1, -1, 0): lambda m: np.rot90(m, 2).swapaxes(0, 1)}

@pytest.mark.parametrize('matrix', SEEN, ids=str)
def test_turned_and_mirrored_as_the_file_says(tmp_path, matrix):
    "All eight ways of holding a camera, for the colours, the brightness and the size."
    plain, seen = film(tmp_path/'a.mp4', frames(2)), SEEN[matrix]
    noted = note(plain, tmp_path/'noted.mp4', *matrix)
    (_, f), (_, g) = (next(video_frames(p, [0])) for p in (plain, noted))
    assert (g.rgb() == seen(f.rgb())).all() and (g.grey() == seen(f.grey())).all()
    assert video_info(noted)[2:] == seen(f.rgb()).shape[1::-1]
    a, b, c, d = matrix
    with without_av:
        if a*d < b*c:
            with pytest.raises(BadFile, match='mirror') as e: list(video_frames(noted))
            assert 'PyAV' in e.value.fix
        else:
            assert video_info(noted)[2:] == seen(f.rgb()).shape[1::-1]
            assert np.abs(next(video_frames(noted, [0]))[1].rgb().astype(int) - g.rgb()).mean() < 3

@pytest.mark.parametrize('codec', ['mjpeg', 'mpeg4', 'libx264'])
def test_a_header_that_promises_too_much_costs_nothing(tmp_path, codec):
    "Twenty frames of two hundred are twenty frames, and the shortfall is told."
    good = film(tmp_path/'good.avi', frames(20), codec)
    every = read_video(many := promise(good, tmp_path/'many.avi', 200))
    assert (every == read_video(good)).all() and len(every) == 20
    assert [(count_video(p), lost_frames(p)) for p in (good, many)] == [(20, 0), (20, 180)]
    meta = extract(rows('many.avi', 'good.avi'), tmp_path, Even(4), 32, 'whole', tmp_path/'store')
    assert meta['faces'] == 8 and meta['skipped'] == []
    assert [(p['path'], p['asked'], p['cut'], '180 more frames' in p['reason']) for p in meta['partial']] == [('many.avi', 4, 4, True)]
    assert warned(tmp_path, 'good.avi', 'many.avi') == ['many.avi (20, 200)']
    with without_av: assert (count_video(many), lost_frames(many), len(read_video(many))) == (20, 180, 20)
    data = many.read_bytes()
    data = bytearray(data[:data.rfind(b'idx1')]); struct.pack_into('<I', data, 4, len(data) - 8)
    many.write_bytes(data) # whole, without an index
    assert count_video(many) == 20 and (read_video(many) == every).all()

def test_frames_that_an_avi_repeats_by_empty_chunks_are_there_once(tmp_path):
    "Screen recorders write a frame that did not change as a chunk of no bytes."
    av = pytest.importorskip('av')
    film(tmp_path/'a.avi', frames(12), 'mjpeg')
    with av.open(str(tmp_path/'gaps.avi'), 'w') as out, av.open(str(tmp_path/'a.avi')) as source:
        s = out.add_stream_from_template(source.streams.video[0])
        for p in source.demux(video=0):
            if p.size: p.stream = s; p.pts = p.dts = 10*p.dts; out.mux(p)
    assert (count_video(tmp_path/'gaps.avi'), lost_frames(tmp_path/'gaps.avi')) == (12, 99)
    assert (read_video(tmp_path/'gaps.avi') == read_video(tmp_path/'a.avi')).all()

@pytest.mark.parametrize('codec', ['mjpeg', 'mpeg4', 'libx264'])
@pytest.mark.parametrize('says', [20, 200])
def test_what_is_cut_off_or_damaged_is_no_wrong_header(tmp_path, codec, says):
    "Whatever its header promises: a file that breaks off, or is damaged within, is refused when it is read."
    data = promise(film(tmp_path/'a.avi', frames(20), codec), tmp_path/'b.avi', says).read_bytes()
    at = [i for i in range(len(data)) if data[i:i+4] == b'00dc' and i < data.rfind(b'idx1')]
    for n in (len(data)*6//10, at[10], at[10] + 4, at[10] + 40): # anywhere; between two frames; in the head of one; within one
        (tmp_path/'cut.avi').write_bytes(data[:n])
        assert count_video(tmp_path/'cut.avi') == says
        with pytest.raises(BadFile, match='decoded'): read_video(tmp_path/'cut.avi')
        with without_av, pytest.raises(BadFile, match='decoded'): read_video(tmp_path/'cut.avi')
    hurt = bytearray(data); hurt[at[10]+8:at[11]] = bytes(at[11] - at[10] - 8)
    (tmp_path/'hurt.avi').write_bytes(hurt)
    with pytest.raises(BadFile, match='decoded'): read_video(tmp_path/'hurt.avi')

def test_corpus_errors(tree, tmp_path):
    (tree/'manipulated_sequences/Deepfakes/c23/videos/004_005.mp4').unlink()
    with pytest.raises(BadFile, match='004_005'): read_corpus('FF++', tree)
    with pytest.raises(MissingData, match='fetch the quality c40'): extract_view('FF++-LQ', 'smoke', tree, tmp_path/'s')
    with pytest.raises(MissingData, match='below the folder'): read_corpus('FF++', tree.parent)
    with pytest.raises(UnknownName): extract_view('FF+-LQ', 'smoke', tree, tmp_path/'s')
    with pytest.raises(UnknownName, match='no manipulation NT'): extract_view('FF++-HQ:NT', 'smoke', tree, tmp_path/'s', missing='skip')
    with pytest.raises(UnknownName): extract_view('FF++-HQ', 'smoek', tree, tmp_path/'s', missing='skip')
    with pytest.raises(UnknownName, match='sidecar'):
        extract_view('FF++-HQ', 'smoke', tree, tmp_path/'s', detector='sidecars', missing='skip')
    with pytest.raises(BadSetting, match='no video'): extract(pd.DataFrame(), tree, RULE, 32, None, tmp_path/'s')
    assert not (tmp_path/'s').exists()

def test_store_errors(tree):
    store_of(tree)
    out = tree.parent/'store'
    with pytest.raises(BadSetting, match='empty'): FaceSet(FaceStore(out), [])
    (out/'faces.npy').write_bytes((out/'faces.npy').read_bytes()[:200])
    with pytest.raises(BadFile, match='extract the faces again'): FaceStore(out)
    with pytest.raises(MissingData, match='ffd_extract'): FaceStore(out/'nowhere')

def test_killed_extraction_goes_on_to_the_same_bytes(tree):
    "kill -9 in the middle, then the same call: the store is that of an uninterrupted run."
    store_of(tree, 'whole')
    code = f'''
import os, time
print(os.getpid(), flush=True)
import ffd_repro.faces.cropping as c, ffd_repro.faces.extraction as e
from pathlib import Path
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.corpora.scan import CorpusScan
from ffd_repro.faces.sampling import Sampling
def slow(job): c.face_job(job); time.sleep(.4)
e.face_job = slow
root = Path({str(tree)!r})
e.extract(read_corpus('FF++', root, 'c23'), root, {tuple(map(tuple, RULE))!r} and (Sampling(2, 4), Sampling(2, 1)),
          32, None, root.parent/'killed')
'''
    p = subprocess.Popen([*PYTHON, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[1])
    pid = int(p.stdout.readline())
    parts = lambda: list(tree.parent.glob('.killed.*/*.npz'))
    end = time.time() + 60
    while len(parts()) < 3 and time.time() < end: time.sleep(.02)
    os.kill(pid, signal.SIGKILL); p.communicate()
    assert 3 <= len(parts()) < 8 and not (tree.parent/'killed').exists()
    store_of(tree, 'killed')
    for name in ('faces.npy', 'manifest.csv'): assert (tree.parent/'killed'/name).read_bytes() == (tree.parent/'whole'/name).read_bytes()
    assert not list(tree.parent.glob('.killed.*'))

def test_command_line(tree, tmp_path):
    (tmp_path/'ffd_extract').write_text('import sys\nfrom ffd_repro.faces.extraction import ffd_extract\nsys.exit(ffd_extract())')
    run = lambda *a: subprocess.run([*PYTHON, tmp_path/'ffd_extract', *a], capture_output=True, text=True,
                                    cwd=Path(__file__).resolve().parents[1],
                                    env=os.environ | dict(PYTHONPATH=str(Path(__file__).resolve().parents[1])))
    good = run('FF++-HQ', '--profile', 'smoke', '--root', str(tree), '--out', str(tmp_path/'s'), '--workers', '1')
    assert good.returncode == 0 and '20 faces of 8 videos (stand-in, boxes: sidecar)' in good.stdout, good
    bad = run('FF++-LQ', '--profile', 'smoke', '--root', str(tree), '--out', str(tmp_path/'t'))
    assert bad.returncode != 0 and 'fix: fetch the quality c40' in bad.stderr and 'Traceback' not in bad.stderr, bad
    assert 'FF++-HQ:NT' in run('--help').stdout
