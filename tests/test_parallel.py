"""Two processes against one: the same losses, the same scored faces, the same end after a kill, and errors that leave nobody waiting.

This file is also what the processes run: `torchrun --nproc_per_node 2 tests/test_parallel.py FOLDER`.
"""
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from torch import nn
from ffd_repro.base.contracts import Prediction, Recipe
from ffd_repro.base.errors import FFDError
from ffd_repro.base.registry import load
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.faces.loading import FaceSet, FaceStore
from ffd_repro.runs import testing
from ffd_repro.runs.specs import make_spec
from ffd_repro.sets.self_blending import MaskedSet
from ffd_repro.training.guided import GuidedFaces
from ffd_repro.training.parallel import Engine, Share, Together, start_engine, train_together
from ffd_repro.training.steps import labels_and_scores
from ffd_repro.training.toys import ArrayFaces, sample_faces, small

SIZES = (1, 2, 3, 4, 5, 7, 15, 16, 33)
SGD = dict(epochs=3, batch=8, lr=.05, optimizer='sgd')


class Bare(nn.Module):
    "Neither batch normalisation nor dropout; `seen` counts the faces that pass through."
    def __init__(self):
        super().__init__()
        self.body, self.head, self.seen = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.Tanh(), nn.Flatten()), nn.Linear(54, 2), 0
        self.never = nn.Parameter(torch.ones(3)) # nobody teaches it

    def forward(self, x):
        self.seen += len(x)
        features = self.body(x)
        return Prediction(self.head(features), features, maps=dict(last=x[:, :1]))


class Contrast(Bare):
    "Learns from all pairs of a batch, through a weight that only the loss uses."
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(54, 8)

    def loss(self, prediction, batch):
        z, same = self.project(prediction.features), batch.labels[:, None] == batch.labels
        near = (z[:, None] - z).square().sum(2)
        return torch.where(same, near, (2 - near).relu()).mean() + nn.functional.cross_entropy(prediction.logits, batch.labels)


class Twice(Bare):
    "Looks at every face twice, in a step of its own whose loss is a mean over faces."
    def step(self, batch):
        first, again = self(batch.images), self(batch.images.flip(-1))
        return first, sum(nn.functional.cross_entropy(p.logits, batch.labels) for p in (first, again))


def learnt(engine, make, faces=None, folder=None, every=3, **recipe):
    "Losses of steps and validations of a training, and a hash of the weights."
    seed_everything(7)
    net = make()
    faces = faces(net) if faces else sample_faces(21, 'learn')
    history = train_together(engine, net, faces, sample_faces(15, 'choose'), Recipe(**SGD | recipe), 7, folder, every, progress=False)
    weights = hashlib.sha256(b''.join(v.numpy().tobytes() for v in net.state_dict().values())).hexdigest()
    return dict(steps=history.steps, val=[e['val_loss'] for e in history.epochs], weights=weights)


def scored(engine, n):
    "Rows, scores, and how many faces this process passed through the net."
    seed_everything(7)
    net, faces = Bare(), sample_faces(n, 'test')
    given = (Together(net, engine), Share(faces, engine)) if engine.world > 1 else (net, faces)
    by_share, there = labels_and_scores(*given, 4)[1].tolist(), net.seen
    return dict(scores=by_share, uncut=labels_and_scores(given[0], faces, 4)[1].tolist(), seen=there)


def store(n=24, side=16):
    m = pd.DataFrame(dict(corpus='X', quality='', method=np.where(np.arange(n) % 2, 'DF', 'real'), video=[f'v{i//2}' for i in range(n)],
                          frame=0, label=np.arange(n) % 2, target=[f'p{i//2}' for i in range(n)], source='', split='train',
                          pair=[f'v{i//2}' for i in range(n)]))
    faces = rng('store').integers(0, 200, (n, side, side, 3), np.uint8)
    faces[1::2] = faces[::2] # a fake is its original,
    faces[1::2, 5:11, 5:11] += 50 # lighter in the middle
    return FaceStore.of(faces, m)


