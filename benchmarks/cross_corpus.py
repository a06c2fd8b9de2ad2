"""The cross-corpus drop: a detector that learned from one corpus, tested on people of that corpus and on every other corpus.

`python benchmarks/cross_corpus.py [--seeds 7,8,9] [--profile small]` builds what is missing of the stand-ins and faces, trains what is
not trained (one to three minutes a seed), writes no results,
and ends with status 1 when the drop is not what a cross-corpus table needs.
"""
import argparse
import sys
import numpy as np
from ffd_repro.base.registry import detectors, load
from ffd_repro.base.views import parse_view
from ffd_repro.measures.scores import auc
from ffd_repro.runs.runs import trained
from ffd_repro.runs.specs import make_spec
from ffd_repro.runs.testing import score_view
from ffd_repro.sets.stores import corpus_root

OTHERS = ('DFD-HQ', 'Celeb-DF', 'Celeb-DF-v1', 'DFDC', 'DFDC-P', 'UADFV', 'DF-TIMIT-LQ', 'DF-TIMIT-HQ', 'WildDeepfake')
# AUC: lost on the mean of the others; between the best and the worst of them; worse than a guess; too easy
DROP, SPREAD, LOW, HIGH = .10, .05, .45, .99

def measure(method, setting, train, tests, profile, seeds):
    "AUC of every test and seed, and how many faces each test has."
    found, faces = {test: [] for test in tests}, {}
    for seed in seeds:
        spec = make_spec(method, setting, train, tests, profile, seed)
        model = trained(spec, progress=sys.stderr.isatty())
        for test in tests:
            table = score_view(model, spec, test)
            faces[test] = len(table), table.video.nunique()
            found[test].append(auc(table.label.to_numpy(), table.score.to_numpy()))
        print(f'seed {seed}: ' + '  '.join(f'{test} {found[test][-1]:.3f}' for test in tests), flush=True)
    return found, faces

def judge(found, train):
    "What has to be true of the drop: text, measured value, whether it holds."
    mean = {test: float(np.mean(scores)) for test, scores in found.items()}
    others = [mean[test] for test in found if test != train]
    drop, spread = mean[train] - np.mean(others), max(others) - min(others)
    return [(f'lost on the mean of the others, at least {DROP}', drop, drop >= DROP),
            (f'between the best and the worst, at least {SPREAD}', spread, spread >= SPREAD),
            (f'the worst, at least {LOW}', min(others), min(others) >= LOW), (f'the best, below {HIGH}', max(others), max(others) < HIGH)]

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in dict(method='ldfnet', setting='full', train='FF++-HQ', tests=','.join(OTHERS), profile='small',
                              seeds='7,8,9').items():
        parser.add_argument(f'--{name}', default=default, help='default: %(default)s')
    ask = parser.parse_args()
    load('systems', 'baselines')
    tests = (ask.train, *ask.tests.split(','))
    found, faces = measure(ask.method, ask.setting, ask.train, tests, ask.profile, [int(s) for s in ask.seeds.split(',')])
    print(f'\n{detectors[ask.method].name}, {ask.setting}, trained on {ask.train}, {ask.profile}; AUC over faces, seeds {ask.seeds}')
    for test, scores in found.items():
        data = corpus_root(parse_view(test).corpus, ask.profile)[1]
        print(f'{test:14s} {data:9s} {faces[test][0]:5d} faces {faces[test][1]:4d} videos   {np.mean(scores):.3f}   '
              f'[{min(scores):.3f}, {max(scores):.3f}]   lost {np.mean(found[ask.train]) - np.mean(scores):+.3f}')
    verdicts = judge(found, ask.train)
    for text, value, holds in verdicts: print(f'{"holds" if holds else "FAILS":6s} {value:+.3f}  {text}')
    return 0 if all(holds for *_, holds in verdicts) else 1

if __name__ == '__main__': sys.exit(main())
