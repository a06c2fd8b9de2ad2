"""BiG-Arts learnt from photographs and judged on real swaps, where such pictures are at hand (they are no part of this repository)."""
import os
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.errors import BadSetting
from ffd_repro.base.paths import digest
from ffd_repro.base.registry import load
from ffd_repro.faces.landmarks import has_landmarks, landmarks_of
from ffd_repro.reproduce import real_blends as rb

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')
PHOTOS, FAKES = DATA/'real_faces', DATA/'fake_faces'
pytestmark = pytest.mark.skipif(not (PHOTOS/'manifest.csv').exists(), reason='no real photographs: set FFD_TEST_DATA to the folder that holds real_faces/ and fake_faces/')
load('systems')

@pytest.fixture(scope='module')
def pairs():
    pytest.importorskip('dlib', reason='dlib is not installed: pip install "ffd_repro[faces]"')
    return rb.pair_table(FAKES/'manifest.csv', PHOTOS)

@pytest.fixture(scope='module')
def few(tmp_path_factory, pairs):
    "A folder of forty photographs, links to which would be refused: a table of them beside them."
    table = pd.read_csv(PHOTOS/'manifest.csv')
    some = pd.concat([table[table.kind.str.contains('CelebA')].iloc[::6].head(36), table[table.kind.str.contains('gray|grayscale')].head(4)])
    folder = tmp_path_factory.mktemp('photographs')
    for file, person in zip(some.file, some.identity):
        (folder/person).mkdir(exist_ok=True)
        (folder/person/Path(file).name).write_bytes((PHOTOS/file).read_bytes())
    return folder

def test_pairs_are_those_of_the_manifest(pairs):
    table = pd.read_csv(FAKES/'manifest.csv')
    assert len(pairs)==table.pair_with.notna().sum() and pairs.persona.nunique()>=10
    assert all(f.is_file() for f in (*pairs.fake, *pairs.real))

def test_nothing_is_learnt_from_what_is_tested(pairs):
    "Whatever its name: the originals of the pairs lie among the photographs."
    learnt, tested = rb.to_learn_from(PHOTOS, pairs), {digest(Path(p)) for p in pairs.real}
    assert not tested & {digest(Path(p)) for p in learnt.path} and len(learnt)<len(pd.read_csv(PHOTOS/'manifest.csv'))
    assert not set(learnt.target[learnt.split=='train']) & set(learnt.target[learnt.split=='val'])

def test_one_command(few, pairs, tmp_path, monkeypatch, capsys):
    "From photographs to scores in one call; a second call repeats nothing; what is written names no file."
    monkeypatch.setenv('FFD_CACHE', str(tmp_path/'cache')); monkeypatch.setenv('FFD_RESULTS', str(tmp_path/'results')); monkeypatch.delenv('FFD_DATA', raising=False)
    pairs.head(3).to_csv(tmp_path/'pairs.csv', index=False)
    rb.ffd_real_blends(str(few), pairs=str(tmp_path/'pairs.csv'), profile='smoke', seeds='7', workers=1)
    said = capsys.readouterr().out
    assert 'real swaps (real)' in said and '(stand-in)' in said and 'in order' in said
    scores, record = rb.read_scores('smoke')
    real = scores[scores.test=='real swaps']
    assert real.groupby('pair').label.apply(list).map(lambda l: l==[0, 1]).all() and real.score.between(0, 1).all()
    facts = next(f for f in record['trainings'] if f['test']=='real swaps')
    assert facts['photographs']==40 and facts['faces']<=36*.9 # grey ones are not learnt from
    text = (rb.kept_in('smoke')/rb.SCORES).read_text()+(rb.kept_in('smoke')/rb.RECORD).read_text()
    assert str(DATA) not in text and str(tmp_path) not in text and '.png' not in text and '.jpg' not in text
    rb.ffd_real_blends(str(few), pairs=str(tmp_path/'pairs.csv'), profile='smoke', seeds='7', workers=1)
    pd.testing.assert_frame_equal(scores, rb.read_scores('smoke')[0])

def test_grey_alone_cannot_be_learnt_from(pairs, tmp_path):
    table = pd.read_csv(PHOTOS/'manifest.csv')
    grey = table[table.kind.str.contains('grayscale')].head(6)
    store = rb.cut_pictures(rb.pictures([PHOTOS/f for f in grey.file], grey.identity), 64, tmp_path/'grey', 1)
    assert len(store) and not rb.usable(store).any() and has_landmarks(landmarks_of(store)).any()
    with pytest.raises(BadSetting, match='0 faces to learn from'): rb.sets(store, np.flatnonzero(rb.usable(store)), [], 10)
