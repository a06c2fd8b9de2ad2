"""A training that is killed, starved or misled: it continues to the same bits, or says what is wrong and leaves the last good
checkpoint."""
import errno
import multiprocessing
import os
import resource
import signal
import time
from unittest.mock import patch
import numpy as np
import pytest
import torch
from torch import nn
from ffd_repro.base.contracts import Batch, Prediction, Recipe
from ffd_repro.base.errors import BadFile, BadSetting, DiskFull, Diverged
from ffd_repro.base.seeds import rng, seed_everything
from ffd_repro.training.checkpoints import unseal
from ffd_repro.training.loop import train

RECIPE = Recipe(epochs=4, batch=16, lr=.02, schedule='halve')   # 7 steps an epoch, 28 in all
SEEDS, STEPS = (7, 8, 9), 28


class Faces:
    "Random images, those of fakes a little brighter; `told` hears of every batch, `poison` spoils one."
    def __init__(self, n, key, told=lambda: None, poison=None):
        self.labels, self.told, self.poison = np.arange(n) % 2, told, poison
        self.images = (rng(key).random((n, 3, 12, 12)) + .06*self.labels[:, None, None, None]).astype(np.float32)

    def __len__(self): return len(self.labels)

    def batches(self, batch, seed, epoch, start=0, shuffle=True):
        order = rng('order', seed, epoch).permutation(len(self)) if shuffle else np.arange(len(self))
        for i, rows in list(enumerate(np.split(order, range(batch, len(self), batch))))[start:]:
            self.told()
            images = torch.from_numpy(self.images[rows])
            yield Batch(images*float('nan') if (epoch, i) == self.poison else images, torch.from_numpy(self.labels[rows]),
                        torch.from_numpy(rows))


class Net(nn.Module):
    "Dropout draws from the global stream, batch normalisation keeps running means."
    def __init__(self, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(.3), nn.Flatten())
        self.head = nn.Linear(25*width, 2)

    def forward(self, x): return Prediction(self.head(self.body(x)))


def run(folder=None, seed=7, every=3, net=None, recipe=RECIPE, **faces):
    "Train the net; gives the history and all weights."
    torch.set_num_threads(1)
    if net is None:
        seed_everything(seed)
        net = Net()
    history = train(net, Faces(100, 'learn', **faces), Faces(40, 'choose'), recipe, seed, folder, checkpoint_every=every, progress=False)
    return history, net.state_dict()


def child(folder, seed, every, pipe, limit=None):
    "The training in a process of its own, telling each batch; the result goes to `result.pt`."
    torch.seed()                                                # a fork shares imports, and has random states of its own
    if limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try: history, weights = run(folder, seed, every, told=lambda: pipe.send('batch'))
    except Exception as e: return pipe.send(f'{type(e).__name__}: {e}')
    torch.save(((history.steps, history.epochs), weights), folder/'result.pt')


def start(*args):
    here, there = multiprocessing.Pipe(duplex=False)
    p = multiprocessing.Process(target=child, args=(*args[:3], there, *args[3:]))
    p.start()
    there.close()
    return p, here


def heard(pipe):
    "Everything a child says until it ends."
    said = []
    try:
        while True: said.append(pipe.recv())
    except EOFError: return said


def kill_after(folder, seed, every, batches, delay):
    "Start or continue the training and `kill -9` it `delay` seconds after it asked for some batches."
    p, pipe = start(folder, seed, every)
    for _ in range(batches): pipe.recv()
    time.sleep(delay)
    os.kill(p.pid, signal.SIGKILL)
    p.join()
    assert p.exitcode == -signal.SIGKILL
    assert not (folder/'result.pt').exists()


def equal(a, b): return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope='module')
def whole():
    "The uninterrupted trainings, without any checkpoint."
    return {s: run(seed=s) for s in SEEDS}


@pytest.mark.parametrize('case', range(8))
def test_killed_twice_and_resumed_to_the_same_bits(tmp_path, whole, case):
    g = rng('kill', case)
    seed, every = SEEDS[case % 3], (1, 3, 50)[case % 3]         # 50: only the ends of epochs are kept
    moments = g.integers(1, 13, 2).tolist()
    for batches in moments: kill_after(tmp_path, seed, every, batches, float(g.uniform(0, .004)))
    last = next((tmp_path/f for f in ('last.pt', 'previous.pt') if (tmp_path/f).exists()))
    done = len(unseal(last.read_bytes(), last)['history']['steps'])
    assert done >= sum(moments) - 2*every, 'more than the steps since the last checkpoint were lost'
    p, pipe = start(tmp_path, seed, every)
    batches = heard(pipe)
    p.join()
    (steps, epochs), weights = torch.load(tmp_path/'result.pt', weights_only=True)
    history, expected = whole[seed]
    assert (steps, epochs) == (history.steps, history.epochs) and len(steps) == STEPS
    assert equal(weights, expected)
    assert batches == ['batch']*(STEPS - done), 'steps that were kept were done again'
    assert sorted(f.name for f in tmp_path.iterdir()) == ['last.pt', 'previous.pt', 'result.pt'], 'a killed process left files behind'


