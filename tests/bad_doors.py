"""Everything that opens what it is given, asked to open what nobody should be given: one process walks many pairs and tells of each."""
import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
import numpy as np
from ffd_repro.base.errors import FFDError
from ffd_repro.base.registry import load

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bad_inputs import INPUTS, LIKE, LINES, MARKS, OPEN, clip, everything, good_ones, picture, saved  # noqa: E402

SECONDS, WAIT, BYTES = 10, 30, 3 << 30 # of the processor; of the clock; beyond what the process begins with
RUNS = ('subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.fork', 'pickle.find_class', 'socket.connect',
        'socket.bind')
WRITES = {'open': 0, 'os.remove': 0, 'os.rename': 1, 'os.mkdir': 0, 'os.rmdir': 0, 'os.symlink': 1, 'os.link': 1, 'os.truncate': 0,
          'shutil.rmtree': 0,
          'os.chmod': 0, 'os.mkfifo': 0}

class Door(NamedTuple):
    "Something that opens files."
    kinds:tuple    # of inputs
    file:str       # what the input is called
    call:Callable  # of its path and of a folder for what comes out
    before:Callable # what has to lie beside it, made before: of the folder
    takes:tuple    # inputs that mean nothing bad here

DOORS = {}

def door(kinds, file, before=lambda folder: None, takes=()):
    def put(function):
        DOORS[function.__name__] = Door(tuple(kinds.split()), file, function, before, takes)
        return function
    return put

def films(*names):
    "A function that puts a clip under each of some names."
    def put(folder):
        for n in names:
            (folder/n).parent.mkdir(parents=True, exist_ok=True)
            (folder/n).write_bytes(clip())
    return put

class Slow(BaseException): pass
class Counted(Exception): "What was given is among what was left out."

class Watch:
    "What is run, and what is written outside of some folders, while `on`."
    def __init__(self): self.on, self.inside, self.seen = False, (), []
    def __call__(self, event, args):
        if not self.on: return
        if event in RUNS: self.seen.append(f'{event} {str(args)[:100]}')
        if event not in WRITES: return
        if event == 'open' and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC): return
        path = args[WRITES[event]]
        if not isinstance(path, (str, bytes, os.PathLike)): return
        at = args[1] if event in ('os.remove', 'os.rmdir') and args[1] != -1 else None # an open folder
        path = os.path.abspath(os.path.join(os.readlink(f'/proc/self/fd/{at}') if at is not None else '', os.fsdecode(path)))
        if not path.startswith(self.inside) and path != '/dev/null': self.seen.append(f'{event} {path}')

def tree(folder):
    return {p: (s.st_size, s.st_mtime_ns) if not os.path.isdir(p) else None for at, ds, fs in os.walk(folder) for n in ds + fs
            if (s := os.lstat(p := os.path.join(at, n)))}

def differs(a, b): return [p for p in sorted({*a, *b}) if p not in a or p not in b or a[p] != b[p]]

def late(*_): raise Slow

def one(case, make, door, watch):
    "Make an input in a fresh folder, open it, and say what came of it."
    for d in ('in', 'out', 'beside'): (case/d).mkdir(parents=True)
    (case/'beside'/'canary').write_bytes(picture())
    os.chdir(case/'beside')
    path = case/'in'/door.file
    path.parent.mkdir(parents=True, exist_ok=True)
    door.before(case/'in')
    make(path)
    before, out, err = {d: tree(case/d) for d in ('in', 'beside')}, io.StringIO(), io.StringIO()
    watch.inside, watch.seen = (str(case/'out'), os.environ['FFD_CACHE'], os.environ['FFD_RESULTS'], os.environ['TMPDIR'],
                                str(case/'in'/'things')), []
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    began, watch.on = time.process_time(), True
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err): found = 'read', str(door.call(path, case/'out'))[:300]
    except FFDError as e: found = 'refused', str(e)[:400]
    except Counted as e: found = 'counted', str(e)[:400]
    except SystemExit as e: found = 'left', str(e.code)
    except Slow: found = 'broke', 'took too long'
    except BaseException as e: found = 'broke', ''.join(traceback.format_exception(e)[-3:])[-700:]
    finally:
        watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(n, signal.SIG_DFL)
    said = out.getvalue() + err.getvalue()
    changed = [p for d in before for p in differs(before[d], tree(case/d)) if '/in/things' not in p]
    facts = dict(how=found[0], what=found[1], said=said[-1500:], seconds=round(time.process_time() - began, 2), changed=changed,
                 seen=watch.seen[:5])
    shutil.rmtree(case, ignore_errors=True)
    return facts

