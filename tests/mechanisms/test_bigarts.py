"""BiG-Arts' branches answer each to its own artifact, on people they never saw: one to the seam of a blend of two real faces, one to the
grid of an upsampling without a seam; and they say where."""
import copy
import numpy as np
import pandas as pd
import pytest
import torch
from ffd_repro.base.contracts import Batch
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.drawn.motion import track
from ffd_repro.drawn.people import sample_identity
from ffd_repro.drawn.rendering import render
from ffd_repro.drawn.scenes import sample_scene
from ffd_repro.faces.loading import FaceStore, normalise
from ffd_repro.forgeries.blending import blend
from ffd_repro.forgeries.upsampling import Bottleneck, squeeze
from ffd_repro.measures.scores import auc
from ffd_repro.sets.self_blending import RealBlends, both_masks
from ffd_repro.systems.bigarts import BRANCHES, bigarts

SIDE, SEED = 64, 7
MAPS = tuple(BRANCHES.values()) # by their printed names
REAL, UPSAMPLED, SEAM = 0, 1, 2 # kinds of faces; the map that is to answer to a kind is the one before it in MAPS
OWN = dict(zip(MAPS, (UPSAMPLED, SEAM)))
EPOCHS = 11
FRAME, TRAINED, CHOSEN, PEOPLE = 104, 100, 120, 180 # people to train on, then to choose the epoch by, then to test on

@pytest.fixture(autouse=True)
def one_thread():
    "Sums in one order, so that a seed gives one net."
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

# faces that carry one artifact and not the other

def drawn(folder):
    "A store of drawn people as their camera gives them, a face each: 64 whole pixels around the face, so that no real face was resampled."
    faces, points = [], []
    for person in range(PEOPLE):
        frame = render(sample_identity('seams', person), track('seams', person, n=1)[0], sample_scene('seams', person, style='FF++'),
                       FRAME, 0)
        x, y = (int(np.clip(round((a+b-SIDE)/2), 0, FRAME-SIDE)) for a, b in zip(frame.box[:2], frame.box[2:]))
        faces.append(frame.pixels[y:y+SIDE, x:x+SIDE]); points.append(frame.landmarks-[x, y])
    same = dict(corpus='Drawn', quality='', label=0, method='real', source='', pair='', split='', frame=0, detector='drawn')
    rows = pd.DataFrame([same | dict(video=str(p), target=str(p)) for p in range(PEOPLE)])
    np.save(folder/'landmarks.npy', np.float32(points))
    return FaceStore.of(np.stack(faces), rows, data='stand-in').save(folder)

def softly_upsampled(face, *keys):
    """A face of which about a third, at a place by lot, went through half its resolution; what is new fades in over more than a
    third of the picture, so there is no seam."""
    draw = rng('soft', *keys)
    (cx, cy), (rx, ry) = draw.uniform(.3, .7, 2), draw.uniform(.35, .5, 2)
    v, u = np.mgrid[:SIDE, :SIDE]/SIDE
    near = np.clip(1.3-np.hypot((u-cx)/rx, (v-cy)/ry), 0, 1)
    alpha = (near*near*(3-2*near)).astype(np.float32)
    return blend(face, squeeze(face, Bottleneck(.5, .05), *keys), alpha), alpha >= .5

def three_kinds(blends, epoch):
    "As many real, upsampled and blended faces: pixels, masks, kinds. The blends are those that BiG-Arts trains on."
    real, (x, outer) = np.asarray(blends.store.faces[blends.rows[blends.labels == 0]]), blends.pixels(np.flatnonzero(blends.labels), epoch)
    assert (outer[:, 1].sum((1, 2)) > 0).all() and not outer[:, 0].any()
    soft, inner = [softly_upsampled(face, blends.seed, epoch, i) for i, face in enumerate(real)], np.zeros_like(outer)
    for (_, mask), both in zip(soft, inner): both_masks(mask, both)
    inner[:, 1] = 0 # the forgery fades: there is no outline to be drawn
    pixels = np.concatenate([real, [face for face, _ in soft], x])
    return pixels, np.concatenate([np.zeros_like(outer), inner, outer]), np.repeat([REAL, UPSAMPLED, SEAM], len(real))

# one net

def ready(x): return normalise(x, bigarts.mean, bigarts.std).to(memory_format=torch.channels_last)

def as_batch(x, masks, kinds, at):
    return Batch(ready(x[at]), torch.from_numpy((kinds[at] > 0).astype(np.int64)), torch.from_numpy(at), torch.from_numpy(masks[at]))