def dying(call, at):
    "A stand-in for `call` whose process is dead at the call number `at`; a write dies half-way."
    count = iter(range(1, 1000))
    def stand_in(*args):
        last = next(count) == at
        if args[1:] and isinstance(args[1], bytes): args[0].open('wb').write(args[1][:len(args[1])//2] if last else args[1])
        if last: os.kill(os.getpid(), signal.SIGKILL)
        return call(*args) if call else None
    return stand_in


@pytest.mark.parametrize('name, call', [('os.replace', os.replace), ('os.fsync', os.fsync), ('pathlib.Path.write_bytes', None)])
def test_killed_while_a_checkpoint_is_written(tmp_path, whole, name, call):
    "The process dies before each of the renames and flushes and inside the write: one whole checkpoint is always there."
    for at in (2, 5, 6, 7):
        pid = os.fork()
        if not pid:
            try:
                with patch(name, dying(call, at)): run(tmp_path, every=1)
            finally: os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    history, weights = run(tmp_path, every=1)
    assert history == whole[7][0] and equal(weights, whole[7][1])


def partly_trained(folder):
    "A training that fell ill in its third epoch; its checkpoint is of step 18."
    with pytest.raises(Diverged): run(folder, poison=(2, 5))
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def test_nan_loss_names_step_and_checkpoint_and_leaves_it_good(tmp_path, whole):
    with pytest.raises(Diverged) as e: run(tmp_path, poison=(2, 5))
    assert 'loss is nan at step 20 (epoch 3, batch 6)' in e.value.what
    assert str(tmp_path/'last.pt') in e.value.where and 'step 18' in e.value.where and 'recipe.lr' in e.value.fix
    state = unseal((tmp_path/'last.pt').read_bytes(), 'last.pt')
    assert len(state['history']['steps']) == 18 and all(torch.isfinite(v).all() for v in state['model'].values())
    history, weights = run(tmp_path)
    assert history == whole[7][0] and equal(weights, whole[7][1])


@pytest.mark.parametrize('keep', [0, 10, .5, .99, 'flip'])
def test_damaged_checkpoint_is_named_then_the_previous_one_serves(tmp_path, whole, keep):
    data = partly_trained(tmp_path)['last.pt']
    damaged = data[:400] + bytes([data[400] ^ 1]) + data[401:] if keep == 'flip' else data[:int(keep*len(data)) if keep < 1 else keep]
    (tmp_path/'last.pt').write_bytes(damaged)
    with pytest.raises(BadFile) as e: run(tmp_path)
    assert e.value.where == tmp_path/'last.pt' and 'delete it' in e.value.fix and 'previous.pt' in e.value.fix
    assert (tmp_path/'last.pt').read_bytes() == damaged, 'the evidence is left alone'
    (tmp_path/'last.pt').unlink()
    history, weights = run(tmp_path)
    assert history == whole[7][0] and equal(weights, whole[7][1])


@pytest.mark.parametrize('other, named', [(dict(net=Net(9)), 'shapes of the weights'),
                                          (dict(net=nn.Sequential(Net())), "net is 'Net' there and 'Sequential' here"),
                                          (dict(recipe=Recipe(4, 16, .01, schedule='halve')), 'recipe.lr is 0.02 there and 0.01 here'),
                                          (dict(seed=8), 'seed is 7 there and 8 here')])
def test_checkpoint_of_another_training_is_refused(tmp_path, other, named):
    before = partly_trained(tmp_path)
    with pytest.raises(BadSetting) as e: run(tmp_path, **other)
    assert named in e.value.what and e.value.where == tmp_path/'last.pt' and 'another folder' in e.value.fix
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before


@pytest.mark.parametrize('call', ['os.fsync', 'pathlib.Path.write_bytes'])
def test_full_disk_leaves_the_last_checkpoint(tmp_path, whole, call):
    before = partly_trained(tmp_path)
    def no_room(target, data=b''):
        if data: open(target, 'wb').write(data[:len(data)//3])
        raise OSError(errno.ENOSPC, 'No space left on device')
    with patch(call, no_room), pytest.raises(DiskFull) as e: run(tmp_path)
    assert 'no room' in e.value.what and 'free some space' in e.value.fix
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before
    assert run(tmp_path)[0] == whole[7][0]


def test_a_real_limit_on_file_size_leaves_nothing_half_written(tmp_path):
    p, pipe = start(tmp_path, 7, 3, 4096)
    said = heard(pipe)
    p.join()
    assert said[-1].startswith('DiskFull') and not list(tmp_path.iterdir())


def test_a_finished_training_is_not_repeated(tmp_path, whole):
    run(tmp_path)
    heard = []
    assert run(tmp_path, told=lambda: heard.append(1))[0] == whole[7][0]
    assert not heard
