"""Amplitude and phase answer to upsampling: on faces whose only artefact is a generator's grid, the frequency branch alone sees it, less
well where patches have lost their own phases, and by their amplitudes even there."""
import numpy as np
import torch
from ffd_repro.base.contracts import Batch
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.drawn.motion import track
from ffd_repro.drawn.people import sample_identity
from ffd_repro.drawn.rendering import render
from ffd_repro.drawn.scenes import sample_scene
from ffd_repro.forgeries.upsampling import Bottleneck, squeeze
from ffd_repro.layers.spectral import amplitude_phase, grey, patches
from ffd_repro.measures.scores import auc
from ffd_repro.systems.mclcr import mclcr

SIDE, SIZE, PEOPLE = 64, 8, 240
ERROR, NOISE = .01, 8 # of a growing kernel's taps, relative; of the camera, grey levels: a patch alone hardly shows the grid

def faces():
    """A drawn face a person through the same bottleneck twice: grown by a perfect kernel (real), and by one that favours a pixel in
    four (fake). No region, no seam, no change of colour."""
    out = np.empty((2*PEOPLE, SIDE, SIDE, 3), np.float32)
    for person in range(PEOPLE):
        frame = render(sample_identity('grid', person), track('grid', person, n=1)[0], sample_scene('grid', person, style='FF++'), SIDE,
                       0).pixels
        for label in (0, 1): out[2*person+label] = squeeze(frame, Bottleneck(side=.5, error=ERROR*label, stages=1), 'one generator')
    return out

def photographed(clean, *keys):
    "Grey faces [N, 3, S, S] in [-1, 1] with a camera's noise, drawn anew for other keys."
    noisy = np.rint(clean+NOISE*rng('grid noise', *keys).standard_normal(clean.shape, dtype=np.float32)).clip(0, 255)
    return grey(torch.from_numpy(noisy/127.5-1).permute(0, 3, 1, 2)).expand(-1, 3, -1, -1)

def itself(images, *keys): return images

def phase_shuffled(images, *keys):
    """Every patch keeps its amplitudes and gets the phases of the same patch of another face, for every patch position in an order
    of its own."""
    amplitude, phase = amplitude_phase(patches(images[:, :1]*.5+.5, SIZE))
    draw = rng('grid shuffle', *keys)
    for n in range(phase.shape[1]): phase[:, n] = phase[torch.from_numpy(draw.permutation(len(phase))), n]
    cut = torch.fft.ifft2(torch.polar(amplitude, phase), norm='forward').real
    side = SIDE//SIZE
    return (cut.unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5).reshape(len(images), 1, SIDE, SIDE)*2-1).expand(-1, 3, -1, -1)

def scored(clean, labels, train, test, treated=itself, seed=7, epochs=12):
    "AUC on unseen people; every epoch photographs the same faces anew."
    seed_everything(seed)
    net = mclcr.make('frequency', SIDE, tiny=True)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(epochs):
        net.train()
        images = treated(photographed(clean[train], seed, epoch), seed, epoch)
        for at in torch.from_numpy(rng('grid order', seed, epoch).permutation(len(train))).split(16):
            batch = Batch(images[at], labels[train][at], at)
            optimizer.zero_grad()
            net.loss(net(batch.images), batch).backward()
            optimizer.step()
    net.eval()
    with torch.no_grad(): score = net(treated(photographed(clean[test], seed, 'test'), seed, 'test')).fake_probability()
    return auc(labels[test].numpy(), score.numpy())

def deviation(a, n):
    "Of an AUC of `a` over n real and n fake faces (Hanley and McNeil, Radiology 1982)."
    return ((a*(1 - a) + (n - 1)*(a/(2 - a) + 2*a*a/(1 + a) - 2*a*a))/(n*n))**.5

def test_shuffling_keeps_amplitudes_and_reality():
    images = photographed(np.float32(rng('grid sample').uniform(0, 255, (4, SIDE, SIDE, 3))), 0)
    shuffled = phase_shuffled(images, 0)
    before, after = (amplitude_phase(patches(x[:, :1]*.5+.5, SIZE)) for x in (images, shuffled))
    torch.testing.assert_close(before[0], after[0], atol=1e-5, rtol=1e-4)
    assert (before[1]-after[1]).abs().mean() > .5

def test_frequency_branch_sees_the_grid_by_both_and_better_with_its_phase():
    clean, labels = faces(), torch.arange(2*PEOPLE) % 2
    train, test = np.arange(2*160), np.arange(2*160, 2*PEOPLE) # by person
    seen = {how.__name__: scored(clean, labels, train, test, how) for how in (itself, phase_shuffled)}
    both, alone, n = seen['itself'], seen['phase_shuffled'], len(test)//2
    assert alone >= .5 + 3*deviation(.5, n), seen # three deviations of a score that knows nothing
    # as if the two were of different faces; of the same ones their difference errs by less
    assert both - alone >= 3*np.hypot(deviation(both, n), deviation(alone, n)), seen