def loaded(engine):
    "How far the part of a set that a process loads lies from that part of the whole."
    apart = {}
    for word in ('none', 'flip', 'jpeg', 'flip+jpeg'):
        faces = FaceSet(store(), augment=word.split('+'), seed=3, pairs=True)
        whole = faces.batches(10, 3, 1)
        apart[word] = max(float((a.images[engine.part(len(a.images))] - b.images).abs().max())
                          for a, b in zip(whole, Share(faces, engine).batches(10, 3, 1)))
    return apart


class Stopped(ArrayFaces):
    "Is pulled the plug on at a batch."
    def __init__(self, faces, at): self.images, self.labels, self.asked, self.at = faces.images, faces.labels, [], at
    def batches(self, batch, seed, epoch, start=0, shuffle=True):
        for number, found in enumerate(super().batches(batch, seed, epoch, start, shuffle), start):
            if (epoch, number) == self.at: raise KeyboardInterrupt
            yield found


def resumed(engine, folder):
    "A training with dropout that is stopped in its second epoch and goes on."
    try: learnt(engine, small, lambda net: Stopped(sample_faces(21, 'learn'), (1, 2)), folder, every=1)
    except KeyboardInterrupt: pass
    return learnt(engine, small, None, folder, every=1)


def said(make):
    "The error that a process meets."
    try: make()
    except FFDError as e: return type(e).__name__, e.what
    return 'none', ''


def poisoned(net):
    faces = sample_faces(21, 'learn')
    faces.images[int(rng('order', 7, 0).permutation(21)[9])] = np.nan # one face of the second batch, which the second process sees
    return faces


def waited(engine, path):
    "Seconds until a lock that somebody else holds is had."
    if engine.main:
        other = FileLock(path, thread_local=False)
        other.acquire()
        threading.Timer(1., other.release).start()
    started = time.time()
    engine.told(lambda: None)
    with engine.lock(path, patience=.2): return time.time() - started


def everything(folder):
    torch.set_num_threads(1)
    engine, folder = start_engine(), Path(folder)
    found = dict(world=engine.world,
                 plain=learnt(engine, Bare), flooded=learnt(engine, Bare, loss='flooded'), contrast=learnt(engine, Contrast, loss='own'),
                 twice=learnt(engine, Twice, loss='own'), adam=learnt(engine, Bare, optimizer='adamw', lr=1e-3, weight_decay=.1),
                 guided=learnt(engine, Bare, lambda net: GuidedFaces(sample_faces(21, 'learn'), net, ('crop_drop', 'erase'))),
                 norms=learnt(engine, small), stopped=resumed(engine, folder/f'resumed {engine.world}'),
                 scores={n: scored(engine, n) for n in SIZES}, loaded=loaded(engine), waited=waited(engine, folder/f'lock {engine.world}'),
                 diverged=said(lambda: learnt(engine, Bare, poisoned)),
                 other=said(lambda: learnt(engine, small, None, folder/f'resumed {engine.world}', lr=.01)),
                 told=said(lambda: engine.told(lambda: sample_faces(0, 'none') and None or Recipe(0, 8, .1))))
    (folder/f'{engine.world} {engine.rank}.json').write_text(json.dumps(found))


def torchrun(*command, **more):
    "Two processes as a shell starts them."
    how = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', *command]
    env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore') | more
    return subprocess.run(how, capture_output=True, text=True, timeout=900, env=env)


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    "What one process finds, and the first and second of two."
    pytest.importorskip('accelerate')
    folder = tmp_path_factory.mktemp('ranks')
    everything(folder)
    done = torchrun(__file__, str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder/name).read_text()) for name in ('1 0.json', '2 0.json', '2 1.json')]


@pytest.mark.parametrize('name, most', [('plain', 1e-5), ('flooded', 1e-5), ('contrast', 1e-5), ('twice', 1e-5), ('guided', 1e-5),
                                        ('adam', 1e-4)]) # Adam divides by gradients that may be next to nothing
