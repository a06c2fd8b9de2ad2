"""Training steps a second, side by side in one run: memory layouts, and LDFnet against Xception. `python benchmarks/training.py`"""
import statistics
import time
import torch
from ffd_repro.base.contracts import Batch, Recipe
from ffd_repro.base.registry import detectors, load
from ffd_repro.base.seeds import seed_everything
from ffd_repro.training.steps import optimizer_for, step

def candidates(side):
    load('systems', 'baselines')
    for name, setting in (('ldfnet', 'base'), ('ldfnet', 'full'), ('xception', 'full'), ('meso_inception4', 'full')):
        for channels_last in (False, True):
            seed_everything(7)
            recipe = Recipe(epochs=1, batch=32, lr=1e-3, channels_last=channels_last)
            model = detectors[name].make(setting, side=side).train()
            if channels_last: model = model.to(memory_format=torch.channels_last)
            yield f'{name}:{setting} {"channels-last" if channels_last else "contiguous"}', model, optimizer_for(model, recipe), recipe

def main(side=64, turns=5):
    batch = Batch(torch.randn(32, 3, side, side), torch.randint(2, (32,)), torch.arange(32))
    nets, speeds = list(candidates(side)), {}
    for turn in range(turns + 1):
        for name, model, optimizer, recipe in nets:
            started = time.perf_counter()
            step(model, optimizer, batch, recipe, 1e-3)
            if turn: speeds.setdefault(name, []).append(32/(time.perf_counter() - started))
    print(f'{side} pixels, batch 32, {torch.get_num_threads()} threads; median of {turns} interleaved turns')
    for name, found in speeds.items(): print(f'{name:42s} {statistics.median(found):7.0f} faces/s   [{min(found):.0f}, {max(found):.0f}]')

if __name__ == '__main__': main()
