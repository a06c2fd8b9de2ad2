"""How far a training on two processes is from the same on one, for every detector of single faces. `python benchmarks/processes.py`"""
import io
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
import numpy as np
import torch
from accelerate import notebook_launcher
from ffd_repro.base.contracts import Batch, Recipe
from ffd_repro.base.registry import detectors, load
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.training.checks import sixteen
from ffd_repro.training.losses import own_or
from ffd_repro.training.parallel import start_engine, train_together

SIDE = 32

class Faces:
    "Some of the faces of noise that every detector is asked to learn by heart, twice over."
    def __init__(self, n):
        images, labels, _, masks = sixteen(SIDE)[:4]
        self.images, self.labels, self.masks = torch.cat([images, images])[:n], labels.repeat(2)[:n].numpy(), torch.cat([masks, masks])[:n]
    def __len__(self): return len(self.labels)
    def batches(self, batch, seed=0, epoch=0, start=0, shuffle=True):
        order = rng('order', seed, epoch).permutation(len(self)) if shuffle else np.arange(len(self))
        for i in range(start*batch, len(self), batch):
            at = order[i:i + batch]
            yield Batch(self.images[at], torch.from_numpy(self.labels[at]), torch.from_numpy(at), self.masks[at])

def trained(path, names):
    "Losses of two epochs: (steps …, validation …), a list for each detector."
    engine, said = start_engine(), {}
    for name in names:
        seed_everything(7)
        net = detectors[name].make(side=SIDE, tiny=True)
        recipe = Recipe(2, 8, 1e-2, 'sgd', loss=own_or(net))
        history = train_together(engine, net, Faces(23), Faces(13), recipe, 7, progress=False)
        said[name] = history.steps + [e['val_loss'] for e in history.epochs]
    if engine.main: Path(path).write_text(json.dumps(said))

def main(*names):
    load('systems', 'baselines')
    names = [n for n in names or detectors if not detectors[n].after(detectors[n].settings[0])]
    with tempfile.TemporaryDirectory() as folder:
        trained(f'{folder}/one', names)
        with redirect_stdout(io.StringIO()): notebook_launcher(trained, (f'{folder}/two', names), num_processes=2)
        one, two = (json.loads(Path(folder, n).read_text()) for n in ('one', 'two'))
    for name in names:
        apart = np.abs(np.subtract(one[name], two[name]))/np.abs(one[name])
        print(f'{name:20s} first step {apart[0]:.0e}, all steps and validations {apart.max():.0e} of the loss')

if __name__ == '__main__': main(*sys.argv[1:])
