"""LLS as it is printed: faces of 224 pixels, the middle feature of block 11, 14x14 places and so 196x196 pairs. A few training steps on
drawn forgeries, what a step costs, and what the paper's 200 steps an epoch would. `python benchmarks/printed_lls.py`"""
import argparse
import resource
import time
from statistics import median
import cv2
import numpy as np
import torch
from ffd_repro.base.contracts import Batch
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.drawn.motion import track
from ffd_repro.drawn.people import sample_identity
from ffd_repro.drawn.rendering import render
from ffd_repro.drawn.scenes import sample_scene
from ffd_repro.faces.geometry import Box, affine_to_crop, crop, square
from ffd_repro.faces.loading import normalise
from ffd_repro.forgeries.blending import Paste
from ffd_repro.forgeries.swapping import deepfake
from ffd_repro.forgeries.upsampling import Bottleneck
from ffd_repro.systems.lls import RECIPES, lls

SIDE, FRAME = 224, 384

def pair(person):
    "A drawn person, a swap in a place by lot, and its mask, all in the window of the face."
    scene, pose = sample_scene('printed lls', person, style='FF++'), track('printed lls', person, n=1)[0]
    real, donor = (render(sample_identity('printed lls', who), pose, scene, FRAME, camera=False) for who in (person, f'{person} donor'))
    forged, alpha = deepfake(real, donor, Bottleneck(.14, .16, skip=.85), Paste(), ('printed lls', person), 0)
    window = square(Box(*real.box), 1.3)
    mask = cv2.warpAffine((alpha > 0).astype(np.float32), affine_to_crop(window, SIDE), (SIDE, SIDE), flags=cv2.INTER_NEAREST)
    return [crop(picture, window, SIDE) for picture in (real.pixels, forged)], mask

def batch_of(people):
    "As many real faces as fakes, with masks."
    pairs = [pair(p) for p in people]
    masks = torch.zeros(2*len(pairs), 1, SIDE, SIDE)
    masks[1::2, 0] = torch.from_numpy(np.stack([mask for _, mask in pairs]))
    images = normalise(np.concatenate([faces for faces, _ in pairs]), lls.mean, lls.std).to(memory_format=torch.channels_last)
    return Batch(images, torch.arange(len(masks)) % 2, torch.arange(len(masks)), masks)

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--steps', type=int, default=4)
    p.add_argument('--batch', type=int, default=4, help='faces; the paper has 32')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--setting', default='full', choices=lls.settings)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    paper, people = RECIPES['paper'], iter(rng('printed lls', 'people').permutation(10**6))
    seed_everything(7)
    net = lls.make(a.setting).to(memory_format=torch.channels_last)
    optimizer, took, busy, told = torch.optim.Adam(net.parameters(), paper.lr), [], [], []
    print(f'{lls.display}, {a.setting}: {sum(p.numel() for p in net.parameters())/1e6:.1f} M parameters, middle feature {net.middle}')
    for step in range(a.steps):
        batch = batch_of([next(people) for _ in range(a.batch//2)])
        began, spent = time.perf_counter(), time.process_time()
        said = net(batch.images)
        terms = net.terms(said, batch)
        optimizer.zero_grad(); net.loss(said, batch).backward(); optimizer.step()
        took.append(time.perf_counter()-began); busy.append(time.process_time()-spent)
        told.append({name: term.item() for name, term in terms.items()})
        print(f'step {step + 1}: {took[-1]:6.1f} s, busy {busy[-1]:6.1f} s   ' + '  '.join(f'{k} {v:.3f}' for k, v in told[-1].items()))
    if 'map' in said.maps:
        size = said.maps['map'].shape[-1]
        assert (net.middle, size) == ('block11', 196), (net.middle, size)
        assert all(w.grad.abs().sum() > 0 for w in net.llsm.parameters())
        print(f'{size}x{size} pairs; spread of the map over pairs {said.maps["map"].sigmoid().std(dim=(2, 3)).mean().item():.4f}')
    still = [name for name, w in net.named_parameters() if w.grad is None or not w.grad.abs().sum()]
    print(f'parameters without gradient: {still or "none"}')
    each = median(busy[1:] or busy)/a.batch # of the first step a part is set up once
    whole = each*paper.batch*paper.steps/3600
    print(f'a face costs {each:.2f} s of one core, a step of {paper.batch} {each*paper.batch:.0f} s; an epoch of {paper.steps} steps '
          f'{whole:.1f} h, the {paper.epochs} epochs of the recipe {whole*paper.epochs/24:.0f} days; '
          f'memory at batch {a.batch}: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6:.1f} GB')

if __name__ == '__main__': main()
