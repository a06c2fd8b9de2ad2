"""Every detector whose rates were told apart on validation people is trained with the one that won."""
import pandas as pd
import pytest
from ffd_repro.base.paths import results
from ffd_repro.base.registry import detectors, load

load('systems', 'baselines')
RATES = pd.read_csv(results('small')/'rates.csv')

@pytest.mark.parametrize('name', sorted(set(RATES.detector)))
def test_the_least_rate_near_the_best_is_taken(name):
    rows = RATES[RATES.detector == name]
    near = rows[rows.val_auc > rows.val_auc.max() - .01]
    assert detectors[name].recipe('small', rows.setting.iloc[0]).lr == near.lr.min()
    assert len(rows) >= 3 and not rows.lr.duplicated().any()

def test_no_reported_seed_chose_a_rate():
    from ffd_repro.base.profiles import PROFILES
    assert not set(RATES.seed) & set(PROFILES['small'].seeds)
