"""Every detector whose rates were told apart on validation people is trained with the one that won."""
import sys
import pandas as pd
import pytest
from ffd_repro.base.paths import results, root
from ffd_repro.base.profiles import PROFILES
from ffd_repro.base.registry import detectors, load

sys.path.insert(0, str(root()/'benchmarks'))
from rates import chosen  # noqa: E402 -- where the rule stands

load('systems', 'baselines')
RATES = pd.read_csv(results('small')/'rates.csv')

def test_the_least_rate_near_the_best_is_chosen():
    assert chosen({.01: .6, .03: .7, .1: .705, .3: .5}) == .03
    assert chosen({.01: .6, .03: .65, .1: .705}) == .1

@pytest.mark.parametrize('name', sorted(set(RATES.detector)))
def test_what_was_chosen_is_used_and_lies_between_two_that_are_worse(name):
    rows = RATES[RATES.detector == name]
    done = dict(zip(rows.lr, rows.val_auc))
    assert len(done) == len(rows) >= 3
    if chosen(done) in (min(done), max(done)): pytest.skip('not told yet: what is best lies at an end of the rates that were tried')
    assert detectors[name].recipe('small', rows.setting.iloc[0]).lr == chosen(done)

def test_no_reported_seed_chose_a_rate(): assert not set(RATES.seed) & set(PROFILES['small'].seeds)
