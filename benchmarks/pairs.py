"""What pairs are worth: a net trained on fakes beside their originals, and on as many mixed faces. `python benchmarks/pairs.py ldfnet`"""
import sys
import time
import torch
from people import by_method
from ffd_repro.base.registry import load
from ffd_repro.runs.runs import fresh_net
from ffd_repro.runs.specs import make_spec
from ffd_repro.sets.face_sets import faces
from ffd_repro.training.loop import train

def main(method, view='FF++-HQ', profile='small', seed=7):
    torch.set_num_threads(1)
    load('systems', 'baselines')
    spec = make_spec(method, 'full', view, [view], profile, seed)
    for mixed in (dict(pairs=True), dict(balanced=True)):
        net, asked, started = fresh_net(spec), spec.request(), time.process_time()
        learn = faces(asked, 'train', augment=spec.recipe.augment, learn=True, seed=seed, **mixed)
        told = train(net, learn, faces(asked, 'val', **mixed), spec.recipe, seed=seed, progress=False, most=spec.profile.faces).table()
        spent, (auc, each) = time.process_time() - started, by_method(spec, net)
        print(f'{method} {view} {list(mixed)[0]}: video AUC {auc}, {each}; loss {", ".join(f"{x:.2f}" for x in told.loss)}, '
              f'validation AUC {", ".join(f"{a:.2f}" for a in told.val_auc)}; {spent:.0f} CPU s', flush=True)

if __name__ == '__main__': main(*sys.argv[1:3])
