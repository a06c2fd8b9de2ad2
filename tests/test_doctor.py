"""`ffd_doctor` on trees with one fault each: what it says, how it ends, and what it writes for programs."""
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ffd_repro.base.errors import MissingData, UnknownName
from ffd_repro.base.seeds import rng
from ffd_repro.base.warm import PYTHON
from ffd_repro.corpora.videos import count_video, write_video
from ffd_repro.faces.doctor import examine, report_text
from ffd_repro.faces.loading import FaceStore

BIN = Path(sys.executable).parent
DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
FF_REAL = 'original_sequences/youtube/c23/videos'
FF_FAKE, FF_MASK = 'manipulated_sequences/Deepfakes/c23/videos', 'manipulated_sequences/Deepfakes/masks/videos'

def clip(path, frames=3, crf=23, side=64):
    "A few frames of noise, different for every path."
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path.relative_to(path.parents[3])).encode())).integers(0, 255, (frames, 8, 8, 3), np.uint8)
    write_video(path, noise.repeat(side//8, 1).repeat(side//8, 2), crf=crf)

def picture(path, seed, side=64):
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode('.png', np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8))
    path.write_bytes(data.tobytes())

def ff(root):
    for n in range(6):
        clip(root/FF_REAL/f'{n:03}.mp4')
        for folder in (FF_FAKE, FF_MASK): clip(root/folder/f'{n:03}_{n+1-2*(n%2):03}.mp4')
    for part, pair in dict(train=('000', '001'), val=('002', '003'), test=('004', '005')).items():
        (root/f'{part}.json').write_text(json.dumps([pair]))
    return root

TEST_LINES = ('1 YouTube-real/00001.mp4', '1 Celeb-real/id1_0000.mp4', '0 Celeb-synthesis/id1_id2_0000.mp4')

def celeb(root, lines=TEST_LINES, level=''):
    for name in ('Celeb-real/id1_0000', 'Celeb-real/id3_0000', 'Celeb-real/id5_0000', *(f'YouTube-real/{n:05}' for n in range(12)),
                 'Celeb-synthesis/id1_id2_0000', 'Celeb-synthesis/id3_id4_0000', 'Celeb-synthesis/id5_id6_0000'):
        folder, _, file = name.partition('/')
        clip(root/folder/level/f'{file}.mp4')
    (root/'List_of_testing_videos.txt').write_text('\n'.join(lines) + '\n')
    return root

def dfdc(root, known=True):
    for part in (0, 40):
        folder = root/f'dfdc_train_part_{part}'
        facts = {f'aaaaaaaa{part:02}.mp4': dict(label='REAL', split='train', original=None),
                 f'bbbbbbbb{part:02}.mp4': dict(label='FAKE', split='train', original=f'aaaaaaaa{part:02}.mp4')}
        for name in facts: clip(folder/name)
        (folder/'metadata.json').write_text(json.dumps(facts))
    return root

@pytest.fixture(scope='module')
def trees(tmp_path_factory):
    "A healthy tree of each corpus; nobody expects the official numbers of videos of them."
    home = tmp_path_factory.mktemp('healthy')/'all'
    home.mkdir()
    made = dict(ff=ff(home/'FaceForensics++'), celeb=celeb(home/'Celeb-DF-v2'), dfdc=dfdc(home/'DFDC'))
    for root in made.values(): (root/'STAND-IN.json').write_text('{}')
    return made

@pytest.fixture
def tree(trees, tmp_path): return lambda name: Path(shutil.copytree(trees[name], tmp_path/'data'/trees[name].name))

def doctor(*words):
    done = subprocess.run([*PYTHON, BIN/'ffd_doctor', *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=120)
    assert 'Traceback' not in done.stderr + done.stdout, done.stderr
    return done

def findings(root, **how):
    return {(f['severity'], f['check']): f for r in examine(root, **how)['corpora'] for f in r['findings'] if f['severity'] != 'fine'}

def lines_fit(text): assert max(map(len, text.split('\n'))) <= 100

def test_healthy_trees_side_by_side_give_no_finding(trees):
    done = doctor(trees['ff'].parent)
    assert done.returncode == 0, done.stdout
    assert all(name in done.stdout for name in ('FF++', 'Celeb-DF', 'DFDC')) and 'nothing to object to' in done.stdout
    lines_fit(done.stdout)

def test_a_c40_file_in_a_c23_folder_is_wrong(tree, tmp_path):
    root = tree('ff')
    clip(root/FF_REAL/'004.mp4', crf=40)
    done = doctor(root, '--json', tmp_path/'report.json')
    assert done.returncode == 1 and '004.mp4' in done.stdout and 'do: ' in done.stdout and done.stdout.strip().endswith('exit status 1')
    lines_fit(done.stdout)
    report = json.loads((tmp_path/'report.json').read_text())
    assert (report['version'], report['exit'], report['verdict']) == (1, 1, 'wrong')
    wrong = [f for f in report['corpora'][0]['findings'] if f['severity'] != 'fine']
    assert [(f['check'], f['count'], f['names']) for f in wrong] == [('compression', 1, [f'{FF_REAL}/004.mp4'])] and wrong[0]['fix']
    assert {(r['quality'], r['method']): (r['videos'], r['train'], r['test'])
            for r in report['corpora'][0]['table']} == {('c23', 'real'): (6, 2, 2), ('c23', 'DF'): (6, 2, 2)}

def test_softer_fakes_are_told_in_words(tmp_path):
    draw = rng('softer fakes')
    rows = pd.DataFrame([(f'{p}/{label}', str(p), label) for p in range(40) for label in (0, 1)], columns=['video', 'target', 'label'])
    rows = rows.assign(source=rows.target, method=np.where(rows.label, 'soft', 'real'), corpus='softer', quality='', frame=0,
                       split='train', pair='', detector='whole', x0=0, y0=0, x1=48, y1=48)
    def store(name, sigma): # of blur in a fake
        faces = [cv2.GaussianBlur(draw.normal(128, 50, (48, 48, 3)), (0, 0), sigma if label else 1.) for label in rows.label]
        return FaceStore.of(np.uint8(np.clip(faces, 0, 255)), rows).save(tmp_path/name).folder
    softer = doctor(store('softer', 1.3))
    text = ' '.join(softer.stdout.split())
    assert softer.returncode == 0 and 'warn meters' in text and 'unseen, by sharpness' in text and 'a fact about this set' in text
    lines_fit(softer.stdout)
    same = doctor(store('same', 1.))
    assert 'fine meters' in ' '.join(same.stdout.split()) and '80 clips of 40 people' in same.stdout
    assert 'meters' not in doctor(tmp_path/'softer', '--clips', 0).stdout

def test_levels_of_the_tree(trees, tmp_path):
    below = doctor(trees['ff']/FF_FAKE)
    assert below.returncode == 2 and f'give {trees["ff"]}' in below.stderr
    for root, what in ((tmp_path, 'No corpus is recognised'), (tmp_path/'nothing', 'no such folder'),
                       (trees['ff'].parent.parent, 'No corpus begins at this level')):
        with pytest.raises(MissingData, match=what) as error: examine(root)
        assert error.value.fix

@pytest.mark.parametrize('fault, expected', [
    (lambda r: shutil.copy(r/FF_REAL/'000.mp4', r/FF_FAKE/'000_001.mp4'), {('wrong', 'copies')}),
    (lambda r: shutil.copy(r/FF_REAL/'000.mp4', r/FF_REAL/'005.mp4'), {('wrong', 'copies')}),
    (lambda r: (r/FF_REAL/'000.mp4').write_bytes((r/FF_REAL/'000.mp4').read_bytes()[:1500]), {('wrong', 'unreadable')}),
    (lambda r: (r/FF_MASK/'000_001.mp4').write_bytes(b''), {('wrong', 'unreadable')}),
    (lambda r: (r/'test.json').write_text('[["000", "005"]]'), {('wrong', 'lists')}),
    (lambda r: (r/'test.json').write_text('no list'), {('wrong', 'lists')}),
    (lambda r: shutil.rmtree(r/'original_sequences'), {('wrong', 'classes'), ('warn', 'pairs')}),
    (lambda r: (r/FF_REAL/'002.mp4').unlink(), {('warn', 'missing'), ('warn', 'pairs')}),
    (lambda r: clip(r/FF_FAKE/'002_003.mp4', frames=9), {('warn', 'lengths')}),
    (lambda r: clip(r/FF_MASK/'002_003.mp4', frames=2), {('warn', 'lengths')}),
    (lambda r: (r/FF_MASK/'002_003.mp4').unlink(), {('warn', 'masks')}),
    (lambda r: clip(r/FF_REAL/'a name.mp4'), {('warn', 'unknown')}),
    (lambda r: clip(r/FF_REAL/'777.mp4'), {('warn', 'unlisted')}),
    (lambda r: clip(r/'elsewhere/c23/videos/é 1.mp4'), {('warn', 'unlisted')}),
    (lambda r: (r/FF_FAKE/'000_001.mp4').unlink() or (r/FF_FAKE/'000_001.mp4').symlink_to(BIN/'python'),
     {('wrong', 'refused'), ('warn', 'missing')}),
])
def test_each_fault_of_ff_is_answered_by_its_own_check(tree, fault, expected):
    root = tree('ff')
    fault(root)
    found = findings(root)
    assert set(found) == expected
    assert all(f['count'] and f['fix'] and f['names'] for f in found.values())

def test_names_that_are_no_text(tree, tmp_path):
    root = tree('ff')
    shutil.copy(os.fsencode(root/FF_REAL/'000.mp4'), os.fsencode(root/FF_REAL) + b'/\xff \xc3\xa9.mp4')
    done = doctor(root, '--json', tmp_path/'report.json')
    assert done.returncode == 0 and 'unknown' in done.stdout
    assert json.loads((tmp_path/'report.json').read_text())['verdict'] == 'warn'

def test_names_that_are_no_text_in_a_plain_folder(tmp_path):
    for n in range(2):
        for label in (0, 1): still(tmp_path, label, '.png', (64, 64), n)
    shutil.copy(tmp_path/'fake'/'00.png', os.fsencode(tmp_path/'fake') + b'/caf\xe9.png')
    done = doctor(tmp_path, '--clips', 0)
    assert 'left out: its name is not UTF-8' in done.stdout and 'caf' + chr(92) + 'udce9.png' in done.stdout and 'broke' not in done.stdout

def test_a_folder_without_permission(tree):
    root = tree('ff')
    if os.geteuid() == 0: pytest.skip('the superuser may read everything')
    (root/FF_REAL/'000.mp4').chmod(0)
    assert set(findings(root)) == {('wrong', 'unreadable')}

def test_official_numbers_are_expected_of_a_real_download(tree):
    root = tree('ff')
    (root/'STAND-IN.json').unlink()
    found = findings(root)
    assert set(found) == {('warn', 'counts'), ('warn', 'lists')} and 'c23 DF: 6 of 1000' in found['warn', 'counts']['names']

def test_dfd_inside_the_ff_root(tree):
    root = tree('ff')
    clip(root/'original_sequences/actors/c23/videos/24__outside.mp4')
    clip(root/'manipulated_sequences/DeepFakeDetection/c23/videos/24_23__outside__YR5OVD4S.mp4')
    report = examine(root)
    assert [r['name'] for r in report['corpora']] == ['DFD', 'FF++'] and report['exit'] == 0
    assert not [f for r in report['corpora'] for f in r['findings'] if f['check'] == 'unlisted' and f['severity'] != 'fine']

def test_celeb_list_turned_round(tree):
    root = tree('celeb')
    (root/'List_of_testing_videos.txt').write_text('\n'.join(str(1 - int(l[0])) + l[1:] for l in TEST_LINES))
    done = doctor(root)
    text = ' '.join(done.stdout.split())
    assert done.returncode == 1 and 'it is the wrong way round' in text and '1 is real' in text
    assert set(findings(root)) == {('wrong', 'lists')}

def test_celeb_list_without_its_youtube_lines(tree):
    root = tree('celeb')
    (root/'List_of_testing_videos.txt').write_text('\n'.join(TEST_LINES[1:]))
    assert set(findings(root)) == {('wrong', 'lists')}

def test_celeb_with_a_level_of_videos_folders(tmp_path):
    root = celeb(tmp_path/'Celeb-DF-v2', level='videos')
    assert [c for s, c in findings(root) if c not in ('counts', 'lists')] == [] # lists: not the official 518 lines
    clip(root/'Celeb-real/id9_0009.mp4')
    assert ('warn', 'unlisted') in findings(root)

def test_dfdc_without_an_entry_or_an_original_is_a_warning(tree):
    root = tree('dfdc')
    clip(root/'dfdc_train_part_0/cccccccccc.mp4')
    facts = json.loads((root/'dfdc_train_part_40/metadata.json').read_text())
    facts['bbbbbbbb40.mp4']['original'] = 'elsewheree.mp4'
    (root/'dfdc_train_part_40/metadata.json').write_text(json.dumps(facts))
    done = doctor(root)
    assert done.returncode == 0, done.stdout
    assert 'cccccccccc.mp4' in done.stdout and set(findings(root)) == {('warn', 'refused'), ('warn', 'pairs')}

def test_wild_deepfake_archives(tmp_path):
    root = tmp_path/'deepfake_in_the_wild'
    for n, (kind, part) in enumerate((k, p) for k in ('real', 'fake') for p in ('train', 'test')):
        picture(tmp_path/f'{n}.png', n)
        (root/f'{kind}_{part}').mkdir(parents=True)
        with tarfile.open(root/f'{kind}_{part}/1.tar.gz', 'w') as tar: tar.add(tmp_path/f'{n}.png', f'./1/{kind}/7/0.png')
    assert [c for s, c in findings(root) if c != 'counts'] == []
    with tarfile.open(root/'fake_train/2.tar.gz', 'w') as tar: tar.add(tmp_path/'0.png', '../../0.png')
    assert ('wrong', 'refused') in findings(root, corpus='WildDeepfake')

def test_a_bad_name_says_the_right_one(trees):
    with pytest.raises(UnknownName, match='did you mean FF'): examine(trees['ff'], corpus='FF+')

def test_many_files_in_little_time(tmp_path):
    "Hundreds of videos a second: six thousand within two minutes on two cores."
    root = ff(tmp_path/'FaceForensics++')
    for n in range(300): shutil.copy(root/FF_REAL/f'{n%6:03}.mp4', root/FF_REAL/f'{n+100:03}.mp4')
    start = time.perf_counter()
    assert examine(root)['corpora'][0]['videos'] == 312
    assert (time.perf_counter() - start)/330*6000 < 120

@pytest.mark.skipif(not (DATA/'videos'/'manifest.csv').exists(), reason='no real clips: set FFD_TEST_DATA to the folder that holds videos/')
def test_real_clips_as_a_corpus(tmp_path):
    "Pairs of real clips in the tree of FaceForensics++: sound files at a quality that the folder does not promise."
    clips = pd.read_csv(DATA/'videos'/'manifest.csv').file
    names = sorted(Path(f).name for f in clips[clips.str.startswith('dfl_pairs/fake/')])[:6]
    root = tmp_path/'FaceForensics++'
    for n, name in enumerate(names):
        for folder, file, kind in ((FF_REAL, f'{n:03}.mp4', 'real'), (FF_FAKE, f'{n:03}_{n+1-2*(n%2):03}.mp4', 'fake')):
            (root/folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(DATA/'videos'/'dfl_pairs'/kind/name, root/folder/file)
    for part, pair in dict(train=('000', '001'), val=('002', '003'), test=('004', '005')).items():
        (root/f'{part}.json').write_text(json.dumps([pair]))
    found = findings(root, deep=True)
    assert {k for k in found if k[0] == 'wrong'} == {('wrong', 'compression')}
    assert all('CRF) 15 instead of 23' in f['what'] for k, f in found.items() if k[1] == 'compression')
    lines_fit(report_text(examine(root)))

def still(path, label, suffix, size, seed, **how):
    "A picture of noise beside its own kind."
    path = path/('fake' if label else 'real')/f'{seed:02}{suffix}'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed + 1000*label).integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path, **how)

def test_formats_and_sizes_that_tell_the_label_are_named_and_end_with_one(tmp_path):
    for n in range(10):
        still(tmp_path/'told', 0, '.jpg', (110, 80), n, quality=80 + n)
        still(tmp_path/'told', 1, '.png', (104, 76), n)
        for label in (0, 1): still(tmp_path/'alike', label, '.jpg', (110, 80), n, quality=80 + n)
    told, alike = findings(tmp_path/'told'), findings(tmp_path/'alike')
    what = told['wrong', 'facts']['what']
    assert all(f'{fact} 1.00' in what for fact in ('format', 'width', 'height')) and examine(tmp_path/'told')['exit'] == 1
    assert not [k for k in alike if k[1] == 'facts'] and examine(tmp_path/'alike')['exit'] == 0
    lines_fit(report_text(examine(tmp_path/'told')))

@pytest.mark.parametrize('note, size, mask, found', [(6, (110, 80), (110, 80), None), (6, (110, 80), (80, 110), None), # they tell
    (6, (110, 80), (90, 90), ('warn', 'turned')), (3, (110, 80), (110, 80), ('wrong', 'turned')), # they fit neither way; they do not tell
    (6, (80, 80), (80, 80), ('wrong', 'turned')), (1, (110, 80), (110, 80), None), (1, (110, 80), (80, 110), ('warn', 'turned'))])
@pytest.mark.parametrize('suffix', ['.jpg', '.tif'])
def test_a_mask_that_does_not_lie_on_its_picture_is_named(tmp_path, suffix, note, size, mask, found):
    camera = Image.Exif()
    camera[274] = note
    for n in range(2):
        for label in (0, 1): still(tmp_path, label, suffix, size, n, exif=camera)
    Image.fromarray(np.zeros(mask[::-1], np.uint8)).save(tmp_path/'mask.png')
    rows = [f'{("real", "fake")[l]}/{n:02}{suffix},{l},{"mask.png"*l}' for l in (0, 1) for n in range(2)]
    (tmp_path/'manifest.csv').write_text('\n'.join(['path,label,mask', *rows]) + '\n')
    told = findings(tmp_path, corpus='manifest', clips=0)
    assert [k for k in told if k[1] == 'turned'] == [found]*bool(found) and (not found or told[found]['count'] == 2)

def test_a_clip_that_was_cut_without_being_encoded_is_counted_as_it_is_seen(tmp_path):
    av = pytest.importorskip('av')
    root = ff(tmp_path/'FaceForensics++')
    clip(root/FF_REAL/'000.mp4', frames=60)
    with av.open(str(root/FF_REAL/'000.mp4')) as whole, av.open(str(tmp_path/'cut.mp4'), 'w') as cut: # from the 21st frame
        stream = cut.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is None: continue
            shift = int(20/25/packet.time_base)
            packet.stream, packet.pts, packet.dts = stream, packet.pts - shift, packet.dts - shift
            cut.mux(packet)
    shutil.copy(tmp_path/'cut.mp4', root/FF_REAL/'000.mp4')
    with av.open(str(root/FF_REAL/'000.mp4')) as box: kept, seconds = box.streams.video[0].frames, box.duration/1e6
    assert kept == 60 and seconds < 2 # the frames are there, and are not shown
    assert count_video(root/FF_REAL/'000.mp4') == 40 and ('warn', 'shown') not in findings(root)

def test_a_list_with_a_byte_order_mark_says_the_same(tmp_path):
    root = celeb(tmp_path/'Celeb-DF-v2')
    (root/'STAND-IN.json').write_text('{}')
    before = findings(root)
    (root/'List_of_testing_videos.txt').write_bytes(b'\xef\xbb\xbf' + (root/'List_of_testing_videos.txt').read_bytes())
    assert findings(root) == before

def test_copies_in_another_order_are_recognised(tmp_path):
    flat = tmp_path/'FaceForensics++_C23'
    for name in ('original/071', 'original/054', 'Deepfakes/071_054', 'Deepfakes/054_071'): clip(flat/f'{name}.mp4')
    report = examine(flat)
    assert [r['name'] for r in report['corpora']] == ['FF++'] and report['corpora'][0]['videos'] == 4
    assert {r['method']: r['train'] for r in report['corpora'][0]['table']}['DF'] == 2 # by the official lists, which the copy lacks
    found = {f['check']: f for f in report['corpora'][0]['findings']}
    assert found['lists']['severity'] == 'fine' and 'packed' in found['lists']['what']
    fake = '24_23__outside__YR5OVD4S.mp4' # this copy brings fakes of another corpus along
    clip(flat/'DeepFakeDetection'/fake)
    found = [f for f in examine(flat)['corpora'][0]['findings'] if f['check'] == 'unlisted']
    assert [(f['count'], 'DFD' in f['what'], 'read as DFD' in f['fix']) for f in found] == [(1, True, True)]
    at = flat/'manipulated_sequences/DeepFakeDetection/c23/videos' # as the advice says
    at.mkdir(parents=True)
    shutil.move(flat/'DeepFakeDetection'/fake, at/fake)
    clip(flat/'original_sequences/actors/c23/videos/24__outside.mp4')
    report = examine(flat)
    assert {r['name']: r['videos'] for r in report['corpora']} == {'DFD': 2, 'FF++': 4}
    assert not [f for r in report['corpora'] for f in r['findings'] if f['check'] == 'unlisted' and f['severity'] != 'fine']
