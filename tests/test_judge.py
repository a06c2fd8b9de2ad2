"""The judge of claims on many invented worlds, whose truth is known: intervals hold it, and claims without any effect are left alone."""
import numpy as np
import pytest
from ffd_repro.claims.relations import Relation, judge
from ffd_repro.claims.targets import RowKey
from ffd_repro.claims.terms import CellTerm, best_of, chain, most, span, steps
from ffd_repro.measures.estimates import assembled, ends, pool_of
from ffd_repro.measures.jackknife import auc_without
from ffd_repro.measures.worlds import World

ABILITY, NAMES = 1.2, ('base', 'sge', 'gtr', 'sum', 'full')
KEYS = {s: RowKey('ldfnet', 'table-3', 'ldfnet', s, 'DFDC', 'DFDC', 'frame', '', 'AUC') for s in NAMES}

def estimates(g, w, abilities, seeds=3): # as `invented` and `score_estimate`, without tables of predictions between them
    label, who = np.tile(np.repeat([0, 1], [1, w.fakes]), w.people), np.repeat(np.arange(w.people), 1 + w.fakes)
    label, who, draw = np.repeat(label, w.frames), np.repeat(who, w.frames), g.standard_normal
    person, forged, people = draw(w.people), draw(w.people), tuple(f'FF++/{i:04}' for i in range(w.people))
    seen = lambda common: (1 - w.alone)**.5*common + w.alone**.5*draw(w.people)
    def one(name, ability):
        of_people, of_fakes, found = w.person*seen(person), w.forged*seen(forged), {}
        for seed in range(seeds):
            moved = of_fakes + ability + w.training*draw() + w.together*draw(w.people)
            found[seed] = auc_without(label, of_people[who] + label*moved[who] + w.noise*draw(len(label)), who, w.people)
        return assembled(found, people, name, 'AUC DFDC')
    return {name: one(name, a) for name, a in zip(NAMES, abilities)}

@pytest.mark.parametrize('name, seeds, more', [
    ('usual', 3, {}), ('unlucky', 3, dict(training=.6)), ('interplay', 3, dict(training=0., together=.8)),
    ('few people', 3, dict(people=8)),
    ('many people', 3, dict(people=88)), ('ten seeds', 10, {})])
def test_intervals_hold_the_truth(name, seeds, more):
    g, w, held, worlds = np.random.default_rng(1), World(name, **more), 0, 400 if seeds == 3 else 200
    for _ in range(worlds):
        e = estimates(g, w, (ABILITY, ABILITY + .3, ABILITY, ABILITY)[:4], seeds)
        low, high = ends(e['sge'] - e['base'], pool=pool_of(list(e.values())))
        held += low <= w.truth(ABILITY + .3) - w.truth(ABILITY) <= high
    assert .925 <= held/worlds <= .985

def forms(): # claims of every form
    base, *rest = x = [CellTerm(k) for k in KEYS.values()]
    three = x[2:]
    return dict(each=[t > base for t in rest], ascending=steps(*x), chain=[chain(*x)], best=[x[-1] > best_of(x[:-1])],
        one=[x[1] > x[0]], most=[most(t > base for t in rest)],
        range=[span(three) > span(x[:2])], bests=[t > best_of(y for y in x if y is not t) for t in three])

def verdicts(gain, worlds=120, **more): # form -> verdicts
    g, w, found = np.random.default_rng(2), World('ledger', **more), {}
    for _ in range(worlds):
        e = estimates(g, w, [ABILITY + gain*i for i in range(len(NAMES))])
        look = {KEYS[s]: e[s] for s in NAMES}.get
        for name, comparisons in forms().items():
            claim = Relation(name, '', '', 'ldfnet/table-3', tuple(comparisons))
            found.setdefault(name, []).append(judge(claim, look, 'stand-in').verdict)
    return {name: {v: said.count(v)/worlds for v in set(said)} for name, said in found.items()}

def test_no_effect():
    decided = {name: v.get('supported', 0) + v.get('contradicted', 0) for name, v in verdicts(0.).items() if name != 'range'}
    assert max(decided.values()) <= .1 and np.mean(list(decided.values())) <= .05, decided

def test_effect_and_reverse():
    there, reverse = verdicts(.8, 40, training=.1), verdicts(-.8, 40, training=.1)
    straight, plain = ('each', 'ascending', 'chain', 'best', 'one', 'most'), ('each', 'one', 'most')
    assert not any(there[f].get('contradicted') or reverse[f].get('supported') for f in straight), (there, reverse)
    assert min(there[f].get('supported', 0) for f in plain) > .6
    assert min(reverse[f].get('contradicted', 0) for f in plain) > .6
