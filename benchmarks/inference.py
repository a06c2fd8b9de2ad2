"""Faces a second of every detector at 256 pixels, one and eight at a time, beside Xception. `python benchmarks/inference.py ldfnet`"""
import io
import logging
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
import torch
from torch import nn
from ffd_repro.base.errors import MissingExtra, need
from ffd_repro.base.registry import detectors, load

class Logits(nn.Module):
    "What a trace can follow: a tensor in, a tensor out."
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, x): return self.net(x).logits

def input_of(d, faces, side):
    "Random faces, or clips where the detector looks at clips."
    after = d.after(d.settings[0])
    return torch.randn(faces, *([1 + after] if after else []), 3, side, side)

def frozen(net, x):
    "The net with its batch norms folded into the convolutions, traced and frozen; the warm-up is not counted."
    fast = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(Logits(net).eval(), x, check_trace=False)))
    fast(x), fast(x)
    return fast

def in_onnx_runtime(net, x):
    "The net as ONNX Runtime runs it: a thread for each part of the faces, or all threads for one face; raises `MissingExtra`."
    runtime, file = need('onnxruntime', extra='onnx'), io.BytesIO()
    parts = min(len(x), torch.get_num_threads())
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()//parts
    logging.disable(logging.CRITICAL)
    try: torch.onnx.export(Logits(net).eval(), (x[:len(x)//parts],), file, dynamo=True, input_names=['faces'], verbose=False)
    finally: logging.disable(logging.NOTSET)
    sessions = [runtime.InferenceSession(file.getvalue(), options, providers=['CPUExecutionProvider']) for _ in range(parts)]
    cores = ThreadPoolExecutor(parts)
    return lambda faces: list(cores.map(lambda s, part: s.run(None, dict(faces=part.numpy())), sessions, faces.chunk(parts)))

def timed(f, x):
    started = time.perf_counter()
    f(x)
    return len(x)/(time.perf_counter() - started)

@torch.no_grad()
def speeds(d, side=256, turns=5):
    "Median faces a second: (faces at a time, how) -> number."
    net, found = d.make(side=side).eval(), {}
    for faces in (1, 8):
        net = net.to(memory_format=torch.contiguous_format)
        x, ways = input_of(d, faces, side), {'as it is': Logits(net)}
        if x.ndim == 4: ways['channels last'] = Logits(net.to(memory_format=torch.channels_last))
        for how, f in ways.items():
            batch = x.to(memory_format=torch.channels_last) if how == 'channels last' else x
            found[faces, how] = statistics.median([timed(f, batch) for _ in range(turns + 1)][1:])
        net = net.to(memory_format=torch.contiguous_format)
        for how, made in (('frozen', frozen), ('ONNX Runtime', in_onnx_runtime)):
            try: fast = made(net, x)
            except (RuntimeError, MissingExtra, torch.onnx.OnnxExporterError): continue # a layer that it does not know, or it is not there
            found[faces, how] = statistics.median([timed(fast, x) for _ in range(turns + 1)][1:])
    return found

def main(*names):
    torch.set_num_threads(2)
    load('systems', 'baselines')
    print('faces a second on two threads at 256 pixels, and the ratio to Xception read in the same way')
    other = speeds(detectors['xception'])
    for name in names or detectors:
        found = other if name == 'xception' else speeds(detectors[name])
        cells = '   '.join(f'{n} {how} {v:.1f} ({v/other.get((n, how), float("nan")):.2f})' for (n, how), v in found.items())
        print(f'{name:16s} {cells}', flush=True)

if __name__ == '__main__': main(*sys.argv[1:])
