"""Amplitude and phase of all 16x16 patches of a batch: one transform for all (`layers.spectral`) against a loop over the patches, side by
side in one run, with NumPy's result as the judge. `python benchmarks/spectral.py`"""
import argparse
import time
from statistics import median
import numpy as np
import torch
from ffd_repro.layers.spectral import amplitude_phase, patches

def at_once(images, size):
    "Both spectra [B, N, C, P, P], by one transform."
    return amplitude_phase(patches(images, size))

def _cut(images, size):
    "The patches of all images, one after another."
    for image in images:
        for top in range(0, image.shape[1], size):
            for left in range(0, image.shape[2], size): yield image[:, top:top+size, left:left+size]

def _joined(found, images): return tuple(torch.stack(part).unflatten(0, (len(images), -1)) for part in zip(*found))

def looped(images, size):
    "The same function, a patch of an image at a time."
    return _joined([amplitude_phase(patch) for patch in _cut(images, size)], images)

def bare_loop(images, size):
    "Three calls of torch a patch, which leave the phase of rounding errors as it falls."
    return _joined([(f.abs(), f.angle()) for f in (torch.fft.fft2(patch, norm='forward') for patch in _cut(images, size))], images)

def with_numpy(images, size):
    "Three calls of NumPy a patch, in double precision."
    found = [np.fft.fft2(patch, norm='forward') for patch in _cut(images.double().numpy(), size)]
    return _joined([(torch.from_numpy(np.abs(f)), torch.from_numpy(np.angle(f))) for f in found], images)

WAYS = dict(at_once=at_once, looped=looped, bare_loop=bare_loop, with_numpy=with_numpy)

def differences(images, size):
    "The largest differences from NumPy: of the amplitude, and of the point on the circle where the amplitude is more than rounding."
    (a, p), (b, q) = at_once(images, size), with_numpy(images, size)
    there = b > 1e-5*b.amax((-2, -1), keepdim=True)
    apart = (torch.polar(torch.ones_like(q), p.double())-torch.polar(torch.ones_like(q), q)).abs()
    return (a-b).abs().max().item(), (apart*b)[there].max().item()

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--side', type=int, default=256)
    p.add_argument('--size', type=int, default=16, help='of a patch')
    p.add_argument('--batch', type=int, default=16)
    p.add_argument('--turns', type=int, default=5)
    p.add_argument('--threads', type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    images = torch.rand(a.batch, 1, a.side, a.side, generator=torch.Generator().manual_seed(0))
    amplitude, complex_value = differences(images, a.size)
    assert max(amplitude, complex_value) < 1e-5, f'differs from NumPy by {amplitude:.0e} and {complex_value:.0e}'
    turns = {way: [] for way in WAYS}
    for turn in range(a.turns+1):
        for way in list(WAYS)[::1 if turn % 2 else -1]:
            started, busy = time.perf_counter(), time.process_time()
            WAYS[way](images, a.size)
            if turn: turns[way].append((time.perf_counter()-started, time.process_time()-busy))
    print(f'{a.batch} grey images of {a.side} pixels, {(a.side//a.size)**2} patches of {a.size}x{a.size} each, {a.threads} '
          f'thread(s); median of {a.turns} interleaved turns')
    print(f'largest difference from NumPy: amplitude {amplitude:.0e}, complex value {complex_value:.0e}')
    for way, found in turns.items():
        seconds, busy = zip(*found)
        print(f'{way:12s} {1e3*median(seconds):9.2f} ms   [{1e3*min(seconds):.2f}, {1e3*max(seconds):.2f}]   busy '
              f'{1e3*median(busy):9.2f} ms')
    for way in list(WAYS)[1:]:
        print(f'at once: {median(t for t, _ in turns[way])/median(t for t, _ in turns["at_once"]):.0f}x faster than {way} '
              f'({median(b for _, b in turns[way])/median(b for _, b in turns["at_once"]):.0f}x in busy seconds)')

if __name__ == '__main__': main()
