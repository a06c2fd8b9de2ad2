"""Which learning rate a detector is trained with, told apart on validation people. `python benchmarks/rates.py ldfnet xception`

One training of a setting at a rate and for as long as asked: `python benchmarks/rates.py mclcr:base:0.002:8`, and as a target
has it: `python benchmarks/rates.py mclcr:base:0.002:16:mechanisms/mclcr`."""
import csv
import sys
from dataclasses import replace
import torch
from filelock import FileLock
from ffd_repro.base.paths import cache, results
from ffd_repro.base.registry import detectors, load
from ffd_repro.evidence.planning import plan
from ffd_repro.runs.runs import fit
from ffd_repro.runs.specs import make_spec

VIEW, SEED = 'FF++-HQ', 1 # of no reported run
EPOCHS = 4 # half of the rule's. not stated: chosen because the order of rates a factor of three apart shows before how far each comes
COLUMNS = ['detector', 'setting', 'lr', 'epochs', 'seed', 'view', 'loss', 'val_auc', 'val_loss']

def asked(method, setting, lr, epochs, target):
    "What is trained: a setting on the usual view, or as it is a row of a target."
    if not target: return make_spec(method, setting, VIEW, [VIEW], 'small', SEED, lr=lr, epochs=epochs)
    row = next(s for s in plan([target], 'small') if (s.method, s.setting) == (method, setting))
    return replace(row, seed=SEED, recipe=replace(row.recipe, lr=lr, epochs=epochs))

def measured(method, setting, lr, epochs, target=''):
    "One training: its last loss, and how far it came on validation people."
    spec = asked(method, setting, lr, epochs, target)
    last = fit(spec, progress=False)[1].epochs[-1]
    return dict(detector=method, setting=setting, lr=lr, epochs=epochs, seed=SEED, view=str(spec.train)) | {
        k: round(last[k], 4) for k in COLUMNS[6:]}

def round_to_one(lr): return float(f'{lr:.1g}')

def kept(path, row):
    "Add a row to the table of all."
    with FileLock(cache()/'rates.lock'):
        new = not path.exists()
        with path.open('a', newline='') as out:
            write = csv.DictWriter(out, COLUMNS)
            if new: write.writeheader()
            write.writerow(row)

def known(path, method, setting, epochs):
    "The rates that are told apart already, of one setting and length, and how far each came."
    if not path.exists(): return {}
    like = (method, setting, str(epochs), VIEW)
    with path.open(newline='') as f:
        return {float(r['lr']): float(r['val_auc']) for r in csv.DictReader(f)
                if (r['detector'], r['setting'], r['epochs'], r['view']) == like}

def chosen(done): # rate -> AUC
    "The least rate that comes within .01 of the best."
    return min(lr for lr, auc in done.items() if auc > max(done.values()) - .01)

def wanted(usual, done):
    "The next rate to try: one of three, then one beyond the best while that lies at an end; None when it is told."
    left = [r for k in (1/3, 1, 3) if (r := round_to_one(usual*k)) not in done]
    if left: return left[0]
    best = chosen(done)
    beyond = round_to_one(best*3) if best == max(done) else round_to_one(best/3) if best == min(done) else best
    return None if beyond in done else beyond

def tried(path, *how): # method, setting, rate, epochs, target or none
    "Measure once, and keep it."
    row = measured(*how)
    kept(path, row)
    print(row, flush=True)

def main(*names): # detectors, or detector:setting:rate:epochs, with :target where it is a row of one
    torch.set_num_threads(1)
    load('systems', 'baselines', 'claims')
    path = results('small')/'rates.csv'
    for method, *one in (x.split(':') for x in names):
        if one:
            tried(path, method, one[0], float(one[1]), int(one[2]), *one[3:])
            continue
        setting = detectors[method].settings[0]
        usual = detectors[method].recipe('small', setting).lr
        while (lr := wanted(usual, known(path, method, setting, EPOCHS))) is not None: tried(path, method, setting, lr, EPOCHS)

if __name__ == '__main__': main(*sys.argv[1:])
