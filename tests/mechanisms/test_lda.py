"""Long-distance attention answers to time: on clips whose only artefact is jitter, the temporal model sees it and the spatial one
cannot."""
import numpy as np
import torch
from torch.nn import functional as F
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.drawn.motion import track
from ffd_repro.drawn.people import sample_identity
from ffd_repro.drawn.rendering import render
from ffd_repro.drawn.scenes import sample_scene
from ffd_repro.measures.scores import auc
from ffd_repro.systems.lda import lda

SIDE, FRAMES, PEOPLE = 53, 4, 240

def clips():
    """A drawn face a person in four frames: at rest in real clips, trembling by a pixel or two in fakes. Every single frame has the
    same distribution in both."""
    out, labels = np.empty((2*PEOPLE, FRAMES, SIDE, SIDE, 3), np.uint8), np.tile([0, 1], PEOPLE)
    for person in range(PEOPLE):
        frame = render(sample_identity('jitter', person), track('jitter', person, n=1)[0], sample_scene('jitter', person, style='FF++'), 72,
                       0).pixels
        draw = rng('jitter clip', person)
        for label in (0, 1):
            steps = draw.integers(2, 72-SIDE-1, 2) + label*draw.integers(-2, 3, (FRAMES, 2))
            for t, (y, x) in enumerate(steps): out[2*person+label, t] = frame[y:y+SIDE, x:x+SIDE]
    return torch.from_numpy(out).permute(0, 1, 4, 2, 3).float()/127.5-1, torch.from_numpy(labels)

def scored(setting, images, labels, train, test, epochs=9):
    "AUC on unseen people."
    seed_everything(7)
    net = lda.make(setting, SIDE, tiny=True)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(epochs):
        net.train()
        for at in torch.from_numpy(rng('jitter order', epoch).permutation(train)).split(16):
            optimizer.zero_grad()
            F.cross_entropy(net(images[at] if lda.after(setting) else images[at, 0]).logits, labels[at]).backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        score = torch.cat([net(images[at] if lda.after(setting) else images[at, 0]).fake_probability()
                           for at in torch.from_numpy(test).split(40)])
    return auc(labels[test].numpy(), score.numpy())

def test_temporal_sees_jitter_and_spatial_does_not():
    images, labels = clips()
    train, test = np.arange(2*160), np.arange(2*160, 2*PEOPLE) # by person
    seen = {setting: scored(setting, images, labels, train, test) for setting in ('temporal', 'spatial')}
    assert seen['temporal']>=.80 and seen['spatial']<=.60, seen
