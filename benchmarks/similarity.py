"""The map of all pairs of places (LLSM), forward and backward: two projections a place (`LLSM`) against every pair written out
(`pair_by_pair`), side by side in one run, and the first with a batch. `python benchmarks/similarity.py`"""
import argparse
import multiprocessing
import time
from statistics import median
import torch
from ffd_repro.systems.lls import LLSM, pair_by_pair

def resident(what):
    "Bytes of this process: 'VmRSS' now, 'VmHWM' at most (Linux)."
    with open('/proc/self/status') as f: return next(int(line.split()[1])*1024 for line in f if line.startswith(what))

def scene(batch, side, channels, hidden):
    "A module and a feature that wants its gradient, the same for the same sizes."
    torch.manual_seed(0)
    return LLSM(channels, hidden), torch.randn(batch, channels, side, side, requires_grad=True)

def both_ways(form, module, features):
    "Forward and backward: the map, and the gradients of the feature and of all weights."
    found = (module if form == 'projections' else lambda x: pair_by_pair(module, x))(features)
    weights = torch.linspace(.1, 1, found.shape[-1]) # a gradient that differs from pair to pair
    return found.detach(), torch.autograd.grad((found*weights*weights[:, None]).sum(), [features, *module.parameters()])

def _measured(out, form, batch, side, channels, hidden, threads):
    torch.set_num_threads(threads)
    both_ways(form, *scene(1, 2, channels, hidden)) # whatever is set up once
    module, features = scene(batch, side, channels, hidden)
    before, busy, started = resident('VmRSS'), time.process_time(), time.perf_counter()
    both_ways(form, module, features)
    out.put((time.perf_counter()-started, time.process_time()-busy, resident('VmHWM')-before, resident('VmHWM')))

def measured(*how):
    "Of a process of its own: seconds, those the processor was busy with it, bytes by which it rises, bytes that it holds at most."
    spawn = multiprocessing.get_context('spawn')
    out = spawn.Queue()
    child = spawn.Process(target=_measured, args=(out, *how))
    child.start(); found = out.get(timeout=600); child.join()
    return found

def differences(side, channels, hidden):
    "The largest difference between the two forms, as a share of the largest value: of the map and of every gradient."
    module, features = scene(2, side, channels, hidden)
    module.room = hidden*2*side**2*3 # three rows at a time, so that the parts are tested too
    (m, gs), (n, hs) = (both_ways(form, module, features) for form in ('projections', 'pairs'))
    return [((a-b).abs().max()/b.abs().max()).item() for a, b in zip((m, *gs), (n, *hs))]

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--side', type=int, default=28, help='places a side: 28 gives 784')
    p.add_argument('--channels', type=int, default=728)
    p.add_argument('--hidden', type=int, default=16)
    p.add_argument('--batch', type=int, default=8)
    p.add_argument('--turns', type=int, default=3)
    p.add_argument('--threads', type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    off = differences(min(a.side, 10), a.channels, a.hidden)
    assert max(off) < 1e-3, f'the two forms differ by {max(off):.1e}'
    size, n = (a.side, a.channels, a.hidden, a.threads), a.side**2
    turns = {form: [] for form in ('projections', 'pairs')}
    for turn in range(a.turns):
        for form in list(turns)[::1 if turn % 2 else -1]: turns[form].append(measured(form, 1, *size))
    many = [measured('projections', a.batch, *size) for _ in range(a.turns)]
    print(f'{n} places of {a.channels} channels, {a.hidden} kernels, forward and backward, {a.threads} thread(s); median of '
          f'{a.turns} interleaved turns, each in a process of its own')
    print(f'the pairs of one face written out: {n*n*2*a.channels*4/1e9:.2f} GB; largest difference of the forms on a smaller '
          f'map, relative: {max(off):.0e}')
    rows = dict(turns, **{f'projections, batch {a.batch}': many})
    for name, found in rows.items():
        seconds, busy, rise, whole = zip(*found)
        print(f'{name:22s} {median(seconds):8.3f} s   [{min(seconds):.3f}, {max(seconds):.3f}]   busy {median(busy):7.3f} s   '
              f'rises by {median(rise)/1e6:8.1f} MB   process {median(whole)/1e9:5.2f} GB')
    ratio = [median(f[k] for f in turns['pairs'])/median(f[k] for f in turns['projections']) for k in range(3)]
    print(f'projections: {ratio[0]:.0f}x faster ({ratio[1]:.0f}x in busy seconds), {ratio[2]:.0f}x less memory')

if __name__ == '__main__': main()