def trained(faces_of, held, epochs, batch, lr):
    """The tiny flavour, trained by its own loss on what `faces_of` gives for an epoch, as it was after the epoch whose loss on the faces
    `held` was least: neither the number of steps nor the epoch is chosen by anybody who is tested."""
    seed_everything(SEED)
    net = bigarts.make('full', SIDE, tiny=True).to(memory_format=torch.channels_last)
    optimizer, best = torch.optim.Adam(net.parameters(), lr), (np.inf, None)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        faces = faces_of(epoch)
        for at in np.array_split(rng('batches', SEED, epoch).permutation(len(faces[0])), len(faces[0])//batch):
            made = as_batch(*faces, at)
            optimizer.zero_grad()
            net.train().loss(net(made.images), made).backward()
            optimizer.step()
        falling.step()
        with torch.no_grad():
            made = as_batch(*held, np.arange(len(held[0])))
            loss = net.eval().loss(net(made.images), made).item()
        if loss < best[0]: best = loss, copy.deepcopy(net.state_dict())
    net.load_state_dict(best[1])
    return net

@torch.no_grad()
def maps(net, x):
    "The map of each branch as probabilities, [N,S,S]."
    drawn = [net(ready(x[i:i+40])).maps for i in range(0, len(x), 40)]
    return {name: torch.cat([d[name] for d in drawn])[:, 0].sigmoid().numpy() for name in MAPS}

def answers(seen, kinds):
    "For each branch the AUC of its own artifact against real faces, of the other one against real faces, and of its own against the other."
    out = {}
    for name, own in OWN.items():
        # the fiftieth of the picture that answers most: about a third of a seam
        strength = np.sort(seen[name].reshape(len(kinds), -1), 1)[:, -SIDE*SIDE//50:].mean(1)
        over = lambda a, b: auc((kinds[np.isin(kinds, (a, b))] == a).astype(int), strength[np.isin(kinds, (a, b))])
        other = {UPSAMPLED: SEAM, SEAM: UPSAMPLED}[own]
        out[name] = dict(own=over(own, REAL), other=over(other, REAL), apart=over(own, other))
    return out

def each_to_its_own(answer):
    """The mechanism. Of 60 against 60 faces an AUC of .5 has a deviation of .053, one of .8 of .04; so .66 is three above chance, and
    .75 nearly five."""
    return all(a['own'] >= .75 and a['other'] <= .66 and a['own']-a['other'] >= .25 and a['apart'] >= .8 for a in answer.values())

def overlap(a, b): return ((a & b).sum((1, 2))/np.maximum((a | b).sum((1, 2)), 1)).mean()

def places(seen, masks, kinds, usual):
    """For each branch, on faces of its own kind: how well the pixels of the mask lead, the share of faces in which something is called at
    one half, the IoU there, and that of one mask for all that looks at nobody; and the share of real faces in which something is called."""
    out = {}
    for c, name in enumerate(MAPS):
        its, truth = kinds == OWN[name], masks[:, c] > .5
        called, blind = seen[name] > .5, np.broadcast_to(usual[c], truth[its].shape)
        out[name] = dict(lead=auc(truth[its].ravel().astype(int), seen[name][its].ravel()), called=called[its].any((1, 2)).mean(),
                         iou=overlap(called[its], truth[its]), blind=overlap(blind, truth[its]),
                         real=called[kinds == REAL].any((1, 2)).mean())
    return out

def blind_masks(masks, kinds):
    "For each branch the mask for all faces of its kind that overlaps those of training best."
    found = []
    for c, name in enumerate(MAPS):
        truth = masks[kinds == OWN[name], c] > .5
        found.append(max((truth.mean(0) >= share for share in np.linspace(.05, .6, 12)),
                         key=lambda one, truth=truth: overlap(np.broadcast_to(one, truth.shape), truth)))
    return found

def test_each_branch_answers_to_its_own_artifact_and_says_where(tmp_path):
    store = drawn(tmp_path)
    known, chosen, new = (RealBlends(store, np.arange(*part), seed=SEED)
                          for part in ((0, TRAINED), (TRAINED, CHOSEN), (CHOSEN, PEOPLE)))
    net = trained(lambda epoch: three_kinds(known, epoch), three_kinds(chosen, 0), epochs=EPOCHS, batch=12, lr=5e-3)
    x, masks, kinds = three_kinds(new, 0)
    seen = maps(net, x)
    answer = answers(seen, kinds)
    found = places(seen, masks, kinds, blind_masks(*three_kinds(known, 0)[1:]))
    assert each_to_its_own(answer), answer
    swapped = answers(dict(zip(MAPS, (seen[name] for name in MAPS[::-1]))), kinds)
    assert not each_to_its_own(swapped), swapped # the same net with its branches exchanged does not pass
    for name, f in found.items(): # the pixels of the mask lead, and it rises above one half: in most faces of its kind, in few real ones
        assert f['lead'] >= .85 and f['called'] >= .6 and f['real'] <= .5*f['called'], (name, found)
    assert found['M_In']['iou'] >= 1.2*found['M_In']['blind'], found # one region for all faces is no match
