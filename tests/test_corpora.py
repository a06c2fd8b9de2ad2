"""Every corpus in its official tree, and with the quirks that users have on their disks."""
import io
import json
import os
import tarfile
from pathlib import Path
import numpy as np
import pytest
from PIL import Image
from ffd_repro.base.errors import BadFile, FFDError, MissingData
from ffd_repro.corpora.frames import count_frames, is_frame
from ffd_repro.corpora.images import IMAGES
from ffd_repro.corpora.locations import locate, view_videos
from ffd_repro.corpora.reading import corpora, read_corpus

def tar(path, names):
    "A plain tar, whatever its name says."
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as t:
        for n in names: t.addfile(tarfile.TarInfo(n), io.BytesIO())

def plant(root, files):
    for name, content in (files.items() if isinstance(files, dict) else dict.fromkeys(files, b'').items()):
        path = Path(root)/name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list): tar(path, content)
        else: path.write_bytes(content if isinstance(content, bytes) else content.encode())

def ff(methods=('Deepfakes', 'Face2Face', 'FaceSwap', 'NeuralTextures', 'FaceShifter')):
    files = {f'splits/{p}.json': json.dumps(pairs) for p, pairs in dict(train=[['071', '054']], val=[['720', '672']],
        test=[['953', '974']]).items()}
    for q in ('c23', 'c40'):
        files |= {f'original_sequences/youtube/{q}/videos/{i}.mp4': '' for i in ('071', '054', '720', '672', '953', '974')}
        files |= {f'manipulated_sequences/{m}/{q}/videos/{a}_{b}.mp4': '' for m in methods
                  for x, y in (('071', '054'), ('720', '672'), ('953', '974')) for a, b in ((x, y), (y, x))}
    return files

def celeb(): return {'List_of_testing_videos.txt': '1 YouTube-real/00000.mp4\n1 Celeb-real/id0_0000.mp4\n0 '
                                                   'Celeb-synthesis/id0_id1_0000.mp4\n',
                     **{f: '' for f in ('YouTube-real/00000.mp4', 'Celeb-real/id0_0000.mp4', 'Celeb-real/id1_0000.mp4',
                                        'Celeb-real/id2_0000.mp4', 'Celeb-synthesis/id0_id1_0000.mp4', 'Celeb-synthesis/id2_id1_0000.mp4')}}

def dfdc(): return {'dfdc_train_part_0/metadata.json': json.dumps({'aaaaaaaaaa.mp4': dict(label='REAL', split='train'),
    'bbbbbbbbbb.mp4': dict(label='FAKE', split='train', original='aaaaaaaaaa.mp4')}),
                    'dfdc_train_part_0/aaaaaaaaaa.mp4': '', 'dfdc_train_part_0/bbbbbbbbbb.mp4': ''}

def preview():
    facts = {'original_videos/1/1_A_001.mp4': dict(label='real', set='train', target_id=1, swapped_id=None),
             'method_A/1/1_A/2_1_A_001.mp4': dict(label='fake', set='train', target_id=1, swapped_id=2,
                                                  source_video='original_videos/1/1_A_001.mp4')}
    return {'dataset.json': json.dumps(facts), **dict.fromkeys(facts, '')}

TREES = {'FF++': ('FaceForensics++', ff), 'Celeb-DF': ('Celeb-DF-v2', celeb), 'Celeb-DF-v1': ('Celeb-DF-v1', celeb),
         'DFDC': ('DFDC', dfdc), 'DFDC-P': ('dfdc_preview_set', preview),
         'DFD': ('FaceForensics++', lambda: dict.fromkeys(['original_sequences/actors/c23/videos/24__walking.mp4',
                                        'manipulated_sequences/DeepFakeDetection/c23/videos/24_23__walking__YR5OVD4S.mp4'], '')),
         'UADFV': ('UADFV', lambda: {'real/0000.mp4': '', 'fake/0000_fake.mp4': ''}),
         'DF-TIMIT': ('DF-TIMIT', lambda: {'VidTIMIT/fadg0/video/sa1/001': '', 'DeepfakeTIMIT/lower_quality/fadg0/sa1-video-fram1.avi': '',
                                           'DeepfakeTIMIT/higher_quality/fadg0/sa1-video-fram1.avi': ''}),
         'WildDeepfake': ('deepfake_in_the_wild', lambda: {f'{s}_{p}/1.tar.gz': [f'./1/{s}/3/{i}.png' for i in (1, 2)]
                                                           for s in ('real', 'fake') for p in ('train', 'test')}),
         'HFF': ('HFF', lambda: {'train/real/CelebA/000001.jpg': '', 'train/fake/StarGAN/000001.png': '', 'test/real/CelebA/000002.jpg': '',
                                 'test/fake/Glow/000002.png': ''})}
