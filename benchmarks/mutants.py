"""Which small faults in a module its own notebook would notice. `python benchmarks/mutants.py measures claims.relations --most 25`

A mutant is the module with one fault: a comparison or an operator swapped, a constant one off, a default changed, a `not`, a keyword, a
filter or a statement dropped. Its notebook's cells are run with the fault in place; a mutant is caught where a cell fails or does not end.
The other notebooks and tests are not asked, which may notice more.

mutmut and cosmic-ray change a module's file and run tests that import it. Here a notebook defines the functions that it tests, and never
imports them; so the fault has to be put into the cell. That also makes it cheap: the cells above a fault are run once for all mutants,
and each goes on from there as a fork.

`benchmarks/mutants/alive.csv` has the mutants that nothing caught, and why where that was judged (`why` is written by hand and kept: a
reason begins with `equivalent` where no result can change); `benchmarks/mutants/modules.csv` has the counts.
"""
import argparse
import ast
import copy
import csv
import importlib
import json
import linecache
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import types
import warnings
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOUND = ROOT/'benchmarks'/'mutants'
sys.path.insert(0, str(ROOT))
THIRD = ('ffd_repro.base.compat', 'timm', 'sklearn.metrics', 'scipy.stats', 'cv2', 'pandas', 'matplotlib.pyplot', 'fastcore.test')

# Faults

SWAPS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
         ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
         ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
         ast.And: ast.Or, ast.Or: ast.And}
NAMES = dict(min='max', max='min', any='all', all='any', argmax='argmin', argmin='argmax', mean='sum', floor='ceil', ceil='floor')

def is_text(node): return isinstance(node, ast.JoinedStr) or isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))

def constant(value):
    "Another constant in place of one; None where there is none."
    if isinstance(value, bool): return ast.Constant(not value)
    if isinstance(value, int): return ast.Constant(value + 1)
    if isinstance(value, float): return ast.Constant(2*value or 1.)

def faults(node):
    "What may stand in place of a node."
    def other(**fields):
        new = copy.copy(node)
        for name, value in fields.items(): setattr(new, name, value)
        return new
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops): yield other(ops=[*ops[:i], SWAPS[type(op)](), *ops[i+1:]])
        case ast.BinOp(op=op, left=a, right=b) if type(op) in SWAPS and not (is_text(a) or is_text(b)): yield other(op=SWAPS[type(op)]())
        case ast.AugAssign(op=op) if type(op) in SWAPS: yield other(op=SWAPS[type(op)]())
        case ast.BoolOp(op=op): yield other(op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()): yield node.operand
        case ast.IfExp(): yield other(body=node.orelse, orelse=node.body)
        case ast.Constant(value=value) if new := constant(value): yield new
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES: yield other(id=NAMES[name])
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMES: yield other(attr=NAMES[name])
        case ast.comprehension(ifs=[_, *_]): yield other(ifs=[])
        case ast.Break(): yield ast.Continue()
        case ast.Continue(): yield ast.Break()
        case ast.Return(value=value) if value and not isinstance(value, ast.Constant): yield other(value=ast.Constant(None))
        case ast.If(orelse=[]): yield ast.Pass()
        case ast.Raise() | ast.AugAssign(): yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]): yield ast.Pass()
        case ast.Expr(value=ast.Call()): yield ast.Pass()
    if isinstance(node, ast.AugAssign): yield ast.Pass()
    if isinstance(node, ast.Call):
        for i in range(len(node.keywords)): yield other(keywords=node.keywords[:i] + node.keywords[i+1:])

def is_call(node, *names): return isinstance(node, ast.Call) and ast.unparse(node.func) in names

def passed_over(node, field):
    "Text for people, and types: no fault there can change a result."
    return (field in ('annotation', 'returns', 'decorator_list') or isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom))
            or is_call(node, 'print'))

def places(tree):
    "Every (parent, field, index, node, name of the definition) of a tree."
    def walk(node, name):
        for field, value in ast.iter_fields(node):
            if passed_over(node, field): continue
            for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST) or is_call(child, 'np.errstate', 'warnings.simplefilter'): continue
                inner = f'{name}.{child.name}'.lstrip('.') if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else name
                yield node, field, i, child, inner
                yield from walk(child, inner)
    return walk(tree, '')

def in_words(old, new):
    if isinstance(old, ast.Call) and isinstance(new, ast.Call):
        gone = [ast.unparse(k) for k in old.keywords if k not in new.keywords]
        if gone: return f'{ast.unparse(old.func)[:50]} without {gone[0][:60]}'
    return ' -> '.join(' '.join(ast.unparse(n).split())[:70] for n in (old, new))

