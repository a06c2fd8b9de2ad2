"""The gate: `make test`. Package regenerated, notebooks run, pages made in smoke, whole-program tests. Ends with `N passed, N failed`.

gate.py                  everything
gate.py notebooks pages  some of its steps: package, notebooks, pages, programs, results
gate.py quick            the package, and the notebooks and programs that rest on what has changed since `origin`
gate.py x.ipynb          one notebook in this process; with --keep its outputs are kept
"""
import difflib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ['PYTHONPATH'] = str(ROOT)
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['PYTHONWARNINGS'] = 'ignore'
from ffd_repro.base.warm import HEAVY, PYTHON, warm  # noqa: E402 -- found on the path above

BIN = Path(sys.executable).parent
TESTERS = ('execnb.shell', 'nbdev.export', 'pytest')
SHOWN = ('index.ipynb', '99_checks/') # notebooks whose kept outputs have to be what they give now
LONGEST = ('mechanisms/test_bigarts.py', 'mechanisms/test_lda.py', 'test_standins.py', 'test_photographs.py', 'test_judge.py') # begun early

class Tally:
    "Counts what passed, and says so as it happens."
    def __init__(self): self.passed, self.failed, self.skipped, self.started = 0, [], 0, time.time()

    def add(self, name, problem=''):
        if problem: self.failed.append(name)
        else: self.passed += 1
        print(f'{"FAIL" if problem else "ok  "} {name}' + (f'\n{problem}' if problem else ''), flush=True)

def git(*words):
    done = subprocess.run(['git', *words], cwd=ROOT, capture_output=True, text=True)
    return [f for f in done.stdout.splitlines() if (ROOT/f).is_file()]

def python(*words, **more):
    "A command by a fork of this process: passed, seconds, what it printed."
    started = time.time()
    streams = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    done = subprocess.run([*PYTHON, *map(str, words)], cwd=ROOT, text=True, errors='replace', **streams, **more)
    return done.returncode == 0, time.time() - started, done.stdout

def in_order(paths):
    "Some short ones, so that something is said soon; the longest, so that both cores end together; and the others."
    long = [p for name in LONGEST for p in paths if p.as_posix().endswith(name)]
    short = [p for p in paths if p not in long]
    return [*short[:8], *long, *short[8:]]

def two_at_a_time(commands):
    "The same for several, by name, as they end."
    with ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(python, *words): name for name, words in commands.items()}
        for job in as_completed(jobs): yield jobs[job], *job.result()

def regenerate(tally):
    "Empty the package, export it from the notebooks, clean the notebooks: nothing may differ."
    tracked = git('ls-files', '-co', '--exclude-standard')
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp)/'copy'
        for f in tracked:
            (copy/f).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT/f, copy/f)
        for module in (copy/'ffd_repro').rglob('*.py'): module.unlink()
        for command in ('nbdev_export', 'nbdev_clean'):
            done = subprocess.run([BIN/command], cwd=copy, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(copy)})
            if done.returncode: return tally.add(f'{command} on an empty package', done.stdout[-1500:] + done.stderr[-1500:])
        files = (p for d in ('ffd_repro', 'nbs') for p in (copy/d).rglob('*') if p.is_file() and '__pycache__' not in p.parts)
        there = {str(p.relative_to(copy)) for p in files}
        here = {f for f in tracked if f.startswith(('ffd_repro/', 'nbs/'))}
        differ = sorted(here ^ there) + sorted(f for f in here & there if (ROOT/f).read_bytes() != (copy/f).read_bytes())
        tally.add('the package is what the notebooks export', differ and '   differs: ' + ', '.join(differ[:12]) + '\n   fix: make export')

def readme(tally):
    ok, _, text = python(BIN/'ffd_report', '--profile', 'small', '--check')
    tally.add('README, comparison and report are what the results give', '' if ok else text[-1500:])

def single(tally):
    "The two steps that are one process each, beside each other."
    with ThreadPoolExecutor(2) as pool: list(pool.map(lambda step: step(tally), (regenerate, readme)))

def all_notebooks(): return sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if not {'templates', '.ipynb_checkpoints'} & set(p.parts))

def notebooks(tally, paths=None):
    "Every notebook from top to bottom."
    commands = {str(p.relative_to(ROOT)): (__file__, p) for p in in_order(paths or all_notebooks())}
    for name, ok, seconds, text in two_at_a_time(commands): tally.add(f'{name} ({seconds:.0f} s)', '' if ok else text[-4000:])

def said(nb):
    "What the cells of a notebook print and show, as lines of text; pictures and warnings aside."
    outputs = [o for c in nb.cells if c.cell_type == 'code' for o in c.get('outputs', []) if o.get('name') != 'stderr']
    return '\n'.join(''.join(o.get('text') or o.get('data', {}).get('text/plain', '')) for o in outputs).splitlines()

def light(output):
    "An output whose picture is as large as it is shown, with 256 colours."
    from PIL import Image
    from ffd_repro.base.plots import for_page
    if picture := output.get('data', {}).get('image/png'):
        image = Image.open(io.BytesIO(b64decode(''.join(picture))))
        size = output.get('metadata', {}).get('image/png', {})
        if 'width' in size: image = image.resize((size['width'], size['height']), Image.Resampling.LANCZOS)
        image.save(whole := io.BytesIO(), 'png')
        output['data']['image/png'] = b64encode(for_page(whole.getvalue())).decode()
    return output

