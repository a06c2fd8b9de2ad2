"""Faces a second out of a store: `FaceSet.batches` at 256 pixels, plain, and with batches prepared ahead by two threads or two processes.
`python benchmarks/loading.py`"""
import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
import cv2
import numpy as np
import pandas as pd
import torch
from ffd_repro.faces.loading import FaceSet, FaceStore, order

def store(folder, faces, side):
    "A store of noise: reading and converting it costs what faces cost."
    pixels = np.random.default_rng(0).integers(0, 256, (faces, side, side, 3), np.uint8)
    row = dict(corpus='Toy', quality='', method='real', video='v', target='', source='', pair='', split='train', detector='sidecar')
    return FaceStore.of(pixels, pd.DataFrame([row | dict(label=i % 2, frame=i) for i in range(faces)]), data='stand-in').save(folder)

def plain(faces, batch, epoch):
    for b in faces.batches(batch, epoch=epoch): yield b.images

def ahead(pool, make, faces, batch, epoch, room=4):
    "Batches in the same order, prepared in a pool while others are used."
    at = order(len(faces), 0, epoch)
    parts, waiting = [at[i:i+batch] for i in range(0, len(at), batch)], []
    for part in parts:
        waiting.append(pool.submit(make, part, epoch))
        if len(waiting) > room: yield waiting.pop(0).result()
    for w in waiting: yield w.result()

class Parts(torch.utils.data.Dataset):
    "The set as torch's own loader wants it: an item is a batch."
    def __init__(self, faces, batch, epoch):
        at = order(len(faces), 0, epoch)
        self.faces, self.epoch, self.parts = faces, epoch, [at[i:i+batch] for i in range(0, len(at), batch)]
    def __len__(self): return len(self.parts)
    def __getitem__(self, k): return self.faces.batch(self.parts[k], self.epoch).images

def by_processes(faces, batch, epoch): return torch.utils.data.DataLoader(Parts(faces, batch, epoch), batch_size=None, num_workers=2)

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--faces', type=int, default=1536)
    p.add_argument('--side', type=int, default=256)
    p.add_argument('--batch', type=int, default=32)
    p.add_argument('--turns', type=int, default=3)
    p.add_argument('--augment', default='flip')
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        faces = FaceSet(store(Path(folder)/'store', a.faces, a.side), augment=a.augment)
        ways = {'plain': lambda e: plain(faces, a.batch, e), '2 threads ahead': lambda e: ahead(threads,
            lambda part, e: faces.batch(part, e).images, faces, a.batch, e),
                "2 processes (torch's loader)": lambda e: by_processes(faces, a.batch, e)}
        took = {name: [] for name in ways}
        for turn in range(a.turns + 1):
            for name, way in ways.items():
                started, n = time.perf_counter(), 0
                for images in way(turn): n += len(images)
                if turn: took[name].append(n/(time.perf_counter() - started))
        print(f'{a.faces} faces of {a.side} pixels, batches of {a.batch}, augment {a.augment}, order by seed; {cv2.getNumThreads()} '
              f'OpenCV threads; median of {a.turns} interleaved turns')
        for name, rates in took.items(): print(f'{name:28s} {median(rates):7.0f} faces/s   [{min(rates):.0f}, {max(rates):.0f}]')

if __name__ == '__main__': main()
