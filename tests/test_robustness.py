"""Re-encoding a corpus, as a whole: killed half-way and finished, read and cut like the original, and refused where it would mislead."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadSetting
from ffd_repro.base.warm import PYTHON
from ffd_repro.corpora.locations import location
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.corpora.videos import read_video, stated_crf, video_info
from ffd_repro.drawn.standins import build
from ffd_repro.drawn.trees import Size
from ffd_repro.faces.extraction import extract, extract_view
from ffd_repro.faces.loading import FaceStore
from ffd_repro.faces.sampling import Sampling
from ffd_repro.forgeries.compression import psnr
from ffd_repro.sets.recoding import RECODED, reencode

SIZES = {'FF++': Size(6, 96, 4), 'Celeb-DF': Size(6, 96, 4, fakes=1, extra=1), 'DFDC': Size(8, 96, 2), 'DFDC-P': Size(9, 96, 2),
         'DF-TIMIT': Size(8, 96, 4), 'WildDeepfake': Size(10, 96, 2)}

@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    "Small stand-ins, made when they are asked for."
    home, made = tmp_path_factory.mktemp('corpora'), {}
    def of(name):
        if name not in made: made[name] = build(name, 'smoke', home/name, 1, False, SIZES[name])
        return made[name]
    return of

def videos_in(root): return sorted(p for p in Path(root).rglob('*.mp4') if not p.name.startswith('.') and 'masks' not in p.parts)

def cut(manifest, root, out):
    "A store with the masks."
    extract(manifest, root, Sampling(1, 2), 64, out=out, masks=True)
    return FaceStore(out)

def test_killed_and_finished(trees, tmp_path):
    root, out = trees('FF++'), tmp_path/'crf35'
    m = read_corpus('FF++', root, 'c23')
    code = f'''
import os
print(os.getpid(), flush=True)
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.sets.recoding import reencode
reencode(read_corpus("FF++", {str(root)!r}, "c23"), {str(root)!r}, {str(out)!r}, 35)
'''
    child = subprocess.Popen([*PYTHON, '-c', code], stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    deadline = time.monotonic() + 120
    while child.poll() is None and len(videos_in(out)) < 4 and time.monotonic() < deadline: time.sleep(.002)
    os.kill(pid, signal.SIGKILL); child.communicate()
    done = {p: p.stat().st_mtime_ns for p in videos_in(out)}
    assert 4 <= len(done) < len(m), 'it was not stopped half-way'
    assert location(out).data == 'stand-in' # a tree that is half there is not taken for a real corpus
    for p in done: assert len(read_video(p)) == 4 # whole, or absent
    left = out/'original_sequences'/'.000.abc.mp4'
    left.parent.mkdir(parents=True, exist_ok=True); left.write_bytes(b'half'); os.utime(left, (1, 1))
    report = reencode(m, root, out, 35, workers=2)
    assert report['videos'] == len(m) and not report['skipped']
    assert {p: p.stat().st_mtime_ns for p in done} == done and not left.exists()
    assert {stated_crf(p) for p in videos_in(out)} == {35.}
    assert not [p for p in out.rglob('.*') if p.is_file()]

def test_reads_and_cuts_like_the_original(trees, tmp_path):
    root = trees('FF++')
    m = read_corpus('FF++', root, 'c23')
    plain = cut(m, root, tmp_path/'plain')
    loss = {}
    for crf in (15, 38):
        out = tmp_path/f'crf{crf}'
        reencode(m, root, out, crf)
        again = read_corpus('FF++', out, 'c23')
        pd.testing.assert_frame_equal(again, m)
        store = cut(again, out, tmp_path/f'store{crf}')
        pd.testing.assert_frame_equal(store.manifest, plain.manifest)
        assert np.array_equal(np.load(store.folder/'masks.npy'), np.load(plain.folder/'masks.npy'))
        assert store.data == 'stand-in' and store.meta['stand_in'] == plain.meta['stand_in'] and store.meta['detector'] == 'sidecar'
        assert video_info(out/m.path[0]) == video_info(root/m.path[0])
        loss[crf] = psnr(plain.faces[:], store.faces[:])
    assert loss[15] > loss[38] + 5
    folder, meta, _ = extract_view('FF++-HQ:NT', 'smoke', tmp_path/'crf38', tmp_path/'view', workers=1)
    assert meta['data'] == 'stand-in' and not meta['skipped']

@pytest.mark.parametrize('name', ['Celeb-DF', 'DFDC', 'DFDC-P'])
def test_lists_come_along(trees, tmp_path, name):
    root = trees(name)
    m = read_corpus(name, root)
    reencode(m, root, tmp_path/'out', 30)
    pd.testing.assert_frame_equal(read_corpus(name, tmp_path/'out'), m)

def test_a_part_of_a_corpus(trees, tmp_path):
    root = trees('FF++')
    m = read_corpus('FF++', root, 'c23')
    test = m[m.split == 'test'].reset_index(drop=True)
    reencode(test, root, tmp_path/'out', 30)
    assert extract(test, tmp_path/'out', Sampling(1, 1), 64, out=tmp_path/'store')['videos'] == len(test)
    assert set(read_corpus('FF++', tmp_path/'out', 'c23', missing='skip').video) == set(test.video)

def test_images_are_refused_or_kept(trees, tmp_path):
    root = trees('DF-TIMIT')
    m = read_corpus('DF-TIMIT', root, 'LQ')
    with pytest.raises(BadSetting, match='images, not videos'): reencode(m, root, tmp_path/'refused', 30)
    assert not (tmp_path/'refused').exists()
    report = reencode(m, root, tmp_path/'kept', 30, images='keep')
    assert set(report['kept']) == set(m.path[m.label == 0]) and report['videos'] == (m.label == 1).sum()
    pd.testing.assert_frame_equal(read_corpus('DF-TIMIT', tmp_path/'kept', 'LQ'), m)
    avi = m.path[m.label == 1].iloc[0]
    assert avi.endswith('.avi') and stated_crf(tmp_path/'kept'/avi) == 30 and len(read_video(tmp_path/'kept'/avi)) == 4
    wild = trees('WildDeepfake')
    w = read_corpus('WildDeepfake', wild)
    assert reencode(w, wild, tmp_path/'wild', 30, images='keep')['videos'] == 0
    pd.testing.assert_frame_equal(read_corpus('WildDeepfake', tmp_path/'wild'), w)

def test_a_changed_source_is_encoded_again(trees, tmp_path):
    root = trees('Celeb-DF')
    m = read_corpus('Celeb-DF', root)
    reencode(m, root, tmp_path/'out', 30)
    first = tmp_path/'out'/m.path[0]
    before = first.stat().st_mtime_ns
    source, stamps = root/m.path[0], (root/m.path[0]).stat()
    os.utime(source, (time.time() + 5,)*2)
    reencode(m, root, tmp_path/'out', 30)
    os.utime(source, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert first.stat().st_mtime_ns > before
    assert json.loads((tmp_path/'out'/RECODED).read_text())['crf'] == 30
