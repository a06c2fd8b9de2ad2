"""The gate: `make test`. Package regenerated, notebooks run, pages made in smoke, whole-program tests. Ends with `N passed, N failed`."""
import multiprocessing
import os
import re
import shutil
import signal
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
HEAVY = ['torch', 'ffd_repro.base.compat', 'timm', 'sklearn.metrics', 'cv2', 'pandas', 'matplotlib.pyplot', 'nbdev.test', 'pytest'] # imported once, for all that are forked
forks = multiprocessing.get_context('forkserver')

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
        for module in (copy/'ffd_repro').rglob('*.py'): module.unlink()
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
    "Every notebook from top to bottom."
    paths = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if 'templates' not in p.parts and '.ipynb_checkpoints' not in p.parts)
    for path, ok, seconds, text in two_at_a_time(notebook, paths): tally.add(f'{path.relative_to(ROOT)} ({seconds:.0f} s)', '' if ok else text[-4000:])

def two_at_a_time(check, paths):
    "What became of a check of every path: path, passed, seconds, what it printed."
    os.environ['PYTHONPATH'] = str(ROOT)
    forks.set_forkserver_preload(HEAVY)
    with ThreadPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as logs:
        jobs = [pool.submit(isolated, check, path, Path(logs)/str(i)) for i, path in enumerate(paths)]
        for job in as_completed(jobs): yield job.result()

def isolated(check, path, log):
    "A check in a process of its own, so that none inherits another's state."
    started = time.time()
    process = forks.Process(target=logged, args=(check, path, log))
    process.start()
    process.join()
    return path, process.exitcode == 0, time.time() - started, log.read_text(errors='replace') if log.exists() else ''

def logged(check, path, log):
    with log.open('w') as f:
        for stream in (1, 2): os.dup2(f.fileno(), stream)
    sys.stdout = open(1, 'w', buffering=1, closefd=False)
    sys.stderr = open(2, 'w', buffering=1, closefd=False)
    try: check(path)
    finally:
        for worker in multiprocessing.active_children(): os.kill(worker.pid, signal.SIGKILL) # the exit would wait until an idle pool gives up

def notebook(path):
    from nbdev.test import test_nb
    os.environ['IN_TEST'] = '1'
    ok, _ = test_nb(Path(path), skip_flags=['slow', 'gpu'], basepath=str(ROOT))
    sys.exit(not ok)

def pages(tally):
    "Every declared target as a page, in smoke, through the Snakefile."
    from ffd_repro.pages.batch import Work
    work = Work('smoke')
    for key in work.targets: Path(work.page(key)).unlink(missing_ok=True)
    done = subprocess.run([BIN/'ffd_reproduce', '--profile', 'smoke'], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for key in work.targets: tally.add(f'page {key} in smoke', '' if Path(work.page(key)).exists() else '   not written')
    tally.add('make reproduce', done.returncode and done.stdout[-3000:])

def programs(tally):
    "The whole-program tests."
    for path, ok, seconds, text in two_at_a_time(program, sorted((ROOT/'tests').rglob('test_*.py'))):
        counts = {word: int(n) for n, word in re.findall(r'(\d+) (passed|failed|skipped|error)', text.splitlines()[-1] if text else '')}
        tally.passed += counts.get('passed', 0)
        tally.skipped += counts.get('skipped', 0)
        tally.failed += [path.name] * (counts.get('failed', 0) + counts.get('error', 0) or int(not ok))
        print(f'{"ok  " if ok else "FAIL"} tests/{path.name} ({seconds:.0f} s): ' + (text.splitlines()[-1] if ok else '\n' + text[-6000:]), flush=True)

def program(path):
    import pytest
    sys.exit(pytest.main(['-q', '-rs', '--no-header', '-W', 'ignore::pytest.PytestAssertRewriteWarning', str(path)]))

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

if __name__ == '__main__': notebook(sys.argv[1]) if len(sys.argv) > 1 else main()