@door('image', 'x.png')
def read_image(path, out):
    from ffd_repro.corpora.images import read_image
    return read_image(path).shape

@door('image', 'x.png')
def find_faces(path, out):
    from ffd_repro.faces.tracking import EVERY, FACE_DETECTORS
    return FACE_DETECTORS['opencv'].track(path.parent, path.name, [0], EVERY)

@door('image', 'real/0.png')
def frames_of_a_folder(path, out):
    from ffd_repro.corpora.frames import frames_of
    return [f.shape for _, f in frames_of(path.parent)]

@door('video', 'x.mp4')
def read_video(path, out):
    from ffd_repro.corpora.videos import read_frames, video_info
    return video_info(path), sum(1 for _ in read_frames(path))

@door('archive', 'x.tar')
def read_archive(path, out):
    from ffd_repro.corpora.frames import frames_of, tar_folders
    found = tar_folders(path)
    for folder in found: [f.shape for _, f in frames_of(path/folder)]
    if not found: raise Counted('no frames')
    return found

def corpus(name, root):
    from ffd_repro.corpora.reading import read_corpus
    return len(read_corpus(name, root))

def empty_lists(folder):
    for part in ('val', 'test'): (folder/f'{part}.json').write_text('[]')

@door('json', 'train.json', empty_lists, ('half a surrogate',))
def read_official_lists(path, out):
    from ffd_repro.corpora.splits import read_lists
    return read_lists(path.parent)

@door('json', 'dfdc_train_part_0/metadata.json', films('dfdc_train_part_0/0.mp4'))
def read_dfdc(path, out): return corpus('DFDC', path.parent.parent)

@door('json', 'dataset.json', films('original_videos/0.mp4', 'method_A/0_1.mp4'))
def read_dfdc_preview(path, out): return corpus('DFDC-P', path.parent)

@door('json', 'FaceForensics++.json', films('FF-real/0.mp4'))
def read_benchmark(path, out): return corpus('FF++', path.parent)

@door('table', 'dfdc_train_part_0/labels.csv', films('dfdc_train_part_0/0.mp4'))
def read_dfdc_labels(path, out): return corpus('DFDC', path.parent.parent)

@door('table', 'manifest.csv')
def read_manifest(path, out): return corpus('manifest', path.parent)

@door('table', 'pairs.csv')
def read_pairs(path, out): return corpus('pairs', path.parent)

@door('table', 'manifest.csv')
def read_photographs(path, out):
    from ffd_repro.corpora.lfw import photographs
    return photographs(path.parent).to_dict()

@door('table', 'List_of_testing_videos.txt', films('Celeb-real/id0_0000.mp4', 'Celeb-synthesis/id0_id1_0000.mp4'), ('nothing there',))
def read_celeb_list(path, out): return corpus('Celeb-DF', path.parent)

NAMES = ('names of 5000 letters', 'files outside', 'line ends of 1984') # a name that is only a name

@door('table predictions', 'x.csv', takes=NAMES)
def score(path, out):
    from ffd_repro.measures.score_files import score_file
    return score_file(path)['coverage']

@door('table', 'truth.csv', lambda f: (f/'x.csv').write_text('video,label,score\na,1,.5\nb,0,.4\n'), NAMES)
def score_by_a_list(path, out):
    from ffd_repro.measures.score_files import score_file
    return score_file(path.parent/'x.csv', path)['coverage']

@door('compressed', 'x.csv.gz')
def score_compressed(path, out):
    from ffd_repro.measures.score_files import score_file
    return score_file(path)['coverage']

@door('parquet', 'x.parquet')
def score_parquet(path, out):
    from ffd_repro.measures.score_files import score_file
    return score_file(path)['coverage']

@lru_cache
def a_net():
    "A folder of weights as `save_pretrained` writes it."
    from ffd_repro.base.registry import detectors, load
    from ffd_repro.detect.pretrained import save_pretrained
    load('baselines')
    folder = Path(os.environ['TMPDIR'])/'net'
    save_pretrained(detectors['meso_inception4'].make(side=32, tiny=True), folder, 'meso_inception4', side=32, tiny=True,
                    calibration=dict(frames=4, video=MARKS, frame=MARKS), likeness=dict(video=LIKE, frame=LIKE))
    return {p.name: p.read_bytes() for p in folder.iterdir()}

