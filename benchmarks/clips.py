"""Clips out of a store: batches of a face and the n frames after it (`ClipSet`), against the n+1 single-face batches (`FaceSet`) that
hold the same pixels. `python benchmarks/clips.py`"""
import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
import cv2
import numpy as np
import pandas as pd
import torch
from ffd_repro.faces.clips import ClipSet, ClipStore
from ffd_repro.faces.loading import FaceSet, FaceStore, order

def store(folder, faces, followers=None):
    "A store of noise: reading and converting it costs what faces cost."
    more = {} if followers is None else dict(after=followers.shape[1])
    row = dict(corpus='Toy', quality='', method='real', video='v', target='', source='', pair='', split='train', detector='sidecar')
    table = pd.DataFrame([row | dict(label=i % 2, frame=i) | more for i in range(len(faces))])
    made = ClipStore.of(faces, followers, table, data='stand-in') if more else FaceStore.of(faces, table, data='stand-in')
    return made.save(folder)

def stores(root, clips, side, n):
    "The same frames twice: as clips, and as single faces that lie frame by frame in the order of the clips."
    frames = np.random.default_rng(0).integers(0, 256, (clips, 1 + n, side, side, 3), np.uint8)
    return store(root/'clips', frames[:, 0], frames[:, 1:]), store(root/'faces', frames.reshape(-1, side, side, 3))

def _peak(way, at, out):
    resident = lambda: int(Path('/proc/self/statm').read_text().split()[1])*resource.getpagesize()
    before = resident()
    way(at, 0)
    out.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024 - before)

def peak(way, at):
    """Bytes by which the resident memory of a process of its own rises while it makes one batch (Linux). The store is held in memory
    before, so that its pages do not count."""
    fork = multiprocessing.get_context('fork')
    out = fork.Queue()
    child = fork.Process(target=_peak, args=(way, at, out))
    child.start(); found = out.get(); child.join()
    return found

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--clips', type=int, default=256)
    p.add_argument('--n', type=int, default=3)
    p.add_argument('--side', type=int, default=256)
    p.add_argument('--batch', type=int, default=16)
    p.add_argument('--turns', type=int, default=7)
    p.add_argument('--augment', default='flip')
    p.add_argument('--threads', type=int, default=1)
    a = p.parse_args()
    cv2.setNumThreads(a.threads); torch.set_num_threads(a.threads)
    with tempfile.TemporaryDirectory() as folder:
        clip_store, face_store = stores(Path(folder), a.clips, a.side, a.n)
        clips, faces = ClipSet(clip_store, augment=a.augment, after=a.n), FaceSet(face_store, augment=a.augment)
        as_clips = lambda at, e: clips.images(at, e)
        as_faces = lambda at, e: [faces.images(at*(1 + a.n) + t, e) for t in range(1 + a.n)]
        ways = {f'clips of 1+{a.n} frames': as_clips, f'{1+a.n} batches of faces': as_faces,
                'the same, stacked to clips': lambda at, e: torch.stack(as_faces(at, e), 1)}
        plain = ClipSet(clip_store, after=a.n).images(np.arange(4)), FaceSet(face_store).images(np.arange(4*(1 + a.n)))
        assert torch.equal(plain[0].flatten(0, 1), plain[1]), 'the two stores differ'
        mapped = clip_store.faces, clip_store.followers, face_store.faces
        clip_store.faces, clip_store.followers, face_store.faces = (np.array(m) for m in mapped)
        room = {name: [peak(way, order(a.clips, 0, k)[:a.batch]) for k in range(3)] for name, way in ways.items()}
        clip_store.faces, clip_store.followers, face_store.faces = mapped
        took = {name: [] for name in ways}
        for turn in range(a.turns + 1):
            for name, way in list(ways.items())[::1 if turn % 2 else -1]:
                at, started = order(a.clips, 0, turn), time.perf_counter()
                for i in range(0, a.clips, a.batch): way(at[i:i+a.batch], turn)
                if turn: took[name].append(a.clips/(time.perf_counter() - started))
    print(f'{a.clips} clips of {1+a.n} frames of {a.side} pixels, batches of {a.batch} clips, augment {a.augment}, {a.threads} thread; '
          f'median of {a.turns} interleaved turns')
    for name, rates in took.items():
        print(f'{name:28s} {median(rates):7.0f} clips/s   [{min(rates):.0f}, {max(rates):.0f}]   peak of a batch '
              f'{median(room[name])/1e6:6.1f} MB')

if __name__ == '__main__': main()
