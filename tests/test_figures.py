"""What a reader sees of a page: its order, and how its figures look, whatever is drawn."""
import ast
import io
import re
from collections import Counter
import nbformat
import numpy as np
import pandas as pd
import pytest
from ffd_repro.base.metrics import metric_of
from ffd_repro.base.paths import root
from ffd_repro.base.plots import SMALLEST, WIDTH, as_picture, smallest_letter
from ffd_repro.base.registry import load, targets
from ffd_repro.claims.names import HUES, drawn_as

load('systems', 'baselines', 'claims', 'evidence')
from ffd_repro.evidence.cells import keys_of  # noqa: E402 -- targets are there now
from ffd_repro.measures.estimates import score_estimate  # noqa: E402
from ffd_repro.measures.worlds import World, invented  # noqa: E402
from ffd_repro.pages import costs, pages, sweeps, tables  # noqa: E402

DRAWN = [p for room in ('evidence', 'pages', 'claims', 'detect') for p in sorted((root()/'ffd_repro'/room).glob('*.py'))]
TEMPLATES = sorted((root()/'nbs'/'95_pages'/'templates').glob('*.ipynb'))
OWN_SIZE = {'reports.py'} # the answers for one clip are as wide as those of the pages, and say so themselves

def given(tree, names): # keyword arguments of calls
    return sorted({k.arg for n in ast.walk(tree) if isinstance(n, ast.Call) for k in n.keywords if k.arg in names})

@pytest.mark.parametrize('path', DRAWN, ids=lambda p: p.stem)
def test_no_room_has_sizes_of_its_own(path):
    found = given(ast.parse(path.read_text(encoding='utf-8')), {'fontsize', 'figsize', 'dpi'})
    allowed = {'figsize'} if path.name == 'figures.py' else {'figsize', 'fontsize', 'dpi'} if path.name in OWN_SIZE else set()
    if path.name == 'tables.py': allowed = {'dpi'} # of the file that is kept
    assert set(found) <= allowed, found

@pytest.mark.parametrize('path', TEMPLATES, ids=lambda p: p.stem)
def test_a_template_sets_no_sizes_and_reads_from_the_answer_to_the_trail(path):
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == 'code']
    text = '\n'.join(code)
    assert not given(ast.parse(text), {'fontsize', 'figsize', 'dpi'})
    order = [text.find(f'p.{what}(') for what in ('answer', 'kept', 'table', 'claims', 'trail')]
    there = [at for at in order if at >= 0]
    assert order[0] >= 0 and order[-1] >= 0 and there == sorted(there), order
    assert code[-1] == 'p.trail()' and 'Not run' not in text
    looks = 'trained(' in text or 'first_nets' in text or 'setting_maps' in text
    assert not looks or all('weights=True' in line for line in re.findall(r'p\.kept\(.*?\)$', text, re.M)), 'a figure that may be replaced'

def estimates(target): # a world in which every row has a score of its own
    nets = {m: score_estimate(invented(World('figures', people=6), str(m), .6 + .2*i), 'AUC', 'frame', str(m)) for i, m in
            enumerate(target.methods)}
    return lambda k: nets[k.method, k.setting] if (k.method, k.setting) in nets and k.test else None

def rows_of(target):
    keys = keys_of(target)
    at = {k: .62 + .3*i/len(keys) for i, k in enumerate(keys)}
    value = lambda k: at[k] if metric_of(k.metric).percent else 1e9
    return pd.DataFrame([dict(k._asdict(), value=value(k), lo=value(k)*.95, hi=min(value(k)*1.05, 1), seed='all', status='ok',
        data='stand-in') for k in keys])

def ablation(t): return tables.step_plot(t, estimates(t), 'stand-in')[0]
def dots(t): return tables.dot_plot(t, rows_of(t))
def drops(t): return tables.drops_plot(tables.drops_table(t, estimates(t)), t, 'stand-in')
def sweep(t): return sweeps.sweep_plot(t, estimates(t), 'stand-in')
def robust(t): return sweeps.robustness_plot(t, estimates(t), 'stand-in')
def bubbles(t): return costs.bubble_plot(t, rows_of(t))

CASES = [(dots, 'ldfnet/table-1'), (dots, 'lda/table-3'), (dots, 'bigarts/table-2'),
    (ablation, 'ldfnet/table-3'), (ablation, 'bigarts/table-5'),
    (ablation, 'mclcr/scales'), (drops, 'bigarts/table-1'), (drops, 'lls/table-3'), (sweep, 'lda/table-11'), (sweep, 'bigarts/table-7'),
    (robust, 'bigarts/figure-9d'), (robust, 'bigarts/table-8'), (robust, 'lls/low-quality'), (bubbles, 'ldfnet/figure-1')]

@pytest.fixture(scope='module')
def drawn():
    found = {}
    def of(draw, key):
        if (draw, key) not in found: found[draw, key] = draw(targets[key])
        return found[draw, key]
    return of

def plots(fig): return [ax for ax in fig.axes if ax.get_label() != '<colorbar>']

