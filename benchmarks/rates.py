"""Which learning rate a detector is trained with: three, told apart on validation people. `python benchmarks/rates.py ldfnet xception`"""
import csv
import sys
import torch
from filelock import FileLock
from ffd_repro.base.paths import results
from ffd_repro.base.registry import detectors, load
from ffd_repro.runs.runs import fit
from ffd_repro.runs.specs import make_spec

VIEW, SEED = 'FF++-HQ', 1 # of no reported run
EPOCHS = 4 # half of the rule's. not stated: chosen because the order of rates a factor of three apart shows before how far each comes
COLUMNS = ['detector', 'setting', 'lr', 'epochs', 'seed', 'loss', 'val_auc', 'val_loss']

def measured(method, lr):
    "One training: its last loss, and how far it came on validation people."
    setting = detectors[method].settings[0]
    spec = make_spec(method, setting, VIEW, [VIEW], 'small', SEED, lr=lr, epochs=EPOCHS)
    last = fit(spec, progress=False)[1].epochs[-1]
    return dict(detector=method, setting=setting, lr=lr, epochs=EPOCHS, seed=SEED) | {k: round(last[k], 4) for k in COLUMNS[5:]}

def kept(path, row):
    "Add a row to the table of all."
    with FileLock(f'{path}.lock'):
        new = not path.exists()
        with path.open('a', newline='') as out:
            write = csv.DictWriter(out, COLUMNS)
            if new: write.writeheader()
            write.writerow(row)

def main(*methods):
    torch.set_num_threads(1)
    load('systems', 'baselines')
    for method in methods:
        usual = detectors[method].recipe('small', detectors[method].settings[0]).lr
        for lr in (usual/3, usual, 3*usual):
            row = measured(method, float(f'{lr:.1g}'))
            kept(results('small')/'rates.csv', row)
            print(row, flush=True)

if __name__ == '__main__': main(*sys.argv[1:])
