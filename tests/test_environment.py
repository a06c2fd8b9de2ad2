"""environment.yml is derived from settings.ini and constraints.txt (write it with `python tests/test_environment.py`)."""
import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

def canonical(name): return re.sub(r'[-_.]+', '-', name).lower()

def pins():
    lines = [l.split('#')[0].strip() for l in (ROOT/'constraints.txt').read_text().splitlines()]
    return {canonical(l.split('==')[0]): l.split('==')[1] for l in lines if l}

def requirements():
    config = ConfigParser(delimiters=['='])
    config.read(ROOT/'settings.ini', encoding='utf-8')
    keys = [k for k in config['DEFAULT'] if k.endswith('requirements') and not k.startswith(('faces', 'imagenet', 'site', 'cluster'))]
    return [r for k in keys for r in config['DEFAULT'][k].split()]

def name_of(requirement): return re.match(r'[A-Za-z0-9_.\-]+', requirement)[0]

def environment():
    "The text that environment.yml must have."
    known = pins()
    exact = sorted({f'{name_of(r)}=={known[canonical(name_of(r))]}' for r in requirements()}, key=str.lower)
    head = ['# Derived from settings.ini and constraints.txt: `python tests/test_environment.py` writes it.', 'name: ffd_repro',
            'channels:', '  - conda-forge', '  - nodefaults', 'dependencies:', '  - python=3.11', '  - pip', '  - pip:']
    return '\n'.join(head + [f'    - {r}' for r in exact] + ['    - --editable .']) + '\n'

def test_environment_is_derived():
    assert (ROOT/'environment.yml').read_text() == environment()

def test_every_requirement_is_pinned_inside_its_range():
    from packaging.requirements import Requirement
    for r in requirements():
        assert Requirement(r).specifier.contains(pins()[canonical(name_of(r))]), r

def test_packages_asked_for_by_name():
    asked = 'torch jupyterlab papermill nbdev matplotlib seaborn scikit-learn opencv-python pandas ptflops'.split()
    assert set(asked) <= {canonical(name_of(r)) for r in requirements()}

def test_torch_is_the_pinned_pair():
    assert pins()['torch'] == '2.13.0' and pins()['torchvision'] == '0.28.0'

if __name__ == '__main__':
    (ROOT/'environment.yml').write_text(environment())
