"""Faces of a ten-second clip, tracked between searches against searched in every frame, side by side in one run; and memory against the
number of videos.

`python benchmarks/extraction.py [CLIP …]` takes clips of the test data (FFD_TEST_DATA, or ../shared/data beside the repository) or,
without any, draws one.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
import cv2
import numpy as np
from ffd_repro.base.errors import MissingExtra
from ffd_repro.corpora.frames import count_frames
from ffd_repro.corpora.videos import video_frames, video_info, write_video
from ffd_repro.faces.detection import drawn_face
from ffd_repro.faces.geometry import iou
from ffd_repro.faces.tracking import EVERY, FACE_DETECTORS

DATA = Path(os.environ.get('FFD_TEST_DATA') or Path(__file__).resolve().parents[2]/'shared'/'data')

def drawn_clip(path, n=300):
    "A clip for machines without real ones: a drawn face that goes to and fro."
    write_video(path, (drawn_face(320 + 60*np.sin(i/40), 240 + 15*np.cos(i/25), r=110, seed=i, height=480, width=640) for i in range(n)))
    return path

def compare(path, name, frames, turns):
    "Seconds of both ways, interleaved, and how well the boxes agree."
    took = {EVERY: [], 1: []}
    for _ in range(turns):
        for every in took:
            started = time.perf_counter()
            found = FACE_DETECTORS[name].track(path.parent, path.name, range(frames), every)
            took[every].append(time.perf_counter() - started)
            if every == 1: whole = found
            else: tracked = found
    searched = sum('tracked' not in f.how for f in tracked.values())
    both = [iou(tracked[i].box, whole[i].box) for i in whole if i in tracked]
    return dict(slow=min(took[1]), fast=min(took[EVERY]), searched=searched, found=len(tracked), whole=len(whole), mean=np.mean(both),
                worst=np.min(both))

def decode_time(path, frames):
    "Seconds of decoding alone."
    started = time.perf_counter()
    for _ in video_frames(path, range(frames)): pass
    return time.perf_counter() - started

MEMORY = '''
import resource, sys, pandas as pd
from pathlib import Path
from ffd_repro.faces.extraction import extract
from ffd_repro.faces.sampling import Sampling
root, n = Path(sys.argv[1]), int(sys.argv[2])
rows = [dict(corpus='Toy', quality='', label=0, method='real', video=f'v{i}',
             target=str(i), source=str(i), pair='', split='train', path='clip.mp4', mask='') for i in range(n)]
meta = extract(pd.DataFrame(rows), root, Sampling(1, 24), 256, 'opencv', root/f'store{n}')
print(meta['faces'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)
'''

def memory(counts):
    "Peak memory of an extraction of so many videos, each in a process of its own."
    with tempfile.TemporaryDirectory() as folder:
        drawn_clip(Path(folder)/'clip.mp4', 24)
        for n in counts:
            faces, peak = subprocess.run([sys.executable, '-c', MEMORY, folder, str(n)], capture_output=True, text=True,
                                         check=True).stdout.split()
            print(f'{n:5d} videos, {int(faces):6d} faces of 256 pixels ({int(faces)*256*256*3//2**20:5d} MB in the store): peak {peak} MB')

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('clips', nargs='*', type=Path)
    p.add_argument('--detectors', nargs='*', default=['opencv', 'dlib', 'mtcnn'])
    p.add_argument('--turns', type=int, default=2)
    p.add_argument('--videos', nargs='*', type=int, default=[10, 40, 120])
    a = p.parse_args()
    cv2.setNumThreads(1)
    clips = a.clips or [c for c in [DATA/'videos'/'real_clips'/'lp_s18.mp4', DATA/'videos'/'real_clips'/'lp_d10.mp4'] if c.exists()]
    with tempfile.TemporaryDirectory() as folder:
        clips = clips or [drawn_clip(Path(folder)/'drawn.mp4')]
        print(f'one search in {EVERY} frames at least, one thread, best of {a.turns} interleaved turns')
        print(f'{"clip":14s} {"detector":8s} {"frames":>6s} {"decode":>7s} {"every":>8s} {"tracked":>8s} {"faster":>7s} {"searched":>8s} '
              f'{"found":>9s} {"mean IoU":>8s} {"worst":>6s}')
        for clip in clips:
            info = video_info(clip)
            frames = min(count_frames(clip), round(10*(info.fps or 25)))
            for name in a.detectors:
                try: r = compare(clip, name, frames, a.turns)
                except MissingExtra as e: print(f'{clip.name:14s} {name:8s} not installed: {e.fix}'); continue
                print(f'{clip.name:14s} {name:8s} {frames:6d} {decode_time(clip, frames):6.2f}s {r["slow"]:7.2f}s {r["fast"]:7.2f}s '
                      f'{r["slow"]/r["fast"]:6.1f}x {r["searched"]:8d} {r["found"]:4d}/{r["whole"]:4d} {r["mean"]:8.3f} {r["worst"]:6.3f}',
                      flush=True)
    if a.videos: memory(a.videos)

if __name__ == '__main__': main()
