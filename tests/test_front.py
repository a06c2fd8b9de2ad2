"""What a visitor sees first: short, in its order, true, and with links that lead somewhere."""
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT/'README.md').read_text(encoding='utf-8')
PAGES = [*(ROOT/name for name in ('README.md', 'CONTRIBUTING.md', 'nbs/README.md')),
         *sorted((ROOT/'docs').glob('*.md')), *sorted((ROOT/'results').glob('*.md'))]

def anchors(page):
    "The names under which GitHub finds the headings of a page."
    titles = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in titles}

def broken(page):
    "The relative links of a page that lead nowhere."
    text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'), flags=re.S | re.M)
    links = [link for link in re.findall(r'\]\(([^)\s]+)', text) if not re.match(r'[a-z]+:', link)]
    places = [(link, page.parent/link.split('#')[0] if link.split('#')[0] else page, link.partition('#')[2]) for link in links]
    return [link for link, place, name in places if not place.exists() or name and name not in anchors(place)]

@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page): assert not broken(page)

def test_a_broken_link_is_found(tmp_path):
    (tmp_path/'there.md').write_text('# A title: of two\n')
    (tmp_path/'page.md').write_text('[a](there.md) [b](gone.md) [c](there.md#a-title-of-two) [d](there.md#other) [e](https://x.invalid)\n')
    assert broken(tmp_path/'page.md') == ['gone.md', 'there.md#other']

@pytest.mark.parametrize('page', PAGES[3:], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_that_a_page_names_exist(page):
    config = ConfigParser(delimiters=['='])
    config.read(ROOT/'settings.ini', encoding='utf-8')
    text = page.read_text(encoding='utf-8')
    commands = {line.split('=')[0] for line in config['DEFAULT']['console_scripts'].split()}
    steps = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), re.M))
    assert set(re.findall(r'\bffd_(?!repro|plugin)[a-z]+\b(?!\.)', text)) <= commands
    assert set(re.findall(r'(?:`|^)make ([a-z]+)', text, re.M)) <= steps

def test_readme_is_one_screen(): assert len(README.encode()) <= 6144

def test_no_verdict_before_the_word_stand_in():
    first = re.search(r'support|contradict|holds|fails|match|differs|consistent|undecided|bounded', README, re.I).start()
    assert README.index('stand-in') < first

def test_the_lines_of_python_run_and_give_the_printed_size():
    lines = re.search(r'```python\n(.+?)```', README, re.S)[1]
    assert len(lines.splitlines()) == 3
    done = subprocess.run([sys.executable, '-c', lines], cwd=ROOT, capture_output=True, text=True)
    assert re.search(r'params=963\d{3}\b', done.stdout), done.stderr[-1000:]

def test_citation_names_the_papers_as_the_pages_do():
    from ffd_repro.claims.names import PAPERS
    told = yaml.safe_load((ROOT/'CITATION.cff').read_text(encoding='utf-8'))
    people = [', '.join(f'{a["given-names"]} {a["family-names"]}' for a in r['authors']) for r in told['references']]
    assert [(r['title'], p, r.get('doi'), r.get('year')) for r, p in zip(told['references'], people)] == [
        (p['title'], p['authors'], p.get('doi'), p.get('year')) for p in PAPERS.values()]
    config = ConfigParser(delimiters=['='])
    config.read(ROOT/'settings.ini', encoding='utf-8')
    assert told['version'] == config['DEFAULT']['version']

def test_every_derived_claim_is_marked():
    import pandas as pd
    claims, page = pd.read_csv(ROOT/'results'/'claims.csv'), (ROOT/'results'/'claims.md').read_text(encoding='utf-8')
    rows = {m[1]: m[0] for m in re.finditer(r'^\| ([A-Z]+-\d+\w*) \|.*$', page, re.M)}
    assert set(claims.claim) == set(rows)
    assert {c for c, row in rows.items() if '**derived**' in row} == set(claims.claim[claims.stated == 'derived'])
