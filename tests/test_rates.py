"""Every detector whose rates were told apart on validation people is trained with the one that won."""
import sys
import pandas as pd
import pytest
from ffd_repro.base.paths import results, root
from ffd_repro.base.profiles import PROFILES
from ffd_repro.base.registry import detectors, load, targets
from ffd_repro.evidence.planning import plan

sys.path.insert(0, str(root()/'benchmarks'))
from rates import VIEW, chosen  # noqa: E402 -- where the rule stands

load('systems', 'baselines', 'claims')
RATES = pd.read_csv(results('small')/'rates.csv')
USUAL, OTHERS = RATES[RATES['view'] == VIEW], RATES[RATES['view'] != VIEW]

def test_the_least_rate_near_the_best_is_chosen():
    assert chosen({.01: .6, .03: .7, .1: .705, .3: .5}) == .03
    assert chosen({.01: .6, .03: .65, .1: .705}) == .1

@pytest.mark.parametrize('name', sorted(set(USUAL.detector)))
def test_what_was_chosen_is_used_and_lies_between_two_that_are_worse(name):
    rows = USUAL[USUAL.detector == name]
    done = dict(zip(rows.lr, rows.val_auc))
    assert len(done) == len(rows) >= 3
    if chosen(done) in (min(done), max(done)): pytest.skip('not told yet: what is best lies at an end of the rates that were tried')
    assert detectors[name].recipe('small', rows.setting.iloc[0]).lr == chosen(done)

@pytest.mark.parametrize('name', sorted(set(OTHERS.detector)))
def test_a_table_of_traces_has_the_rate_at_which_its_backbone_learns(name):
    target = targets[f'mechanisms/{name}']
    rows = OTHERS[(OTHERS.detector == name) & (OTHERS.setting == target.methods[0][1])]
    done = dict(zip(rows.lr, rows.val_auc))
    assert len(done) == len(rows) >= 3 and set(rows['view']) == {str(train) for train, _ in target.views}
    assert {s.recipe.lr for s in plan([target.key], 'small')} == {chosen(done)} and min(done) < chosen(done) < max(done)

def test_no_reported_seed_chose_a_rate(): assert not set(RATES.seed) & {s for t in targets.values() for s in t.seeds_in(PROFILES['small'])}