PAIRED = set(TREES) - {'HFF', 'WildDeepfake'}

@pytest.fixture(params=sorted(TREES))
def tree(request, tmp_path):
    folder, files = TREES[request.param]
    plant(tmp_path/'data'/folder, files())
    return request.param, tmp_path/'data'/folder

def test_official_tree(tree):
    name, root = tree
    m = read_corpus(name, root)
    assert set(m.label) == {0, 1} and m.video.is_unique and (m.corpus == name).all()
    for path in m.path: assert (root/path).exists() or (root/(path.split('.gz/')[0] + '.gz')).is_file()
    if name in PAIRED: assert set(m[m.label == 1].pair) <= set(m[m.label == 0].video)
    assert not any(m.attrs[k] for k in ('missing', 'problems', 'overlap', 'ignored'))

def test_one_variable_is_the_whole_setup(tree, monkeypatch):
    name, root = tree
    monkeypatch.setenv('FFD_DATA', str(root.parent))
    assert locate(name, 'smoke') == (root, 'real')
    if corpora[name].signs:
        monkeypatch.setenv('FFD_DATA', str(root))
        assert locate(name, 'smoke') == (root, 'real')

def test_wrong_levels(tree, tmp_path):
    name, root = tree
    for wrong in (tmp_path/'empty', root.parent, next(d for d in sorted(root.iterdir()) if d.is_dir() and d.name != 'splits')):
        wrong.mkdir(exist_ok=True)
        if name in ('HFF', 'UADFV') and wrong != tmp_path/'empty': continue # they are read by nothing but `real` and `fake`
        if wrong.name == 'DeepfakeTIMIT': continue # a download of its own, without originals
        with pytest.raises(FFDError) as e: read_corpus(name, wrong)
        assert e.value.fix and e.value.where
        if wrong == root.parent: assert str(root) in e.value.fix

def test_link_that_leaves_the_root(tree, tmp_path):
    name, root = tree
    if name == 'WildDeepfake': return
    secret = tmp_path/'elsewhere'/'secret.mp4'
    plant(tmp_path, ['elsewhere/secret.mp4', 'elsewhere/secret.png'])
    before = len(read_corpus(name, root))
    folder = (root/read_corpus(name, root).path.iloc[0]).parent
    (folder/('secret.png' if name == 'HFF' else 'secret.mp4')).symlink_to(secret)
    with pytest.raises(BadFile, match='leads out of the corpus'): read_corpus(name, root)
    m = read_corpus(name, root, missing='skip')
    assert len(m) == before and 'secret' in m.attrs['problems'][0][0]

def test_links_that_stay_are_followed(tmp_path):
    plant(tmp_path, ff() | {'store/new.mp4': ''})
    (tmp_path/'original_sequences/youtube/c23/videos/071.mp4').unlink()
    (tmp_path/'original_sequences/youtube/c23/videos/071.mp4').symlink_to(tmp_path/'store/new.mp4')
    assert 'FF++/c23/youtube/071' in set(read_corpus('FF++', tmp_path).video)

def test_root_through_a_link(tmp_path):
    plant(tmp_path/'disk', celeb())
    (tmp_path/'Celeb-DF-v2').symlink_to(tmp_path/'disk')
    assert len(read_corpus('Celeb-DF', tmp_path/'Celeb-DF-v2')) == 6

