"""What a CUDA card does with the loop that the processors run: at most eight minutes, no network.

    PYTHONPATH=. python benchmarks/gpu.py                on the card
    … --runs xception:full:HFF,ldfnet:full:HFF:8    with these small runs: detector:setting:view[:seed]
    … --device cpu --tiny                its whole path in a minute, on toy sizes; the numbers mean nothing

It asks: are loss, weights and scores those of the CPU; what does bfloat16 change; does the clock see the work; how many faces a
second do LDFnet and Xception train and score, and what share of the card's own matrix product is that; and what do whole runs
give, beside the records of the same runs that are kept here. Needed beside torch, timm, numpy, pandas, scikit-learn and OpenCV:
fastcore, safetensors, filelock, joblib, tqdm (carry them as wheels where nothing can be fetched). Faces that were made before are
used where FFD_CACHE names them: drawing a corpus takes minutes. Without a card it says so and ends with 0; with one it ends with 1
when a check fails.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
import numpy as np
import torch
from ffd_repro.base.contracts import Batch, Recipe
from ffd_repro.base.errors import BadSetting
from ffd_repro.base.paths import results, root
from ffd_repro.base.registry import detectors, load
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.measures.complexity import layer_macs, without_values
from ffd_repro.training.loop import train
from ffd_repro.training.steps import learnt_from, optimizer_for, predict, step
from ffd_repro.training.toys import ArrayFaces, sample_faces, small

NETS = ('ldfnet', 'xception')


def synchronised(device): return torch.cuda.synchronize() if device == 'cuda' else None


def exact(on:bool):
    "Single precision as the CPU has it, or with the shorter mantissa that cards use for convolutions by default."
    torch.backends.cudnn.allow_tf32 = not on
    torch.backends.cuda.matmul.allow_tf32 = False


class Checks:
    "Says what holds and what does not, with the number behind it."
    def __init__(self): self.failed, self.seen = [], {}
    def __call__(self, name, value, most):
        holds = bool(np.isfinite(value) and value <= most)
        self.seen[name] = value
        if not holds: self.failed.append(name)
        print(f'   {"ok  " if holds else "FAIL"} {name}: {value:.3g} (at most {most:g})', flush=True)


def faces_of(n, side, key):
    "Noise, fakes a little brighter."
    labels = np.arange(n) % 2
    return ArrayFaces((rng(key).standard_normal((n, 3, side, side)) + .2*labels[:, None, None, None]).astype(np.float32), labels)


def net_of(name, side, tiny, device='cpu'):
    seed_everything(7)
    return detectors[name].make(detectors[name].settings[0], side=side, tiny=tiny).to(device)


def same_loop(check, device, tiny):
    "The loop on the card against the loop on the CPU, in exact single precision."
    exact(True)
    print('1. the same loop')
    recipe = Recipe(2, 8, .01, optimizer='sgd')
    def toy(where): # no dropout: a card draws other numbers
        net = small()
        net.body[3].p = 0.
        return train(net, sample_faces(40, 'learn'), sample_faces(24, 'choose'), recipe, 7, device=where, progress=False), net
    (a, net_a), (b, net_b) = toy('cpu'), toy(device)
    check('toy: loss of a step, card against CPU', max(np.abs(np.subtract(a.steps, b.steps))), 1e-4)
    weights = zip(net_a.state_dict().values(), net_b.state_dict().values())
    check('toy: weights', max(float((p.cpu() - q.cpu()).abs().max()) for p, q in weights), 1e-3)
    with tempfile.TemporaryDirectory() as folder:
        class Stopped(ArrayFaces):
            def batches(self, batch, seed, epoch, start=0, shuffle=True):
                for number, found in enumerate(super().batches(batch, seed, epoch, start, shuffle), start):
                    if (epoch, number) == (1, 2): raise KeyboardInterrupt
                    yield found
        whole, how = sample_faces(40, 'learn'), dict(device=device, progress=False, folder=folder, checkpoint_every=1)
        try: train(small(), Stopped(whole.images, whole.labels), sample_faces(24, 'choose'), recipe, 7, **how)
        except KeyboardInterrupt: pass
        on = train(small(), whole, sample_faces(24, 'choose'), recipe, 7, **how)
    once = train(small(), whole, sample_faces(24, 'choose'), recipe, 7, device=device, progress=False)
    check('toy with dropout: loss after a stop, against one go', max(np.abs(np.subtract(on.steps, once.steps))), 1e-4)
    side, faces = (32, 8) if tiny else (128, 32)
    for name in NETS:
        one, other = net_of(name, side, tiny), net_of(name, side, tiny, device)
        seen = faces_of(faces, side, 'card')
        check(f'{name}: P(fake), card against CPU', float(np.abs(predict(one, seen, 16) - predict(other, seen, 16)).max()), 1e-3)


def precision(check, device, tiny):
    "What bfloat16 does to loss, gradient and weights of the real nets."
    print('2. mixed precision')
    side, n = (32, 8) if tiny else (128, 32)
    half = Recipe(1, n, 1e-3, optimizer='sgd', precision='bf16', channels_last=True)
    full = Recipe(1, n, 1e-3, optimizer='sgd', channels_last=True)
    batch = Batch(*(t if t is None else t.to(device) for t in next(faces_of(n, side, 'half').batches(n, 7, 0))))
    if device == 'cpu':
        try: learnt_from(net_of('xception', side, True), batch, half)
        except BadSetting: return check('bf16 on a CPU is refused', 0., 0)
        return check('bf16 on a CPU is refused', 1., 0)
    for name in NETS:
        said = {}
        for recipe in (full, half):
            net = net_of(name, side, tiny, device).to(memory_format=torch.channels_last).train()
            for m in net.modules():
                if isinstance(m, torch.nn.modules.dropout._DropoutNd): m.p = 0.
            optimizer, losses = optimizer_for(net, recipe), []
            for _ in range(10): losses.append(step(net, optimizer, batch, recipe, 1e-3))
            said[recipe.precision] = losses
            kept = {p.dtype for p in net.parameters()}
        check(f'{name}: first loss in bf16, apart from fp32, relative', abs(said['bf16'][0]/said['fp32'][0] - 1), .03)
        check(f'{name}: loss after ten steps, relative', abs(said['bf16'][-1]/said['fp32'][-1] - 1), .1)
        check(f'{name}: weights that are not single precision', len(kept - {torch.float32}), 0)


def clock(check, device, tiny):
    "Whether the time of a step, read when its loss is there, is the time that the card spends: steps in a row against one by one."
    print('3. the clock')
    side, n, turns = (32, 8, 3) if tiny else (128, 32, 10)
    net, recipe = net_of('xception', side, tiny, device).train(), Recipe(1, n, 1e-3)
    optimizer, batch = optimizer_for(net, recipe), next(faces_of(n, side, 'clock').batches(n, 7, 0))
    batch = Batch(*(t if t is None else t.to(device) for t in batch))
    for _ in range(3): step(net, optimizer, batch, recipe, 1e-3)
    synchronised(device)
    started = time.perf_counter()
    for _ in range(turns): step(net, optimizer, batch, recipe, 1e-3)
    synchronised(device)
    row, singles = time.perf_counter() - started, []
    for _ in range(turns):
        synchronised(device)
        started = time.perf_counter()
        step(net, optimizer, batch, recipe, 1e-3)
        synchronised(device)
        singles.append(time.perf_counter() - started)
    apart = abs(statistics.median(singles)*turns/row - 1)
    check('steps timed one by one, apart from their time in a row, relative', apart, 1. if tiny else .15)


def peak(device, kind, size):
    "Operations a second of a matrix product on random data: the ceiling that the nets are held against."
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    took = []
    for _ in range(6):
        synchronised(device)
        started = time.perf_counter()
        torch.mm(a, b)
        synchronised(device)
        took.append(time.perf_counter() - started)
    return 2*size**3/statistics.median(took[2:])


def rate(work, faces, device, turns):
    "Faces a second, the median of some turns; the first two warm up."
    took = []
    for _ in range(turns + 2):
        synchronised(device)
        started = time.perf_counter()
        work()
        synchronised(device)
        took.append(time.perf_counter() - started)
    return faces/statistics.median(took[2:])


def speeds(device, tiny, until):
    "Training and scoring of the printed nets at 256 pixels."
    exact(False)
    side, sizes, turns, big = (32, (4,), 2, 256) if tiny else (256, (32, 128), 8, 8192)
    kinds = dict(fp32=torch.float32) | (dict(bf16=torch.bfloat16) if device == 'cuda' else {})
    torch.backends.cuda.matmul.allow_tf32 = True # what convolutions in fp32 use by default
    peaks = {name: peak(device, kind, big) for name, kind in kinds.items()}
    torch.backends.cuda.matmul.allow_tf32 = False
    print('4. speed; a matrix product of', big, 'reaches', ', '.join(f'{v/1e12:.3g} TFLOP/s in {k}' for k, v in peaks.items()))
    print(f'   {"net":10s} {"work":8s} {"kind":5s} {"batch":>5s} {"faces/s":>9s} {"TFLOP/s":>8s} {"of peak":>8s} {"memory":>8s}')
    rows = []
    for name in NETS:
        macs = layer_macs(without_values(lambda: detectors[name].make(side=side, tiny=tiny)), side)
        for kind in kinds:
            for n in sizes:
                if time.time() > until: return rows
                recipe = Recipe(1, n, 1e-3, precision=kind, channels_last=True)
                net = net_of(name, side, tiny, device).to(memory_format=torch.channels_last).train()
                optimizer = optimizer_for(net, recipe)
                rows_of = torch.arange(n, device=device)
                batch = Batch(torch.randn(n, 3, side, side, device=device), rows_of % 2, rows_of)
                if device == 'cuda': torch.cuda.reset_peak_memory_stats()
                def learn(): step(net, optimizer, batch, recipe, 1e-3)
                @torch.no_grad()
                def score(): return learnt_from(net, batch, recipe)
                for work, times, f in (('training', 6, learn), ('scoring', 2, score)):
                    if work == 'scoring': net.eval()
                    fast = rate(f, n, device, turns)
                    memory = torch.cuda.max_memory_allocated()/2**30 if device == 'cuda' else float('nan')
                    rows.append(dict(net=name, work=work, kind=kind, batch=n, faces_s=fast, flops=fast*times*macs,
                                     share=fast*times*macs/peaks[kind], memory_gb=memory))
                    print(f'   {name:10s} {work:8s} {kind:5s} {n:5d} {fast:9.0f} {fast*times*macs/1e12:8.3g} '
                          f'{100*rows[-1]["share"]:7.1f}% {memory:6.1f} GB', flush=True)
    return rows


def whole_runs(check, asked, device, tiny, until):
    "Whole runs by the command that makes them, beside the records of the same runs that are kept here."
    print('5. runs')
    size, found = 'smoke' if tiny else 'small', []
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, [str(root()), os.environ.get('PYTHONPATH')])))
        env |= dict(FFD_CACHE=os.environ.get('FFD_CACHE') or str(Path(folder)/'cache'), FFD_RESULTS=str(Path(folder)/'results'))
        if device == 'cpu': env['CUDA_VISIBLE_DEVICES'] = ''
        for name in asked:
            method, setting, view, seed = (*name.split(':'), '7')[:4]
            if until - time.time() < 20: print(f'   not begun, the time is up: {name}'); continue
            command = [sys.executable, '-m', 'ffd_repro.runs.runs', method, '--setting', setting, '--train', view, '--profile', size]
            began = time.time()
            how = dict(env=env, cwd=root(), capture_output=True, text=True, timeout=until - began)
            try: done = subprocess.run([*command, '--seed', seed], **how)
            except subprocess.TimeoutExpired: print(f'   not finished, the time is up: {name}'); continue
            check(f'{name}: exit status', done.returncode, 0)
            if done.returncode: print(done.stdout[-1500:] + done.stderr[-1500:]); continue
            path = max((Path(folder)/'results').rglob('*.json'), key=lambda p: p.stat().st_mtime)
            here, kept = json.loads(path.read_text()), results('small')/'runs'/path.name
            there = json.loads(kept.read_text()) if kept.exists() else None
            best = lambda r: 'none kept' if r is None else f'{max(e["val_auc"] for e in r["history"]["epochs"]):.3f} in {r["wall_s"]:.0f} s'
            took = time.time() - began
            found.append(dict(run=path.stem, wall_s=here['wall_s'], device=here['device'], whole_s=took))
            print(f'   {name}: validation AUC {best(here)} on {here["device"]}, with faces {took:.0f} s; kept: {best(there)}', flush=True)
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    p.add_argument('--tiny', action='store_true', help='toy sizes: the whole path in a minute')
    p.add_argument('--runs', default='xception:full:HFF,ldfnet:full:HFF', help='small runs, separated by commas; empty: none')
    p.add_argument('--minutes', type=float, default=8.)
    p.add_argument('--out', help='a JSON file for the numbers')
    a = p.parse_args()
    if a.device == 'cuda' and not torch.cuda.is_available(): return print('No CUDA card here: nothing was measured.')
    until, check = time.time() + 60*a.minutes, Checks()
    name = torch.cuda.get_device_name() if a.device == 'cuda' else 'CPU'
    print(f'{name}, torch {torch.__version__}, {torch.get_num_threads()} threads', flush=True)
    load('systems', 'baselines')
    for part in (same_loop, precision, clock): part(check, a.device, a.tiny)
    rows = speeds(a.device, a.tiny, until - 60*a.minutes/3)
    runs = whole_runs(check, list(filter(None, a.runs.split(','))), a.device, a.tiny, until - 5)
    if a.out: Path(a.out).write_text(json.dumps(dict(device=name, checks=check.seen, speeds=rows, runs=runs), indent=1))
    print(f'{len(check.seen) - len(check.failed)} checks hold, {len(check.failed)} do not; {time.time() - until + 60*a.minutes:.0f} s')
    sys.exit(bool(check.failed))


if __name__ == '__main__': main()
