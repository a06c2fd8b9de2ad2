"""Spectra of real pairs of a face swap and its original frame, where they are at hand (they are no part of this repository)."""
import os
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
import pytest
from ffd_repro.measures.spectra import pair_statistics, spectra_summary, sweep

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[3]/'shared'/'data')
needs_pairs = pytest.mark.skipif(not (DATA/'fake_faces'/'manifest.csv').exists(),
                                 reason='no real pairs: set FFD_TEST_DATA to the folder that holds fake_faces/ and real_faces/')

def read(path, side=256):
    "A face in RGB; the pictures of a pair have one size, so both are made smaller or larger alike."
    image = cv2.imread(str(path))[..., ::-1]
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR)

@pytest.fixture(scope='module')
def pairs():
    "Fakes, originals and the clip that each pair is of; only pairs whose halves lie pixel on pixel."
    m = pd.read_csv(DATA/'fake_faces'/'manifest.csv')
    m = m[m.pair_with.notna() & m.notes.str.contains('pixel aligned')]
    return np.stack([read(DATA/'fake_faces'/f) for f in m.file]), np.stack([read(DATA/p) for p in m.pair_with]), m.identity.to_numpy(str)

@needs_pairs
def test_patches_show_more_of_a_real_swap(pairs):
    "Patches of 16 pixels of a face of 256: the amplitude holds a larger share of the difference than in the whole (MC-LCR Fig. 3)."
    fakes, reals, who = pairs
    found = spectra_summary(pair_statistics(fakes, reals), who)
    print(found.round(3))
    assert len(fakes) >= 12 and found['mean'].notna().all()
    assert found.loc[('amplitude_gain', 'amplitude'), 'lo'] > 1 > found.loc[('amplitude_gain', 'phase'), 'hi']

@needs_pairs
def test_where_more_patches_differ_depends_on_the_scale(pairs):
    "As pictures of spectra show it, the phase differs in more patches; in grey levels it does not."
    found = sweep(*pairs)
    print(found.round(3))
    assert (found.loc['as shown'].loc[[.02, .05, .1], 'lo'] > 0).all()
    assert (found.loc['grey levels', 'lo'] <= 0).all()

@needs_pairs
def test_an_original_is_no_fake_of_itself(pairs):
    found = pair_statistics(pairs[1][:4], pairs[1][:4])
    assert found.amplitude_gain.isna().all(axis=None) and (found.touched == 0).all(axis=None)
