"""The site: its sources are whole, and what was built asks no other machine for anything."""
import json
import re
import shutil
import nbformat
import pytest
from ffd_repro.base.errors import BadFile
from ffd_repro.base.paths import root
from ffd_repro.base.registry import load
from ffd_repro.pages import site

HTML = root()/'build'/'site'/'html'

@pytest.fixture(scope='module', autouse=True)
def extra():
    for package in ('sphinx', 'itables'): pytest.importorskip(package, reason='the extra `site` is not installed: make site')

@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    load('systems', 'baselines', 'claims')
    folder = tmp_path_factory.mktemp('source')
    site.write_sources(folder)
    return folder

def test_every_committed_page_and_lesson_is_there(sources):
    written = {p.relative_to(sources).as_posix() for p in sources.rglob('*.ipynb')}
    assert written == set(site.notebooks_shown())
    pages = {p.relative_to(root()).as_posix() for p in (root()/'results'/'notebooks').glob('*/*.ipynb')}
    assert len(pages) > 50 and pages <= written

def test_every_kind_of_page_is_there(sources):
    for name in ('index', 'scoreboard', 'numbers', 'claims', 'errata', 'runs', 'results/report', 'papers/lda', 'rooms/00_base', 'api/base'):
        assert (sources/f'{name}.md').stat().st_size > 100, name

def test_all_numbers_and_claims_are_in_their_tables(sources):
    numbers, text = site.committed('comparison'), (sources/'numbers.html').read_text()
    assert text.count('results/notebooks/') >= (numbers.paper + '/' + numbers['item']).map(lambda k: bool(site.page_of(k))).sum()
    assert all(name in (sources/'claims.html').read_text() for name in site.committed('claims').claim)

def test_a_verdict_stands_beside_its_claim_and_every_text_sorts_what_is_absent_last(sources):
    claims, numbers = ((sources/f'{name}.html').read_text() for name in ('claims', 'numbers'))
    assert re.findall(r'<th>(.*?)</th>', claims)[:4] == ['paper', 'claim', 'it says', 'verdict']
    for text, columns in ((claims, 9), (numbers, 10)):
        args = json.JSONDecoder().raw_decode(text, text.index('let dt_args = ') + len('let dt_args = '))[0]
        assert next(d['targets'] for d in args['columnDefs'] if d.get('type') == 'known-first') == list(range(columns))
        assert not args.get('text_in_header_can_be_selected') and text.index("type('known-first'") < text.index('let dt_args')

def test_a_second_writing_changes_nothing(sources):
    before = {p: p.stat().st_mtime_ns for p in sources.rglob('*') if p.is_file()}
    site.write_sources(sources)
    assert before == {p: p.stat().st_mtime_ns for p in sources.rglob('*') if p.is_file()}

@pytest.mark.parametrize('harm', ['last cell not run', 'failed cell'])
def test_a_page_that_has_not_run_is_named_and_nothing_is_written(tmp_path, monkeypatch, harm):
    for name in ('results', 'nbs'): (tmp_path/name).mkdir()
    (tmp_path/'settings.ini').write_text('')
    page = tmp_path/'results'/'notebooks'/'lda'/'table-3.ipynb'
    page.parent.mkdir(parents=True)
    shutil.copy(root()/'results'/'notebooks'/'lda'/'table-3.ipynb', page)
    nb = nbformat.read(page, 4)
    code = [c for c in nb.cells if c.cell_type == 'code']
    code[-1].outputs = [] if harm.startswith('last') else [nbformat.v4.new_output('error', ename='ValueError', evalue='no faces')]
    nbformat.write(nb, page)
    monkeypatch.setenv('FFD_ROOT', str(tmp_path))
    with pytest.raises(BadFile) as e: site.write_sources(tmp_path/'source')
    assert 'lda/table-3' in str(e.value) and 'ffd_page lda/table-3' in str(e.value) and not (tmp_path/'source').exists()

built = pytest.mark.skipif(not (HTML/'index.html').exists(), reason='the site is not built: make site')

@built
def test_the_built_site_asks_nobody():
    assert sum(1 for _ in HTML.rglob('*.html')) > 200
    assert site.fetched_from_elsewhere(HTML) == []

@built
def test_the_built_site_has_the_data():
    jsonschema = pytest.importorskip('jsonschema')
    rows, schema = (json.loads((HTML/'data'/name).read_text()) for name in ('judged.json', 'judged.schema.json'))
    jsonschema.validate(rows, schema)
    assert len(rows) == len(site.committed('comparison'))
    for run in {run for r in rows for run in r['run'].split()}: assert (HTML/'data'/'runs'/f'{run}.json').exists(), run