@pytest.mark.skipif(hasattr(os, 'geteuid') and os.geteuid() == 0, reason='root may read everything')
def test_permissions(tmp_path):
    plant(tmp_path, celeb())
    (tmp_path/'Celeb-real').chmod(0)
    try:
        with pytest.raises(BadFile, match='cannot be read'): read_corpus('Celeb-DF', tmp_path)
    finally: (tmp_path/'Celeb-real').chmod(0o755)

def test_permissions_as_anybody(tmp_path, monkeypatch):
    plant(tmp_path, celeb())
    scandir = os.scandir
    def refuse(path):
        if str(path).endswith('Celeb-real'): raise PermissionError(13, 'Permission denied')
        return scandir(path)
    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(BadFile, match='Permission denied'): read_corpus('Celeb-DF', tmp_path)

def test_case_and_names(tmp_path):
    plant(tmp_path/'my data ü', {k.replace('youtube', 'YouTube').replace('.mp4', '.MP4'): v for k, v in ff().items()})
    m = read_corpus('FF++', tmp_path/'my data ü', 'c40')
    assert m[m.method == 'real'].video.iloc[0] == 'FF++/c40/youtube/054' and (m[m.label == 1].pair != '').all()
    plant(tmp_path/'my data ü', ['original_sequences/YouTube/c40/videos/054.mp4'])
    with pytest.raises(BadFile, match='The same video as'): read_corpus('FF++', tmp_path/'my data ü', 'c40')

def test_ff_lists_in_all_their_places(tmp_path):
    for place in ('', 'splits', 'dataset/splits'):
        files = {(f'{place}/'.lstrip('/') + Path(k).name if k.startswith('splits/') else k): v for k, v in ff().items()}
        plant(tmp_path/f'at-{place.replace("/", "-")}', files)
        m = read_corpus('FF++', tmp_path/f'at-{place.replace("/", "-")}')
        assert m[m.video == 'FF++/c40/FaceShifter/071_054'].split.item() == 'train'
        assert m[m.video == 'FF++/c23/youtube/974'].split.item() == 'test'
    assert 'FSh' not in set(view_videos('FF++-HQ', tmp_path/'at-').method) and 'FSh' in set(view_videos('FF++-HQ:FSh', tmp_path/'at-')
        .method)

def test_dfdc_originals_of_another_part(tmp_path):
    files = dfdc()
    files |= {'dfdc_train_part_41/metadata.json': json.dumps({'cccccccccc.mp4': dict(label='FAKE', split='train',
        original='aaaaaaaaaa.mp4'), 'dddddddddd.mp4': dict(label='FAKE', split='train', original='zzzzzzzzzz.mp4')}),
              'dfdc_train_part_41/cccccccccc.mp4': '', 'dfdc_train_part_41/dddddddddd.mp4': ''}
    plant(tmp_path, files)
    pair = read_corpus('DFDC', tmp_path).set_index('video').pair
    assert pair['DFDC/dfdc_train_part_41/cccccccccc'] == 'DFDC/dfdc_train_part_0/aaaaaaaaaa'
    assert pair['DFDC/dfdc_train_part_41/dddddddddd'] == ''

@pytest.mark.parametrize('real, fake', [(dict(label='REAL'), dict(label='FAKE')), (dict(is_fake=0), dict(is_fake=1)),
                                        (dict(is_fake=False), dict(is_fake=True)), (dict(label=None, is_fake='0'), dict(label='1'))])
def test_dfdc_labels_under_either_name(tmp_path, real, fake):
    facts = {'a.mp4': real, 'b.mp4': fake | dict(original='a.mp4'), 'c.mp4': dict(split='train')}
    files = dict.fromkeys((f'dfdc_train_part_0/{n}' for n in (*facts, 'd.mp4')), '')
    plant(tmp_path, files | {'dfdc_train_part_0/metadata.json': json.dumps(facts)})
    m = read_corpus('DFDC', tmp_path, missing='skip')
    assert dict(zip(m.path.str[-5:-4], m.label)) == dict(a=0, b=1)
    assert {p[0][-5:-4]: p[1] for p in m.attrs['problems']} == dict(c='this video has no label', d='metadata.json does not name this video')

