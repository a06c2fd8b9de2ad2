"""Whether each manipulation is a kind of its own: a net tells fakes by how they were made. `python benchmarks/kinds.py FF++-HQ`"""
import sys
import time
import numpy as np
import pandas as pd
import torch
from ffd_repro.base.registry import load
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.faces.loading import FaceSet
from ffd_repro.layers.backbones import xception_net
from ffd_repro.runs.specs import make_spec
from ffd_repro.sets.face_sets import part_rows
from ffd_repro.sets.stores import face_store
from ffd_repro.training.steps import learning_rate, optimizer_for

def fakes(spec, part, **how):
    "The fakes of a part, and the kind of each."
    asked = spec.request()
    store = face_store(asked)
    rows = part_rows(store.manifest, asked.view, part, spec.protocol)
    rows = rows[store.manifest.label.to_numpy()[rows] == 1]
    kinds = store.manifest.method.to_numpy(str)[rows]
    return FaceSet(store, rows, mean=asked.needs.mean, std=asked.needs.std, **how), np.unique(kinds, return_inverse=True)

def side_by_side(people, draw):
    "The faces in a drawn order that keeps a person's together: what a person is like tells no kinds apart."
    _, person = np.unique(people, return_inverse=True)
    mixed = draw.permutation(len(people))
    return mixed[draw.permutation(person.max() + 1)[person[mixed]].argsort(kind='stable')]

def learnt(spec, net, faces, kinds):
    "The net after the recipe's epochs, of as many faces in each as a detector sees."
    recipe, size = spec.recipe, -(-spec.profile.faces//spec.recipe.batch)
    optimizer, people = optimizer_for(net, recipe), faces.store.manifest.target.to_numpy()[faces.rows]
    for epoch in range(recipe.epochs):
        net.train()
        for at in side_by_side(people, rng('order', spec.seed, epoch))[:size*recipe.batch].reshape(size, -1):
            for group in optimizer.param_groups: group['lr'] = learning_rate(recipe, epoch)
            loss = torch.nn.functional.cross_entropy(net(faces.images(at, epoch)), torch.from_numpy(kinds[at]))
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        print(f'epoch {epoch + 1} of {recipe.epochs}: loss {loss.item():.2f}', flush=True)
    return net.eval()

@torch.no_grad()
def told(net, faces):
    "The net's probabilities of the kinds."
    return torch.cat([net(faces.images(at)).softmax(1) for at in np.array_split(np.arange(len(faces)), -(-len(faces)//64))]).numpy()

def main(view='FF++-HQ', lr=5e-4, epochs=24, seed=7, profile='small'): # not those of two classes: four are another lesson
    torch.set_num_threads(1)
    load('systems', 'baselines')
    spec, started = make_spec('xception', 'full', view, [view], profile, int(seed), lr=float(lr), epochs=int(epochs)), time.process_time()
    (learn, (names, kinds)), (test, (_, truth)) = (
        fakes(spec, 'train', augment=spec.recipe.augment, seed=spec.seed), fakes(spec, 'test'))
    seed_everything(spec.seed)
    net = learnt(spec, xception_net(spec.request().side, num_classes=len(names)), learn, kinds)
    table = test.store.manifest.iloc[test.rows].assign(**dict(zip(names, told(net, test).T)), truth=truth)
    clips = table.groupby('video').agg({**{n: 'mean' for n in names}, 'truth': 'first', 'target': 'first'})
    right = (clips[list(names)].to_numpy().argmax(1) == clips.truth).groupby(clips.target).mean() # of each person
    half = 1.96*right.std(ddof=1)/len(right)**.5
    print(pd.crosstab(clips.truth.map(dict(enumerate(names))), names[clips[list(names)].to_numpy().argmax(1)]))
    print(f'{view}, {len(names)} kinds, {len(right)} people: {right.mean():.3f} [{right.mean() - half:.3f}, {right.mean() + half:.3f}] '
          f'of the videos, {np.mean(table[list(names)].to_numpy().argmax(1) == table.truth):.3f} of the faces; '
          f'{time.process_time() - started:.0f} CPU s')

if __name__ == '__main__': main(*sys.argv[1:])