def mutants(source):
    "Every mutant of a cell: name of the definition, fault in words, and what gives its source."
    tree = ast.parse(source)
    for node, field, i, child, name in list(places(tree)):
        for new in faults(child):
            fault = f'{getattr(child, "lineno", 0)}: {in_words(child, new)}'
            yield name or '(module)', fault, partial(with_fault, tree, node, field, i, new)

def with_fault(tree, node, field, i, new):
    "The source of a tree with another node in one place."
    row = getattr(node, field)
    if i is None: setattr(node, field, new)
    else: setattr(node, field, [*row[:i], new, *row[i+1:]])
    source = ast.unparse(ast.fix_missing_locations(tree))
    setattr(node, field, row)
    return source

# Notebooks

def code_cells(path):
    "Identity, source and whether exported, of the cells that the gate runs."
    for c in json.loads(Path(path).read_text())['cells']:
        source = ''.join(c['source'])
        if c['cell_type'] == 'code' and not re.search(r'^#\|\s*(slow|gpu)\b', source, re.M):
            yield c['id'], source, bool(re.match(r'#\|\s*export', source))

def run_cell(source, room):
    name = f'<cell {len(linecache.cache)}>'
    linecache.cache[name] = len(source), None, source.splitlines(True), name # so that a definition's source is found
    exec(compile(source, name, 'exec'), room)

def same_code(old, new):
    "A function does what another does."
    if not all(isinstance(f, types.FunctionType) for f in (old, new)): return
    if len(old.__code__.co_freevars) != len(new.__code__.co_freevars): return
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__

def into_package(module, room):
    "Where the package has the same functions, it has the fault too."
    for name, new in list(room.items()):
        old = getattr(sys.modules[module], name, None)
        if isinstance(new, type) and isinstance(old, type):
            for n, f in vars(new).items(): same_code(vars(old).get(n), f)
        else: same_code(old, new)

def rest(module, cells, room, changed=False):
    "Run cells; a package module that comes in meanwhile has the fault too."
    there = False
    for source in cells:
        run_cell(source, room)
        if changed and not there and (there := module in sys.modules): into_package(module, room)

def quiet():
    for stream in (1, 2): os.dup2(os.open(os.devnull, os.O_WRONLY), stream)

def forked(work, seconds):
    "True where `work()` ends without a failure in a fork, within so many processor seconds."
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
            resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
            signal.alarm(int(10*seconds) + 10)
            if not os.environ.get('MUTANTS_LOUD'): quiet()
            work()
            status = 0
        except BaseException:
            if os.environ.get('MUTANTS_LOUD'): traceback.print_exc()
        finally: os._exit(status)
    status = os.waitpid(pid, 0)[1]
    try: os.killpg(pid, signal.SIGKILL) # what it began and left
    except ProcessLookupError: pass
    return status == 0

def spent(): return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

def room():
    sys.modules['__main__'] = main = types.ModuleType('__main__')
    main.__dict__['display'] = lambda *_, **__: None
    return main.__dict__

def files(folder): return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob('*'))

class Kept:
    "The scratch folder as it was before a fork: what a mutant writes or removes there is not seen by the next."
    def __init__(self, folder, aside):
        self.folder, self.aside, self.was = folder, aside, files(folder)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside, symlinks=True)
    def restore(self):
        if files(self.folder) == self.was: return
        shutil.rmtree(self.folder)
        shutil.copytree(self.aside, self.folder, symlinks=True)

@contextmanager
def scratch():
    "While it lasts, temporary files and the cache of the package lie in a folder of ours."
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder)/'now').mkdir()
        os.environ.update(TMPDIR=f'{folder}/now', FFD_CACHE=f'{folder}/now')
        tempfile.tempdir = None
        try: yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)
            tempfile.tempdir = None

def seconds_of(cells):
    "Processor seconds of each cell; raises where one fails."
    ns, found = room(), []
    for source in cells:
        started = spent()
        run_cell(source, ns)
        found.append(spent() - started)
    return found

def judge(path, module, wanted, scratch, longest, say):
    "Say of every wanted mutant (cell -> [(number, source)]) whether the notebook lets it live."
    os.chdir(path.parent)
    cells = list(code_cells(path))
    sources, took = [s for _, s, _ in cells], scratch/'took'
    if not forked(lambda: took.write_text(repr(seconds_of(sources))), longest):
        raise RuntimeError('The notebook does not pass as it is, or takes longer.')
    took, ns, tried = ast.literal_eval(took.read_text()), room(), False
    for i, (key, source, _) in enumerate(cells):
        if key in wanted:
            kept, limit = Kept(scratch/'now', scratch/'aside'), 3*sum(took[i:]) + 3
            if not tried: # the module itself, as if it were a mutant
                same = forked(lambda: rest(module, sources[i:], ns, True), limit)
                if not same: raise RuntimeError('The notebook does not pass as a fork.')
                kept.restore()
            for number, mutant in wanted[key]:
                say(number, forked(lambda: rest(module, [mutant, *sources[i+1:]], ns, True), limit))
                kept.restore()
            tried = True
        run_cell(source, ns)

