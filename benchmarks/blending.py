"""Training faces a second with masks and blends made on the fly: batches as they are, with (Real, Real), with (Fake, Real), and in the
shares of BiG-Arts, on one core and on two. `python benchmarks/blending.py`"""
import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median
import cv2
import numpy as np
import torch
from ffd_repro.corpora.reading import read_corpus
from ffd_repro.drawn.standins import build
from ffd_repro.drawn.trees import Size
from ffd_repro.faces.extraction import extract
from ffd_repro.faces.loading import FaceStore
from ffd_repro.faces.sampling import Sampling
from ffd_repro.sets.self_blending import BlendSet

SHARES = {'as they are': (1, 0, 0), '(Real, Real)': (0, 1, 0), '(Fake, Real)': (0, 0, 1), 'a third each': (1/3, 1/3, 1/3)}

def stores(folder, sides, people):
    "Stores of a small stand-in, one a side."
    root = build('FF++', root=folder/'FaceForensics++', size=Size(people, 192, 8), workers=2, progress=False)
    videos = read_corpus('FF++', root, 'c23')
    for side in sides: extract(videos, root, (Sampling(1, 8), Sampling(1, 2)), side, out=folder/str(side), workers=2)

def work(folder, shares, augment, batch, fakes_only, turns, start, out):
    "Batches in one process: wall and processor seconds of each turn, and faces."
    cv2.setNumThreads(1); torch.set_num_threads(1)
    faces = BlendSet(FaceStore(folder), shares=shares, augment=augment, balanced=True)
    chosen = np.flatnonzero(faces.labels)
    start.wait()
    took = []
    for turn in range(turns+1):
        began, spent, n = time.perf_counter(), time.process_time(), 0
        made = (faces.batch(chosen[i:i+batch], turn) for i in range(0, len(chosen), batch)) if fakes_only else faces.batches(batch,
                                                                                                                             epoch=turn)
        for b in made: n += len(b.labels)
        if turn: took.append((n, time.perf_counter()-began, time.process_time()-spent))
    out.put(took)

def rate(processes, *job):
    "Faces a second of all processes: by the clock, and by the processor time of one."
    context = multiprocessing.get_context('fork')
    start, out = context.Barrier(processes), context.Queue()
    running = [context.Process(target=work, args=(*job, start, out)) for _ in range(processes)]
    for p in running: p.start()
    took = [out.get() for _ in running]
    for p in running: p.join()
    return sum(median(n/wall for n, wall, _ in t) for t in took), median(n/spent for t in took for n, _, spent in t)

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--sides', type=int, nargs='+', default=[64, 256])
    p.add_argument('--people', type=int, default=10)
    p.add_argument('--batch', type=int, default=32)
    p.add_argument('--turns', type=int, default=3)
    p.add_argument('--augment', nargs='+', default=['flip', 'jpeg'])
    a = p.parse_args()
    torch.set_num_threads(1); cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        stores(folder, a.sides, a.people)
        for side in a.sides: # landmarks and regions are made once, before the clock runs
            faces = BlendSet(FaceStore(folder/str(side)))
            print(f'{len(faces)} faces of {side} pixels, batches of {a.batch}, augment {" ".join(a.augment)}; median of {a.turns} turns')
            print(f'{"":44s}{"1 core":>9s}{"2 cores":>9s}   faces/s by the clock; faces a second of processor time')
            for name, shares in SHARES.items():
                for fakes_only in (False, True):
                    job = folder/str(side), shares, a.augment, a.batch, fakes_only, a.turns
                    (one, alone), (two, _) = rate(1, *job), rate(2, *job)
                    print(f'{name:18s}{"fakes alone" if fakes_only else "half of each batch real":26s}{one:9.0f}{two:9.0f}{alone:9.0f}')

if __name__ == '__main__': main()