def test_dfdc_parts_in_folders_of_their_own_name(tmp_path):
    "Some archives unpack into a second folder, some do not; the labels lie in either, as JSON or as a table."
    for part, inner, said in ((0, 'dfdc_train_part_0/', 'json'), (1, '', 'json'), (36, 'dfdc_train_part_36/', 'outer'), (45, '', 'csv')):
        outer = f'dfdc_train_part_{part:02}/'
        facts = {f'a{part}.mp4': dict(label='REAL'), f'b{part}.mp4': dict(label='FAKE', original=f'a{part}.mp4')}
        plant(tmp_path/'train', dict.fromkeys((outer + inner + n for n in facts), ''))
        table = 'filename,label,original\n' + ''.join(f'{n},{f["label"]},{f.get("original", "")}\n' for n, f in facts.items())
        plant(tmp_path/'train', {outer + 'labels.csv': table} if said == 'csv' else
              {outer + inner*(said != 'outer') + 'metadata.json': json.dumps(facts)})
    m = read_corpus('DFDC', tmp_path)
    assert m.groupby('split').size().to_dict() == dict(train=4, val=2, test=2) and m.label.sum() == 4
    assert (m.pair != '').all() and m.video.iloc[0].startswith('DFDC/dfdc_train_part_')

@pytest.mark.parametrize('suffix', IMAGES)
def test_every_image_suffix_is_read_by_everybody(tmp_path, suffix):
    for side in ('real', 'fake'):
        (tmp_path/side).mkdir()
        for n in range(2): Image.fromarray(np.full((20, 30, 3), 40*n, np.uint8)).save(tmp_path/side/f'{n}{suffix}')
    m = read_corpus('folder', tmp_path)
    assert len(m) == 4 and is_frame(f'x{suffix.upper()}') and count_frames(tmp_path/m.path[0]) == 1
    assert count_frames(tmp_path/'real') == 2

ODD = (b"quo'te\".mp4", b' sp ace .mp4', b'-dash.mp4', b'x'*251 + b'.mp4', 'é 日本.mp4'.encode(), b'NA.mp4') # names, but text
NO_TEXT = (b'caf\xe9.mp4', b'two\nlines.mp4', b'a\rb.mp4', b'\x1b[31m.mp4')

def test_names_that_are_no_text_are_counted(tmp_path):
    for side in (b'/real/', b'/fake/'):
        os.makedirs(os.fsencode(tmp_path) + side)
        for name in ODD + NO_TEXT: open(os.fsencode(tmp_path) + side + name, 'wb').close()
    with pytest.raises(BadFile, match='(?s)not UTF-8.*7 more.*where: [^\n]*\n  fix') as e: read_corpus('folder', tmp_path)
    str(e.value).encode()
    m = read_corpus('folder', tmp_path, missing='skip')
    assert {os.fsencode(p[5:]) for p in m.path} == set(ODD)
    assert {os.fsencode(p[0][5:]) for p in m.attrs['problems']} == set(NO_TEXT) and len(m.attrs['problems']) == 8

def test_names_that_differ_in_case_are_told(tmp_path):
    plant(tmp_path, ('real/Name.mp4', 'real/name.mp4', 'fake/Name.mp4'))
    if len(os.listdir(tmp_path/'real')) < 2: pytest.skip('here case does not count')
    m = read_corpus('folder', tmp_path, missing='skip')
    assert len(m) == 2 and m.attrs['problems'] == [('real/name.mp4', 'the same video as real/Name.mp4', 'keep one of the two')]

def test_unsafe_archive(tmp_path):
    plant(tmp_path, TREES['WildDeepfake'][1]())
    tar(tmp_path/'fake_train/2.tar.gz', ['../../escaped/1.png'])
    with pytest.raises(BadFile, match='2.tar.gz'): read_corpus('WildDeepfake', tmp_path)
    assert len(read_corpus('WildDeepfake', tmp_path, missing='skip')) == 4 and not list(tmp_path.parent.rglob('escaped'))

