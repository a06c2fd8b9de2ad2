"""What more people are worth: a net trained on few and on many people, at as many faces an epoch. `python benchmarks/people.py ldfnet`"""
import sys
import time
import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from ffd_repro.base.registry import load
from ffd_repro.base.seeds import rng
from ffd_repro.faces.loading import FaceSet
from ffd_repro.runs.runs import fresh_net
from ffd_repro.runs.specs import make_spec
from ffd_repro.sets.face_sets import faces, part_rows
from ffd_repro.sets.stores import face_store
from ffd_repro.training.loop import train
from ffd_repro.training.steps import predict

def of_people(spec, n):
    "The training faces of `n` people."
    asked = spec.request()
    store = face_store(asked)
    rows, draw = part_rows(store.manifest, asked.view, 'train', spec.protocol), rng('people', spec.seed)
    kept = draw.permutation(sorted(set(store.manifest.target.iloc[rows])))[:n]
    rows = rows[store.manifest.target.iloc[rows].isin(kept)]
    return FaceSet(store, np.tile(rows, -(-spec.profile.faces//len(rows))), mean=asked.needs.mean, std=asked.needs.std)

def by_method(spec, net):
    "AUC by video: of all test videos, and of each manipulation against the originals."
    asked = spec.request()
    rows, table = part_rows(face_store(asked).manifest, asked.view, 'test', spec.protocol), face_store(asked).manifest
    scored = table.iloc[rows].assign(fake=predict(net, faces(asked, 'test'))).groupby('video')
    videos = scored.agg(fake=('fake', 'mean'), label=('label', 'first'), method=('method', 'first'))
    auc = lambda v: round(roc_auc_score(v.label, v.fake), 3)
    return auc(videos), {m: auc(videos[videos.method.isin(['real', m])]) for m in sorted(set(videos.method) - {'real'})}

def main(method, view='FF++-HQ', epochs=8, people=(108, 300, 600), profile='small', seed=7):
    torch.set_num_threads(1)
    load('systems', 'baselines')
    spec = make_spec(method, 'full', view, [view], profile, seed, epochs=epochs)
    for n in people:
        learn, started = of_people(spec, n), time.process_time()
        net = fresh_net(spec)
        told = train(net, learn, faces(spec.request(), 'val'), spec.recipe, seed=seed, progress=False, most=spec.profile.faces).table()
        spent, (auc, each) = time.process_time() - started, by_method(spec, net)
        print(f'{method} {view} {n} people: video AUC {auc}, {each}; loss {told.loss.iloc[-1]:.2f}, '
              f'validation AUC {", ".join(f"{a:.2f}" for a in told.val_auc)}; {spent:.0f} CPU s', flush=True)

if __name__ == '__main__': main(*sys.argv[1:3])
