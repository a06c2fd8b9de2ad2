"""Every corpus in its official tree, and with the quirks that users have on their disks."""
import io
import json
import os
import tarfile
from pathlib import Path
import pytest
from ffd_repro.base.errors import BadFile, FFDError, MissingData
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