def net_without(name):
    def put(folder):
        for n, data in a_net().items():
            if n != name: (folder/n).write_bytes(data)
    return put

@door('weights', 'model.safetensors', net_without('model.safetensors'))
def load_weights(path, out):
    from ffd_repro.detect.pretrained import from_pretrained
    return from_pretrained(path.parent).facts

def facts_before(folder):
    for n, data in a_net().items(): (folder/n).write_bytes(data)

@door('facts', 'config.json', facts_before)
def load_facts(path, out):
    from ffd_repro.detect.answers import answer_for
    from ffd_repro.detect.pretrained import from_pretrained
    (path.parent.parent/'out'/'x.png').write_bytes(picture())
    return answer_for(path.parent.parent/'out'/'x.png', from_pretrained(path.parent), finder='whole').facts['verdict']

@door('checkpoint', 'last.pt')
def load_checkpoint(path, out):
    from ffd_repro.training.checkpoints import load_checkpoint
    return load_checkpoint(path.parent, {})

def a_store(folder):
    np.save(folder/'faces.npy', np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3))
    row = dict(corpus='x', quality='', label=0, method='real', video='a', target='a', source='a', pair='', split='test', frame=0, x0=0,
               y0=0, x1=8, y1=8,
               detector='whole')
    (folder/'manifest.csv').write_text(','.join(row) + '\n' + ','.join(map(str, row.values())) + '\n')
    (folder/'meta.json').write_text(json.dumps(dict(corpus='x', data='real', faces=1, side=8, margin=1.3)))

def store_without(name):
    def put(folder):
        a_store(folder)
        (folder/name).unlink()
    return put

def opened(folder):
    from ffd_repro.faces.loading import FaceSet, FaceStore
    store = FaceStore(folder)
    return FaceSet(store, range(len(store))).__len__()

def examined(folder, **asked):
    from ffd_repro.faces.doctor import examine, report_text
    report = examine(folder, clips=asked.pop('clips', 0), **asked)
    text = report_text(report)
    if 'This check broke' in text: raise AssertionError(text)
    if report['exit']: raise Counted(text)
    return text

@door('array', 'faces.npy', store_without('faces.npy'))
def open_store(path, out): return opened(path.parent)

@door('array', 'faces.npy', store_without('faces.npy'))
def examine_store(path, out): return examined(path.parent)

@door('json', 'meta.json', store_without('meta.json'))
def examine_store_by_note(path, out): return examined(path.parent)

@door('table', 'manifest.csv', store_without('manifest.csv'))
def examine_store_by_table(path, out): return examined(path.parent)

@door('table', 'List_of_testing_videos.txt', films('Celeb-real/id0_0000.mp4', 'Celeb-synthesis/id0_id1_0000.mp4'), ('nothing there',))
def examine_celeb(path, out): return examined(path.parent, corpus='Celeb-DF')

@door('json', 'boxes/real/0.json', films('real/0.mp4', 'fake/0.mp4'), ('half a surrogate',))
def examine_boxes(path, out):
    text = examined(path.parent.parent.parent, corpus='folder')
    if 'boxes are missing or cannot be read' in text: raise Counted(text)
    return text

@door('json', 'boxes/real/0.json', films('real/0.mp4'))
def crop_by_boxes(path, out):
    from ffd_repro.faces.tracking import find_track
    return find_track('sidecar', path.parent.parent.parent, 'real/0.mp4', [0, 1])

PLACEHOLDERS = dict(IN='in/all', FILE='in/things/file', FOLDER='in/things/folder', PIPE='in/things/pipe', LOOP='in/things/loop',
                    SCORES='in/things/scores.csv')

def said_by(words, home):
    "The words of a command line with the paths that they stand for."
    for name, path in PLACEHOLDERS.items(): words = [str(home/path) + w.removeprefix(name) if w.split('/')[0] == name else w for w in words]
    return ['' if w == 'EMPTY' else w for w in words]

@door('line', 'all')
def answer(path, out):
    from ffd_repro.base.console import main
    sys.argv = said_by(answer.words, path.parent.parent)
    if sys.argv[0] in ('ffd_extract', 'ffd_photographs', 'ffd_corpus', 'ffd_detect',
                       'ffd_export') and '--out' not in sys.argv: sys.argv += ['--out', str(out/'out')]
    return main()

