"""Long-distance attention answers to time: on clips whose only artefact is a trembling cut, every reading of the temporal component sees
it in people whom it has not met, its maps follow the face, and the spatial component sees nothing."""
import numpy as np
import torch
from torch.nn import functional as F
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.drawn.artefact_faces import artefact_store
from ffd_repro.forgeries.artefacts import Artefact
from ffd_repro.measures.explain import map_spread
from ffd_repro.measures.scores import auc
from ffd_repro.systems.lda import LDA, SelfAttention, SoftmaxAttention

SIDE, PEOPLE, SEED = 37, 160, 9 # the page of the system takes seeds 7 and 8 of the printed reading
ALONE = dict(spatial=dict(temporal=None), softmax=dict(spatial=None, temporal=SoftmaxAttention),
             self=dict(spatial=None, temporal=SelfAttention))

def clips():
    "Drawn people in four frames, moving as people do; in fakes the cut trembles, too, by up to three pixels. Who is tested is new."
    store = artefact_store(Artefact('jitter', 3), people=PEOPLE, after=3, side=SIDE)
    images = torch.from_numpy(np.concatenate([store.faces[:, None], store.followers], 1)).permute(0, 1, 4, 2, 3)/127.5 - 1
    return images, torch.from_numpy(store.manifest.label.to_numpy()), store.manifest.split.to_numpy() == 'test'

def judged(how, images, labels, unseen, seed=SEED, epochs=7):
    "AUC on unseen people, and how much the maps vary."
    seed_everything(seed)
    net = LDA(SIDE, tiny=True, **how)
    optimizer = torch.optim.Adam(net.train().parameters(), 1e-3)
    for epoch in range(epochs):
        for at in torch.from_numpy(rng('lda learns', seed, epoch).permutation(np.flatnonzero(~unseen))).split(16):
            optimizer.zero_grad()
            F.cross_entropy(net(images[at]).logits, labels[at]).backward()
            optimizer.step()
    with torch.inference_mode(): p = net.eval()(images[unseen])
    maps, = (m.mean(1) for kind, m in p.maps.items() if kind != 'last')
    return auc(labels[unseen].numpy(), p.fake_probability().numpy()), map_spread(maps)

def test_time_is_seen_by_what_looks_at_time():
    images, labels, unseen = clips()
    seen = {name: judged(how, images, labels, unseen) for name, how in ALONE.items()}
    # 48 people, still and trembling: an AUC of .5 deviates by .06; a reading that sees the cue is far above, one that cannot is not
    assert min(seen[name][0] for name in ('softmax', 'self')) >= .85 and seen['spatial'][0] <= .65, seen
    assert all(not spread.flat and min(spread) > .05 for _, spread in seen.values()), seen
