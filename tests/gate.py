"""The gate: `make test`. Package regenerated, notebooks run, pages made in smoke, whole-program tests. Ends with `N passed, N failed`."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BIN = Path(sys.executable).parent
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['PYTHONWARNINGS'] = 'ignore'

class Tally:
    "Counts what passed, and says so as it happens."
    def __init__(self): self.passed, self.failed, self.skipped, self.started = 0, [], 0, time.time()

    def add(self, name, problem=''):
        if problem: self.failed.append(name)
        else: self.passed += 1
        print(f'{"FAIL" if problem else "ok  "} {name}' + (f'\n{problem}' if problem else ''), flush=True)

def tracked():
    "Files that git knows or would add."
    out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [f for f in out.splitlines() if (ROOT/f).is_file()]

def regenerate(tally):
    "Empty the package, export it from the notebooks, clean the notebooks, write the README: nothing may differ."
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp)/'copy'
        for f in tracked():
            (copy/f).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT/f, copy/f)
        shutil.rmtree(copy/'ffd_repro', ignore_errors=True)
        for command in ('nbdev_export', 'nbdev_clean'):
            done = subprocess.run([BIN/command], cwd=copy, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(copy)})
            if done.returncode: return tally.add(f'{command} on an empty package', done.stdout[-1500:] + done.stderr[-1500:])
        there = {str(p.relative_to(copy)) for d in ('ffd_repro', 'nbs') for p in (copy/d).rglob('*') if p.is_file() and '__pycache__' not in p.parts}
        here = {f for f in tracked() if f.startswith(('ffd_repro/', 'nbs/'))}
        differ = sorted(here ^ there) + sorted(f for f in here & there if (ROOT/f).read_bytes() != (copy/f).read_bytes())
        tally.add('the package is what the notebooks export', differ and '   differs: ' + ', '.join(differ[:12]) + '\n   fix: make export')

def readme(tally):
    done = subprocess.run([BIN/'ffd_report', '--profile', 'small', '--check'], cwd=ROOT, capture_output=True, text=True)
    tally.add('README, comparison and report are what the results give', done.returncode and done.stdout[-1500:] + done.stderr[-1500:])

def notebooks(tally):
    "Every notebook from top to bottom, two at a time."
    paths = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if 'templates' not in p.parts and '.ipynb_checkpoints' not in p.parts)
    os.environ['PYTHONPATH'] = str(ROOT)
    with ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(isolated, str(p)): p for p in paths}
        for job in as_completed(jobs):
            ok, seconds, text = job.result()
            tally.add(f'{jobs[job].relative_to(ROOT)} ({seconds:.0f} s)', '' if ok else text)

def isolated(path):
    "A notebook in a process of its own, so that no notebook inherits another's state."
    started = time.time()
    done = subprocess.run([sys.executable, __file__, path], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode == 0, time.time() - started, done.stdout[-2500:] + done.stderr[-1500:]

def one(path):
    from nbdev.test import test_nb
    os.environ['IN_TEST'] = '1'
    ok, _ = test_nb(Path(path), skip_flags=['slow', 'gpu'], basepath=str(ROOT))
    sys.exit(not ok)

def pages(tally):
    "Every declared target as a page, in smoke, through the Snakefile."
    from ffd_repro.reproduce.batch import Work
    work = Work('smoke')
    for key in work.targets: Path(work.page(key)).unlink(missing_ok=True)
    done = subprocess.run([BIN/'ffd_reproduce', '--profile', 'smoke'], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for key in work.targets: tally.add(f'page {key} in smoke', '' if Path(work.page(key)).exists() else '   not written')
    tally.add('make reproduce', done.returncode and done.stdout[-3000:])

def programs(tally):
    "The whole-program tests."
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-rs', '--no-header', 'tests'], cwd=ROOT, capture_output=True, text=True)
    counts = {word: int(n) for n, word in re.findall(r'(\d+) (passed|failed|skipped|error)', done.stdout)}
    tally.passed += counts.get('passed', 0)
    tally.skipped += counts.get('skipped', 0)
    tally.failed += ['tests'] * (counts.get('failed', 0) + counts.get('error', 0) or int(done.returncode != 0))
    print(done.stdout[-6000:], flush=True)

def main():
    tally = Tally()
    for title, step in (('package', regenerate), ('notebooks', notebooks), ('pages', pages), ('programs', programs), ('results', readme)):
        print(f'\n== {title}', flush=True)
        started = time.time()
        step(tally)
        print(f'   {time.time() - started:.0f} s', flush=True)
    if tally.failed: print('\nfailed: ' + ', '.join(tally.failed))
    print(f'\n{time.time() - tally.started:.0f} seconds')
    print(f'{tally.passed} passed, {len(tally.failed)} failed' + (f', {tally.skipped} skipped' if tally.skipped else ''))
    sys.exit(bool(tally.failed))

if __name__ == '__main__': one(sys.argv[1]) if len(sys.argv) > 1 else main()
