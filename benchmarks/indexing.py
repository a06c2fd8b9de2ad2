"""Reading a corpus of 100,000 files: seconds and memory, on the official trees. `python benchmarks/indexing.py`"""
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from ffd_repro.corpora.reading import read_corpus

def touch(folder, names):
    folder.mkdir(parents=True)
    for name in names: (folder/name).touch()

def faceforensics(root, files):
    "Originals, five manipulations and four mask sets in three qualities."
    n = files//(3*6 + 4)
    ids = [f'{i:05}' for i in range(n)]
    fakes = [f'{a}_{b}.mp4' for a, b in zip(ids, ids[1:] + ids[:1])]
    for q in ('raw', 'c23', 'c40'):
        touch(root/'original_sequences/youtube'/q/'videos', [f'{i}.mp4' for i in ids])
        for m in ('Deepfakes', 'Face2Face', 'FaceSwap', 'NeuralTextures', 'FaceShifter'):
            touch(root/'manipulated_sequences'/m/q/'videos', fakes)
    for m in ('Deepfakes', 'Face2Face', 'FaceSwap', 'NeuralTextures'): touch(root/'manipulated_sequences'/m/'masks/videos', fakes)

def dfdc(root, files):
    "Fifty folders, each with its metadata."
    n = files//50
    for part in range(50):
        names = [f'{part:02}{i:06}.mp4' for i in range(n)]
        touch(root/f'dfdc_train_part_{part}', names)
        facts = {v: dict(label='REAL', split='train') if i%5 == 0 else dict(label='FAKE', split='train', original=names[i//5*5])
                 for i, v in enumerate(names)}
        (root/f'dfdc_train_part_{part}/metadata.json').write_text(json.dumps(facts))

def hff(root, files):
    "Images, deep down."
    for split, side in ((s, c) for s in ('train', 'test') for c in ('real/CelebA', 'fake/StarGAN')):
        touch(root/split/side, [f'{i:06}.png' for i in range(files//4)])

def memory():
    "Most memory used so far, MB."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(1024 if sys.platform != 'darwin' else 1024**2)

def main(files=100_000):
    print(f'{"corpus":8s} {"files":>8s} {"videos":>8s} {"seconds":>8s} {"MB":>6s}   (start: {memory():.0f} MB)')
    for name, make in {'FF++': faceforensics, 'DFDC': dfdc, 'HFF': hff}.items():
        with tempfile.TemporaryDirectory() as tmp:
            make(Path(tmp), files)
            began = time.perf_counter()
            videos = read_corpus(name, tmp)
            print(f'{name:8s} {sum(1 for p in Path(tmp).rglob("*") if p.is_file()):8d} {len(videos):8d} {time.perf_counter()-began:8.1f} '
                  f'{memory():6.0f}')

if __name__ == '__main__': main()