@pytest.mark.parametrize('draw,key', CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_every_figure_can_be_read(drawn, draw, key):
    fig = drawn(draw, key)
    assert fig.get_figwidth() == WIDTH and smallest_letter(fig) >= SMALLEST
    image = tables.need('PIL.Image', extra='notebook').open(io.BytesIO(as_picture(fig)))
    assert image.width == 792
    tops = Counter(round(ax.get_position().y1 + (ax.figure.bbox.y0 if ax.figure is not fig else 0)/1e4, 3) for ax in plots(fig))
    assert len(fig.subfigs) == 2 and len(plots(fig)) == 2 or max(tops.values()) <= 3
    assert len(fig.get_label()) > 40, 'no caption'
    seen = lambda ax, t, ends: min(ends) <= t.get_position()[0] <= max(ends) # a tick beyond the limits is not drawn
    ticks = [t for ax in plots(fig) for t in ax.get_xticklabels() if seen(ax, t, ax.get_xlim())]
    texts = [t for t in (*ticks, *(t for ax in plots(fig) for t in (*ax.get_yticklabels(), ax.title))) if t.get_text()]
    inside = fig.bbox.padded(2)
    for t in texts:
        box = t.get_window_extent()
        assert box.x0 >= inside.x0 and box.x1 <= inside.x1, t.get_text()

@pytest.mark.parametrize('draw,key', CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_printed_values_have_axes_of_their_own(drawn, draw, key):
    fig = drawn(draw, key)
    titles = [s.get_suptitle() for s in fig.subfigs]
    if draw is drops: assert not titles; return
    assert titles[0].startswith('ours, on stand-ins') and titles[1:] in ([], [tables.PAPERS_OWN])
    printed = [v for v in tables.printed_here(targets[key].paper).values()]
    if titles[1:]: assert all(ax.get_facecolor() != fig.subfigs[0].axes[0].get_facecolor() for ax in fig.subfigs[1].axes) and printed

@pytest.mark.parametrize('draw,key', [c for c in CASES if c[0] in (dots, sweep, robust, bubbles)],
    ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_scores_go_from_chance_to_all(drawn, draw, key):
    of = 'get_xlim' if draw is dots else 'get_ylim'
    ends = {getattr(ax, of)() for ax in drawn(draw, key).axes}
    assert len(ends) == 1 and next(iter(ends))[1] == 102 and next(iter(ends))[0] <= 48

def test_a_method_has_one_colour_in_every_figure(drawn):
    def colours(fig, method): return {line.get_color() for ax in fig.axes for line in ax.lines if line.get_color() == drawn_as(method)[0]}
    assert len({c for c, _ in map(drawn_as, HUES)}) == len(HUES)
    for draw, key, method in ((dots, 'ldfnet/table-1', 'ldfnet'), (ablation, 'ldfnet/table-3', 'ldfnet'), (sweep, 'lda/table-11', 'lda'),
                              (sweep, 'lda/table-11', 'xception'), (robust, 'bigarts/table-8', 'bigarts')):
        assert colours(drawn(draw, key), method) == {drawn_as(method)[0]}, (key, method)

def test_curves_of_one_panel_are_told_apart():
    for t in targets.values():
        if t.kind in ('sweep_table', 'treatment_table', 'robustness_curve', 'roc_plot'):
            looks = [drawn_as(m) for m in dict.fromkeys(m for m, _ in t.methods)]
            assert len(set(looks)) == len(looks), t.key

def test_nothing_to_draw_is_no_figure():
    nothing = lambda key: None
    rows = rows_of(targets['ldfnet/table-1']).assign(value=np.nan)
    assert tables.dot_plot(targets['ldfnet/table-1'], rows) is None and costs.bubble_plot(targets['ldfnet/figure-1'],
        rows_of(targets['ldfnet/figure-1']).assign(value=np.nan)) is None
    assert tables.step_plot(targets['ldfnet/table-3'], nothing)[0] is None and sweeps.sweep_plot(targets['lda/table-9'], nothing) is None
    assert sweeps.robustness_plot(targets['bigarts/table-8'], nothing) is None
    assert tables.drops_plot(tables.drops_table(targets['bigarts/table-3'], nothing), targets['bigarts/table-3']) is None

def test_a_page_begins_with_its_title_and_keeps_its_figure(tmp_path, monkeypatch):
    key = 'lda/figure-10' # it looks at nets, and no weights are here
    monkeypatch.setenv('FFD_RESULTS', str(tmp_path))
    tables.save_figure(dots(targets['ldfnet/table-2']), targets[key], 'smoke', 'What was drawn.')
    before = tables.figure_path(targets[key], 'smoke').read_bytes()
    nb = nbformat.read(pages.make_page(key, 'smoke', train=False, progress=False), 4)
    first, text = nb.cells[0].source, '\n'.join(str(o.get('data', o.get('text', ''))) for c in nb.cells for o in c.get('outputs', []))
    assert first.startswith('# ') and targets[key].title in first and 'template' not in first
    assert [c.source.count('target =') for c in nb.cells if 'injected-parameters' in c.metadata.get('tags', [])] == [1]
    assert not any('parameters' in c.metadata.get('tags', []) for c in nb.cells)
    assert 'Not run' not in text and '<Figure size' not in text and '<details><summary>' in str(nb.cells[-1].outputs)
    pictures = [(k, o.metadata) for c in nb.cells for o in c.get('outputs', []) for k in o.get('data', {}) if k.startswith('image/')]
    assert all(m[k]['alt'] for k, m in pictures)
    assert len(pictures) == 1 and 'What was drawn.' in pictures[0][1][pictures[0][0]]['alt']
    assert tables.figure_path(targets[key], 'smoke').read_bytes() == before
