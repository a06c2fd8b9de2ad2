"""Commands where nothing is as at home: another locale, clock, umask and number of threads, no home folder, a path with spaces and letters
of all kinds, a full disk, results that may not be written. The same bytes come out, or a word for people.

This file is also what starts them: a process of its own, whose forks they are: `python tests/test_surroundings.py JOBS TOLD`.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
import cv2
import pytest
from ffd_repro.base.paths import TEMPORARY
from ffd_repro.base.warm import ADDRESS, HEAVY, PYTHON, warm

ROOT = Path(__file__).resolve().parent.parent
MAIN = 'import sys; from ffd_repro.base.console import main; sys.argv = sys.argv[1:]; sys.exit(main())'
PAGE = 'lda/table-9'
FIRST = f'from ffd_repro.pages.batch import remember; remember("smoke", "{PAGE}")' # imports all that registers itself
SPENT = ('wall_s', 'cpu_s', 'peak_mb') # of a record: what a run took
ODD = dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0', PYTHONIOENCODING='ascii', TZ='Pacific/Auckland', OMP_NUM_THREADS='2')
HOMES = ('HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'MPLCONFIGDIR', 'IPYTHONDIR', 'JUPYTER_CONFIG_DIR')

def work(jobs, told):
    "Do some jobs one after the other, each a fork of a warm process, and write down how each ended."
    os.umask(int(os.environ.get('UMASK', '022'), 8))
    made = []
    with warm(*HEAVY, 'ffd_repro.runs.runs', 'ffd_repro.drawn.standins', 'ffd_repro.detect.reports', 'ffd_repro.faces.doctor',
              'ffd_repro.measures.score_files', first=FIRST):
        for job in json.loads(Path(jobs).read_text('utf-8')):
            words = [os.fsdecode(w.encode()) for w in job['words']]
            most = job.get('most') # bytes of a file
            code = f'import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); {MAIN}' if most else MAIN
            command = words if job.get('shell') else [*PYTHON, '-c', code, *words]
            env = os.environ | job.get('env', {})
            done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, env=env)
            made.append(dict(job, status=done.returncode, said=(done.stdout + done.stderr).decode(errors='replace')))
    Path(told).write_text(json.dumps(made), 'utf-8')

def done_in(place, jobs, start=(), gone=(), **env):
    "How jobs end that a process of its own does with its cache and results in `place`."
    asked, told = (place.parent.parent/f'{place.parent.name}.{name}.json' for name in ('asked', 'told'))
    asked.write_text(json.dumps([j if isinstance(j, dict) else dict(words=list(map(str, j))) for j in jobs]), 'utf-8')
    places = {ADDRESS: ''} | dict(FFD_CACHE=str(place/'cache'), FFD_RESULTS=str(place/'results'), PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    ours = {k: v for k, v in os.environ.items() if k not in ('FFD_DATA', 'LANG', 'LC_CTYPE', *gone)} | places | env
    words = [*start, sys.executable, __file__, asked, told]
    done = subprocess.run(words, cwd=ROOT, env=ours, capture_output=True, text=True, errors='replace', timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(told.read_text('utf-8'))

if __name__ == '__main__': work(*sys.argv[1:])

from ffd_repro.base.registry import detectors, load  # noqa: E402
from ffd_repro.base.seeds import seed_everything  # noqa: E402
from ffd_repro.corpora.videos import write_video  # noqa: E402
from ffd_repro.detect.pretrained import save_pretrained  # noqa: E402
from ffd_repro.faces.detection import drawn_face  # noqa: E402

@pytest.fixture(scope='module')
def given(tmp_path_factory):
    "What the commands are given: a net, a photo and a clip, scores, and a corpus."
    home = tmp_path_factory.mktemp('given')
    load('systems', 'baselines')
    seed_everything(7)
    save_pretrained(detectors['meso_inception4'].make(side=32, tiny=True), home/'net', 'meso_inception4', side=32, tiny=True, run='none')
    for n in range(2):
        for side, mouth in (('real', .1), ('fake', .2)):
            write_video(home/'clips'/side/f'{n}.mp4', [drawn_face(80 + 2*i, mouth=mouth, seed=i + 9*n) for i in range(6)])
    cv2.imwrite(str(home/'clips'/'real'/'a photo.png'), drawn_face(seed=5)[..., ::-1])
    scores = ''.join(f'é{i},{i%2},{i*37%100/100}\n' for i in range(40))
    (home/'scores.csv').write_text(f'video,label,score\n{scores}', 'utf-8')
    return home

def commands(given, place, workers=0):
    "Every kind of command, as far as it can be compared."
    return [('ffd_corpus', 'UADFV', '--workers', workers), ('ffd_train', 'meso_inception4', '--train', 'HFF'),
            ('ffd_score', given/'scores.csv', '--json', place/'score.json'),
            ('ffd_extract', 'folder', '--root', given/'clips', '--out', place/'store', '--workers', workers),
            ('ffd_doctor', given/'clips', '--json', place/'doctor.json', '--clips', 0),
            ('ffd_detect', given/'clips', '--weights', given/'net', '--out', place/'answers', '--frames', 2, '--quiet'),
            ('ffd_page', PAGE, '--no_train')]

def content(path):
    "The bytes of a file, of a record without what the run took."
    data = path.read_bytes()
    if path.parent.name == 'runs' and path.suffix == '.json': return {k: v for k, v in json.loads(data).items() if k not in SPENT}
    return data

def left_in(place):
    "Every file that commands left; a store in the cache is called by where its corpus lies, and says so."
    named = lambda p: re.sub(r'(/faces/smoke/[^/]*)-[0-9a-f]{8}', r'\1', p.relative_to(place.parent).as_posix().partition('/')[2])
    return {named(p): content(p) for p in sorted(place.rglob('*')) if p.is_file() and p.suffix != '.lock'
            and p.name not in ('lock', 'asked.json')}

def shell(text): return dict(words=['sh', '-c', text], shell=True)

def went_wrong(jobs): return [(j['words'], j['said'][-800:]) for j in jobs if j['status'] or 'Traceback' in j['said']]

def small(given, place): return commands(given, place)[2:6]

def small_in(place): return {k: v for k, v in left_in(place).items() if not k.startswith(('cache/', 'results/'))}

MOST = (1, 20_000, 400, 400) # bytes of a file, for each of the small commands

def own_disk(disk):
    "What starts a process that has a disk of its own in a folder, for which no rights are needed; () where the system forbids it."
    disk.mkdir(parents=True)
    own = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', f'mount -t tmpfs -o size=9m none "{disk}" && exec "$@"', 'sh')
    return own if shutil.which('unshare') and not subprocess.run([*own, 'true'], capture_output=True).returncode else ()

def on_a_disk(given, disk):
    "The disk is filled, cleared, and then may only be read."
    place, train, full = disk/'work', ('ffd_train', 'meso_inception4', '--train', 'HFF'), disk/'fill'
    there = [('ffd_corpus', 'UADFV'), train, ('ffd_page', PAGE), ('ffd_reproduce', '--targets', PAGE), *small(given, disk/'elsewhere')]
    places = dict(FFD_CACHE=str(place/'cache'), FFD_RESULTS=str(place/'results'))
    jobs = [shell(f'cat /dev/zero > "{full}"; true'), *small(given, place), train,
            shell(f'rm "{full}"; find "{disk}" -name "*{TEMPORARY}*"'), *small(given, place),
            shell(f'cp -r "{place}" "{disk}.out"'), shell(f'mount -o remount,ro "{disk}"'), *there]
    return [dict(j if isinstance(j, dict) else dict(words=list(map(str, j))), env=places) for j in jobs]

@pytest.fixture(scope='module')
def plain(given, tmp_path_factory):
    "A place as at home, one where files may not grow, then may, and a disk of its own: where they are, and how commands ended there."
    place = tmp_path_factory.mktemp('plain')/'work'
    starved, disk = place.with_name('starved'), place.with_name('disk')
    first = [dict(words=list(map(str, words)), most=most) for words, most in zip(small(given, starved), MOST)]
    kept = shell(f'cp -r "{starved}" "{starved}.before" 2>/dev/null || true')
    usual, hungry, own = commands(given, place), [*first, kept, *small(given, starved)], own_disk(disk)
    jobs = done_in(place, [*usual, *hungry, *(on_a_disk(given, disk) if own else ())], own)
    assert not went_wrong(jobs[:len(usual)])
    jobs = jobs[len(usual):]
    return dict(home=place, starved=starved, disk=disk, first=jobs[:4], again=jobs[5:9], on_disk=jobs[9:])

def test_the_same_bytes_wherever_it_is_done(given, plain, tmp_path):
    "All that is odd at once, two threads and two workers instead of one and none among it."
    place, odd = plain['home'], tmp_path/'wörk & "plâce" 顔'
    jobs = done_in(odd, commands(given, odd, 2), gone=HOMES, UMASK='077', **ODD)
    assert not went_wrong(jobs)
    here, there = left_in(place), left_in(odd)
    assert len(here) > 60 and here.keys() == there.keys()
    assert [n for n in here if here[n] != there[n] and Path(n).name != 'doctor.json'] == []
    assert not list(tmp_path.rglob(f'*{TEMPORARY}*'))
    assert {oct(p.stat().st_mode & 0o077) for p in odd.rglob('*')} == {'0o0'}, 'others may read what a umask keeps from them'

def in_words(job, says):
    "Whether a command ended with a word for people that names a file and what to do."
    said = job['said']
    return job['status'] in (1, 2) and 'Traceback' not in said and says in said and 'where: /' in said and 'fix: ' in said

def test_files_that_may_not_grow_leave_nothing_half_written(plain):
    "The limit of a file's size, which everybody may set, stands for a full disk; then the same commands give the same bytes."
    assert [in_words(j, 'no room left') for j in plain['first']] == [True]*4, plain['first']
    before, whole = plain['starved'].with_name('starved.before'), small_in(plain['home'])
    left = small_in(before) if before.exists() else {}
    assert all(name.startswith('.store.') or whole[name] == data for name, data in left.items()) and not [p for p in left if TEMPORARY in p]
    assert not any(j['status'] for j in plain['again']) and small_in(plain['starved']) == whole

def test_a_full_disk_and_then_one_that_may_only_be_read(plain):
    if not plain['on_disk']: pytest.skip('this user may not have a disk of its own (unshare --user --mount)')
    full, left, again, copied, there = (plain['on_disk'][a:b] for a, b in ((1, 6), (6, 7), (7, 11), (11, 12), (13, None)))
    assert [in_words(j, 'no room left') for j in full] == [True]*5, full
    assert not left[0]['status'] and not left[0]['said'].strip(), 'something half-written stayed behind'
    assert not any(j['status'] for j in (*again, *copied)) and small_in(plain['disk'].with_name('disk.out')) == small_in(plain['home'])
    assert [in_words(j, 'Read-only') for j in there] == [True]*8, there
