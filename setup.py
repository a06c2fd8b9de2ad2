"""Everything comes from settings.ini."""
from configparser import ConfigParser
from setuptools import find_packages, setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
extras = {key.removesuffix('_requirements'): cfg[key].split() for key in cfg if key.endswith('_requirements')}
apart = ('faces', 'imagenet', 'site', 'cluster')
extras['dev'] = sorted({package for name, packages in extras.items() if name not in apart for package in packages})

setup(name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
      author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], license='Apache-2.0',
      long_description=open('README.md', encoding='utf-8').read(), long_description_content_type='text/markdown',
      classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Science/Research', 'Programming Language :: Python :: 3'],
      packages=find_packages(include=['ffd_repro', 'ffd_repro.*']), package_data={'ffd_repro': ['py.typed', 'weights/*/*']}, zip_safe=False,
      python_requires='>=' + cfg['min_python'], install_requires=cfg['requirements'].split(), extras_require=extras,
      entry_points={'console_scripts': cfg['console_scripts'].split()})