def bench(root, prefix='..\\', extra=()):
    "DeepfakeBench's Celeb-DF: all videos in train, the test videos again in test and val."
    videos = {'CelebDFv2_real': ['id0_0000', 'id1_0000', '00001'], 'CelebDFv2_fake': ['id0_id1_0000', 'id1_id0_0000']}
    folder = {'CelebDFv2_real': 'Celeb-real', 'CelebDFv2_fake': 'Celeb-synthesis'}
    entry = lambda label, v: dict(label=label, frames=[f'{prefix}Celeb-DF-v2\\{folder[label]}\\frames\\{v}\\{i:03}.png' for i in (12, 3)])
    text = {'Celeb-DF-v2': {label: dict(train={v: entry(label, v) for v in vs}, test={v: entry(label, v) for v in vs[:1]},
                                        val={v: entry(label, v) for v in vs[:1]}) for label, vs in videos.items()}}
    plant(root, {'preprocessing/dataset_json/Celeb-DF-v2.json': json.dumps(text),
                 **{f'datasets/rgb/Celeb-DF-v2/{folder[l]}/frames/{v}/{i:03}.png': '' for l, vs in videos.items() for v in vs
                    for i in (3, 12)}})

@pytest.mark.parametrize('prefix', ['..\\', 'T:\\Study Material\\data\\', '/deepfakebench/datasets/rgb\\'])
def test_deepfakebench(tmp_path, monkeypatch, prefix):
    bench(tmp_path, prefix)
    m = read_corpus('Celeb-DF', tmp_path).set_index('video')
    assert m.split.value_counts().to_dict() == {'train': 3, 'test': 2} and len(m.attrs['overlap']) == 2
    assert m.loc['Celeb-DF/CelebDFv2_fake/id0_id1_0000', ['pair', 'split', 'source']].tolist() == ['Celeb-DF/CelebDFv2_real/id0_0000',
        'test', 'id1']
    monkeypatch.setenv('FFD_DATA', str(tmp_path))
    assert locate('Celeb-DF', 'smoke').root == tmp_path
    with pytest.raises(MissingData): read_corpus('FF++', tmp_path)

def test_deepfakebench_faceforensics(tmp_path, monkeypatch):
    entry = lambda label, folder, v: dict(label=label, frames=[f'..\\FaceForensics++\\{folder}\\c23\\frames\\{v}\\000.png'], masks=[])
    text = {'FaceForensics++': {'FF-real': {'train': {'c23': {'071': entry('FF-real', 'original_sequences\\youtube', '071')}}},
                                'FF-DF': {'train': {'c23': {'071_054': entry('FF-DF', 'manipulated_sequences\\Deepfakes', '071_054')}}}}}
    plant(tmp_path, {'preprocessing/dataset_json/FaceForensics++.json': json.dumps(text),
                     'datasets/rgb/FaceForensics++/original_sequences/youtube/c23/frames/071/000.png': '',
                     'datasets/rgb/FaceForensics++/manipulated_sequences/Deepfakes/c23/frames/071_054/000.png': ''})
    monkeypatch.setenv('FFD_DATA', str(tmp_path))
    assert locate('FF++', 'smoke').root == tmp_path
    m = view_videos('FF++-HQ', tmp_path)
    assert m.pair.tolist() == ['FF++/c23/FF-real/071']*2 and m.method.tolist() == ['real', 'DF']

def test_parquet(tmp_path):
    pd = pytest.importorskip('pandas'); pytest.importorskip('pyarrow', reason='pyarrow is not installed: pip install "ffd_repro[parquet]"')
    plant(tmp_path, ['a.mp4', 'b.mp4'])
    pd.DataFrame(dict(path=['a.mp4', 'b.mp4'], label=[0, 1], split=['test', 'test'])).to_parquet(tmp_path/'manifest.parquet')
    assert read_corpus('manifest', tmp_path).label.tolist() == [0, 1]
