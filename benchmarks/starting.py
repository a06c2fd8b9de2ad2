"""What it costs to start: commands and a page by pythons of their own, and as forks of a warm process. Prints processor seconds."""
import os
import resource
import subprocess
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
from ffd_repro.base.warm import PYTHON, warm
from ffd_repro.pages.batch import HEAVY

BIN = Path(sys.executable).parent
COMMANDS = ('ffd_list detectors', 'ffd_train --help', 'ffd_page mclcr/table-1 --profile small --no_train')

def used():
    "Processor seconds of all children that have ended."
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime

def cost(start, command):
    "Of a command with everything that it starts; a server's children are counted when the server has ended."
    name, *words = command.split()
    subprocess.run([*start, BIN/name, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

if __name__ == '__main__':
    print(f'{"command":55s} {"python":>8s} {"warm":>8s}')
    for command in COMMANDS:
        before = used()
        cost([sys.executable], command)
        alone, before = used() - before, used()
        with warm(*HEAVY): cost(PYTHON, command)
        print(f'{command:55s} {alone:8.1f} {used() - before:8.1f}')