def notebook(path, keep=False):
    "Run a notebook in this process; one that is shown must say what its kept outputs say."
    import pandas
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell
    os.environ['IN_TEST'] = '1'
    pandas.set_option('display.max_columns', 20) # as in Jupyter
    path, shell = Path(path).resolve(), CaptureShell(path)
    nb, kept = read_nb(path), said(read_nb(path))
    skipped = re.compile(r'^#\|\s*(slow|gpu)\b', re.M)
    os.chdir(path.parent)
    try: shell.run_all(nb, exc_stop=True, preproc=lambda cell: cell.cell_type == 'code' and skipped.search(cell.source))
    except Exception: sys.exit(shell.prettytb(fname=path))
    if keep:
        for cell in nb.cells:
            if cell.cell_type == 'code': cell.outputs = [light(o) for o in cell.get('outputs', []) if o.get('name') != 'stderr']
        return write_nb(nb, path)
    if not path.relative_to(ROOT/'nbs').as_posix().startswith(SHOWN): return
    if differs := list(difflib.unified_diff(kept, said(nb), 'kept', 'now', lineterm='', n=1)):
        sys.exit('\n'.join(['   its kept outputs are not what it gives; fix: make shown', *differs]))

def pages(tally):
    "Every declared target as a page, in smoke, through the Snakefile."
    from ffd_repro.pages.batch import Work
    work = Work('smoke')
    for key in work.targets: Path(work.page(key)).unlink(missing_ok=True)
    ok, _, text = python(BIN/'ffd_reproduce', '--profile', 'smoke')
    for key in work.targets: tally.add(f'page {key} in smoke', '' if Path(work.page(key)).exists() else '   not written')
    tally.add('make reproduce', '' if ok else text[-3000:])

def programs(tally, paths=None):
    "The whole-program tests."
    options = '-q', '-rs', '--no-header', '-p', 'no:cacheprovider', '-p', 'no:anyio', '-W', 'ignore::pytest.PytestAssertRewriteWarning'
    found = in_order(paths or sorted((ROOT/'tests').rglob('test_*.py')))
    commands = {str(p.relative_to(ROOT)): ('-m', 'pytest', *options, p) for p in found}
    for name, ok, seconds, text in two_at_a_time(commands):
        counts = {word: int(n) for n, word in re.findall(r'(\d+) (passed|failed|skipped|error)', text.splitlines()[-1] if text else '')}
        tally.passed += counts.get('passed', 0)
        tally.skipped += counts.get('skipped', 0)
        tally.failed += [name] * (counts.get('failed', 0) + counts.get('error', 0) or int(not ok))
        print(f'{"ok  " if ok else "FAIL"} {name} ({seconds:.0f} s): ' + (text.splitlines()[-1] if ok else '\n' + text[-6000:]), flush=True)

def imported(path):
    "The modules of the package that a notebook or a program names."
    text = path.read_text()
    if path.suffix == '.ipynb': text = '\n'.join(''.join(c['source']) for c in json.loads(text)['cells'] if c['cell_type'] == 'code')
    found = set(re.findall(r'ffd_repro\.(\w+\.\w+)', text))
    for room, names in re.findall(r'from ffd_repro\.(\w+) import ([\w, ]+)', text):
        found |= {f'{room}.{name.split()[0]}' for name in names.split(',')}
    return found

def resting_on_changes():
    "The notebooks and programs that have changed since `origin` (or the last commit), and those that rest on a changed one."
    base = subprocess.run(['git', 'merge-base', 'HEAD', '@{upstream}'], cwd=ROOT, capture_output=True, text=True).stdout.strip() or 'HEAD'
    changed = {ROOT/f for f in git('diff', '--name-only', base) + git('ls-files', '-o', '--exclude-standard')}
    paths = [*all_notebooks(), *sorted((ROOT/'tests').rglob('test_*.py'))]
    uses, module = {p: imported(p) for p in paths}, {p: f'{p.parent.name.split("_", 1)[-1]}.{p.stem}' for p in paths}
    found = {p for p in paths if p in changed}
    while more := {p for p in paths if p not in found and uses[p] & {module[f] for f in found}}: found |= more
    return [p for p in paths if p in found]

def quick(tally):
    "What has changed, and what rests on it."
    regenerate(tally)
    found = resting_on_changes()
    for step, suffix in ((notebooks, '.ipynb'), (programs, '.py')):
        if paths := [p for p in found if p.suffix == suffix]: step(tally, paths)

STEPS = dict(package=regenerate, results=readme, notebooks=notebooks, pages=pages, programs=programs)
EVERYTHING = {'package and results': single, 'notebooks': notebooks, 'pages': pages, 'programs': programs}

def main(names):
    tally = Tally()
    with warm(*HEAVY, *TESTERS): # imported once
        for title in names or EVERYTHING:
            print(f'\n== {title}', flush=True)
            started = time.time()
            (STEPS | EVERYTHING | dict(quick=quick))[title](tally)
            print(f'   {time.time() - started:.0f} s', flush=True)
    used = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    if tally.failed: print('\nfailed: ' + ', '.join(tally.failed))
    print(f'\n{time.time() - tally.started:.0f} seconds, {used/60:.1f} processor minutes')
    print(f'{tally.passed} passed, {len(tally.failed)} failed' + (f', {tally.skipped} skipped' if tally.skipped else ''))
    sys.exit(bool(tally.failed))

if __name__ == '__main__':
    words = sys.argv[1:]
    unknown = [w for w in words if w not in (*STEPS, 'quick', '--keep') and not w.endswith('.ipynb')]
    if unknown: sys.exit(f'No step is called {unknown[0]!r}.\n{__doc__}')
    alone = [w for w in words if w.endswith('.ipynb')]
    for path in alone: notebook(path, '--keep' in words)
    if not alone: main(words)