# Counts

def notebook_of(module):
    room_, name = module.split('.')
    return next((ROOT/'nbs').glob(f'*_{room_}/{name}.ipynb'))

def sampled(module, most, seed):
    "Mutants of a module, at most so many: (cell, name, fault, source)."
    every = [(key, *m) for key, source, exported in code_cells(notebook_of(module)) if exported for m in mutants(source)]
    rows = sorted(random.Random(f'{seed} {module}').sample(range(len(every)), min(most, len(every))))
    return [(*every[i][:3], every[i][3]()) for i in rows], len(every)

def read(path):
    if not path.exists(): return []
    with path.open(newline='') as f: return list(csv.DictReader(f))

def write(path, rows, columns):
    path.parent.mkdir(exist_ok=True)
    with path.open('w', newline='') as f:
        out = csv.DictWriter(f, columns, lineterminator='\n')
        out.writeheader()
        out.writerows(sorted(rows, key=lambda r: [str(r[c]) for c in columns[:3]]))

def modules(words):
    "`measures` is every module of that room; `measures.scores` one."
    for word in words:
        if '.' in word: yield word
        else: yield from (f'{word}.{p.stem}' for p in sorted((ROOT/'nbs').glob(f'*_{word}/*.ipynb')))

def counted(module, seed, chosen, of, survivors, seconds):
    "Both tables, with the part of this module and draw replaced."
    def others(name): return [r for r in read(FOUND/name) if (r['module'], r['seed']) != (module, str(seed))]
    known = {(r['module'], r['definition'], r['fault']): r['why'] for r in read(FOUND/'alive.csv')}
    rows = [dict(module=module, seed=seed, definition=n, fault=f, why=known.get((module, n, f), '')) for n, f in survivors]
    write(FOUND/'alive.csv', others('alive.csv') + rows, ['module', 'seed', 'definition', 'fault', 'why'])
    same = sum(r['why'].startswith('equivalent') for r in rows)
    row = dict(module=module, seed=seed, mutants=of, tried=len(chosen), caught=len(chosen) - len(rows), equivalent=same,
        missed=len(rows) - same, seconds=round(seconds))
    write(FOUND/'modules.csv', others('modules.csv') + [row], list(row))
    return row

def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument('modules', nargs='+', help='rooms or modules of the package')
    words.add_argument('--most', type=int, default=25, help='mutants of a module, drawn from all')
    words.add_argument('--seed', type=int, default=0, help='which are drawn')
    words.add_argument('--longest', type=int, default=60, help='processor seconds of a notebook that is tried at all')
    words.add_argument('--alive', action='store_true', help='only those that were alive the last time')
    words.add_argument('--list', action='store_true', help='name the mutants and run none')
    args = words.parse_args()
    warnings.simplefilter('ignore')
    os.environ.update(IN_TEST='1', MPLBACKEND='agg')
    for name in () if args.list else THIRD: importlib.import_module(name)
    for module in modules(args.modules):
        chosen, of = sampled(module, args.most, args.seed)
        if args.list:
            for _, name, fault, _ in chosen: print(f'{module}\t{name}\t{fault}')
            continue
        left = {(r['module'], r['definition'], r['fault']) for r in read(FOUND/'alive.csv')}
        run = [i for i, (_, n, f, _) in enumerate(chosen) if not args.alive or (module, n, f) in left]
        before, wanted = spent(), defaultdict(list)
        for i in run: wanted[chosen[i][0]].append((i, chosen[i][3]))
        r, w = os.pipe()
        with scratch() as folder:
            ok = forked(lambda: judge(notebook_of(module), f'ffd_repro.{module}', wanted, folder, args.longest,
                lambda i, lives: lives and os.write(w, f'{i}\n'.encode())), 100*args.longest)
        os.close(w)
        with os.fdopen(r) as f: left = [int(line) for line in f]
        if not ok:
            print(f'{module}: the notebook does not pass as it is, or takes longer than {args.longest} s', flush=True)
            continue
        print(counted(module, args.seed, chosen, of, [chosen[i][1:3] for i in left], spent() - before), flush=True)

if __name__ == '__main__': main()