def pairs(names=None):
    return [(name, kind, what) for name, d in DOORS.items() for kind in d.kinds for what in INPUTS[kind] if not names or name in names]

def walk(home, chosen):
    "Tell of every pair, a line each before and after."
    clip(), picture(), a_net()
    tempfile.tempdir = None
    load('systems', 'baselines', 'claims')
    for name in ('base.console', 'pages.pages', 'pages.batch', 'pages.report', 'detect.exporting', 'detect.reports', 'runs.runs',
                 'drawn.standins', 'drawn.photo_corpus',
                 'training.checks', 'faces.doctor', 'pages.cli'): importlib.import_module(f'ffd_repro.{name}')
    for name in ('nbformat', 'papermill', 'jupyter_client.manager', 'pyarrow.parquet', 'sklearn.datasets'): importlib.import_module(name)
    import ffd_repro.corpora.official  # noqa: F401
    import ffd_repro.detect.answers  # noqa: F401
    import ffd_repro.faces.doctor  # noqa: F401
    import ffd_repro.measures.score_files  # noqa: F401
    vm = int(Path('/proc/self/statm').read_text().split()[0])*resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (vm + BYTES,)*2)
    watch = Watch()
    sys.addaudithook(watch)
    tell = os.fdopen(os.dup(1), 'w', buffering=1)
    for n, (name, kind, what) in enumerate(chosen):
        if (name, what) in OPEN: continue
        print(json.dumps(dict(begins=[name, kind, what])), file=tell)
        asked, door = INPUTS[kind][what], DOORS[name]
        if kind == 'line': door.call.words = what.split(' ')
        found = one(home/str(n), asked.make, door, watch)
        says = dict(says=LINES[what]) if kind == 'line' else {}
        print(json.dumps(dict(door=name, input=what, whole=asked.whole or what in door.takes) | found | says), file=tell)

def folder_read(home):
    "Extraction, doctor and detection of a folder of everything, and of its good ones alone: status and words of each."
    from ffd_repro.base.console import main
    good_ones(home/'good')
    bad, strip = everything(home/'all'), home/'all'/'real'/'strip.png'
    strip.write_bytes(saved('L', (60000, 1), format='PNG'))
    (home/'net').mkdir()
    for name, data in a_net().items(): (home/'net'/name).write_bytes(data)
    before, watch, told = tree(home/'all'), Watch(), []
    watch.inside = tuple(str(home/d) for d in ('out', 'FFD_CACHE', 'FFD_RESULTS', 'TMPDIR'))
    importlib.import_module('matplotlib.pyplot') # which looks for fonts
    sys.addaudithook(watch)
    signal.signal(signal.SIGALRM, late)
    def ask(*words):
        out, err, sys.argv = io.StringIO(), io.StringIO(), list(map(str, words))
        signal.alarm(6*WAIT)
        watch.on = True
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err): status = main() or 0
        except SystemExit as e: status, _ = (e.code, 0) if isinstance(e.code, int) else (1, err.write(str(e.code)))
        except BaseException as e: status, _ = 'broke', err.write(''.join(traceback.format_exception(e)))
        finally:
            watch.on = False
            signal.alarm(0)
        told.append(dict(words=list(map(str, words)), status=status, said=out.getvalue() + err.getvalue()))
    for name in ('good', 'all'):
        ask('ffd_extract', 'folder', '--root', home/name, '--out', home/'out'/name/'store', '--workers', 1, '--missing', 'skip')
    ask('ffd_extract', 'folder', '--root', home/'all', '--out', home/'out'/'strict', '--workers', 1)
    ask('ffd_doctor', home/'all', '--json', home/'out'/'all'/'doctor.json', '--clips', 0, '--deep')
    for name in ('good', 'all'):
        ask('ffd_detect', home/name, '--weights', home/'net', '--out', home/'out'/name/'answers', '--frames', 2, '--quiet')
    changed = differs(before, tree(home/'all'))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024
    (home/'told.json').write_text(json.dumps(dict(told=told, bad=sorted(bad), changed=changed, seen=watch.seen, peak=peak)))

if __name__ == '__main__':
    home = Path(sys.argv[1])
    for name in ('FFD_CACHE', 'FFD_RESULTS', 'TMPDIR'):
        os.environ[name] = str(home/name)
        (home/name).mkdir(parents=True, exist_ok=True)
    folder_read(home) if sys.argv[2:] == ['everything'] else walk(home, pairs(sys.argv[2:]))
    os._exit(0) # no library has the last word