def test_the_same_losses(found, name, most):
    one, first, second = (f[name] for f in found)
    assert first == second # both processes hold the same net, bit for bit
    for what in ('steps', 'val'): np.testing.assert_allclose(first[what], one[what], atol=most, rtol=0)
    assert max(one['steps']) - min(one['steps']) > 1e-3 # something was learnt


def test_batch_normalisation_sees_its_own_part(found):
    one, first, second = (f['norms'] for f in found)
    assert first == second and np.isfinite(first['steps']).all() and first['steps'] != one['steps']


def test_a_killed_training_goes_on_to_the_same_bits(found):
    for f in found: assert f['stopped'] == f['norms']


@pytest.mark.parametrize('n', SIZES)
def test_every_face_is_scored_once(found, n):
    one, first, second = (f['scores'][str(n)] for f in found)
    assert len(first['scores']) == n and first['scores'] == second['scores']
    for how in ('scores', 'uncut'): np.testing.assert_allclose(first[how], one['scores'], atol=1e-7, rtol=0)
    left = n % 4 # the last batch: of fewer than two faces for each, so whole for both
    assert first['seen'] + second['seen'] == n - left + left*2 and one['seen'] == n


def test_a_process_loads_what_it_would_have_seen(found):
    for f in found: assert set(f['loaded']) == {'none', 'flip', 'jpeg', 'flip+jpeg'} and not any(f['loaded'].values())


def test_errors_reach_everybody(found):
    assert [f['world'] for f in found] == [1, 2, 2]
    for f in found:
        assert f['diverged'] == ['Diverged', 'The loss is nan at step 2 (epoch 1, batch 2).']
        assert f['other'][0] == 'BadSetting' and 'another training: recipe.lr' in f['other'][1]
        assert f['told'] == ['BadSetting', 'Recipe.epochs is 0; it must be at least 1.']


def test_a_lock_is_waited_for_by_all(found):
    for f in found: assert .5 < f['waited'] < 20


def test_masked_faces_keep_the_masks_of_the_whole_batch(tmp_path):
    "Where masks are made with the faces, a share holds its own images and all masks."
    faces = MaskedSet(store().save(tmp_path/'store'), source='difference')
    whole, half = (next(f.batches(8, 3, 1, 0, True)) for f in (faces, Share(faces, Engine(rank=1, world=2))))
    assert torch.equal(half.images, whole.images[4:]) and torch.equal(half.masks, whole.masks) and len(half.labels) == 8
    assert whole.masks[whole.labels == 1].sum() > 0


def test_a_run_from_the_shell(tmp_path, monkeypatch):
    "`ffd_train` under torchrun: one record, by two processes, every test face once."
    pytest.importorskip('accelerate')
    where = dict(FFD_CACHE=str(tmp_path/'two'), FFD_RESULTS=str(tmp_path/'results'))
    done = torchrun('-m', 'ffd_repro.runs.runs', 'meso_inception4', '--train', 'HFF', '--profile', 'smoke', **where)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('ok: ') == 1
    record = next(p for p in tmp_path.rglob('meso_inception4*.json'))
    kept = json.loads(record.read_text())
    assert kept['status'] == 'ok' and kept['processes'] == 2
    faces = pd.read_csv(record.with_suffix('.csv'), dtype=str)
    assert max(Counter(zip(faces.test, faces.video, faces.frame)).values()) == 1
    monkeypatch.setenv('FFD_CACHE', where['FFD_CACHE'])
    load('baselines')
    spec = make_spec('meso_inception4', kept['asked']['setting'], 'HFF', ('HFF',), 'smoke', 7)
    assert len(faces) == len(testing.test_faces(spec, spec.tests[0]))
    again = torchrun('-m', 'ffd_repro.runs.runs', 'meso_inception4', '--train', 'HFF', '--profile', 'smoke', **where)
    assert again.returncode == 0 and json.loads(record.read_text())['wall_s'] == kept['wall_s']


if __name__ == '__main__': everything(sys.argv[1])
