"""The way to a cluster, with this machine standing in: a plan is written, read by Snakemake, and its jobs make the runs."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path
import pytest
import yaml
from ffd_repro.base.paths import cache, root
from ffd_repro.pages.batch import Work, cluster_folder, plan_for
from ffd_repro.pages.cluster import read_plan

TARGET = 'lda/table-8'


@pytest.fixture(scope='module')
def placed(tmp_path_factory):
    "A plan for one table, in folders of its own; faces that lie there already are used."
    folder = tmp_path_factory.mktemp('cluster')
    (folder/'cache').mkdir()
    for name in ('standins', 'faces'):
        if (cache()/name).exists(): (folder/'cache'/name).symlink_to(cache()/name)
    with pytest.MonkeyPatch.context() as m:
        m.setenv('FFD_CACHE', str(folder/'cache'))
        m.setenv('FFD_RESULTS', str(folder/'results'))
        work = Work('smoke', TARGET)
        yield work, plan_for(work, minutes=60, tflops=.05)


def snakemake(written, *words):
    "Snakemake, as `ffd_reproduce` starts it."
    config = ['--config', 'profile=smoke', f'targets={TARGET}', f'plan={written}']
    command = [sys.executable, '-m', 'snakemake', '--snakefile', str(root()/'Snakefile'), '--directory', str(cache()), *words, *config]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def test_jobs_ask_for_what_the_plan_says(placed):
    work, written = placed
    jobs = read_plan(written)
    assert sorted(s.id for job in jobs.values() for s in job['runs']) == sorted(work.todo) and len(jobs) < len(work.todo)
    code, said = snakemake(written, '--profile', cluster_folder('profiles/local'), '-n')
    assert code == 0, said[-2000:]
    asked = {m[1]: m[2] for m in re.finditer(r'wildcards: run=(\S+)\n(?:.*\n)*?\s+resources: (.*)', said)}
    assert set(asked) == set(jobs)
    for name, job in jobs.items():
        for key, value in job['needs'].items(): assert f'{key}={value}' in asked[name]


ONE = """
rule all:
    output: touch("made")
    resources: runtime=lambda w: 7, mem_mb=lambda w: 321, gpu=lambda w: 1
    shell: "echo $OMP_NUM_THREADS > threads"
"""
KUBECTL = """#!{python}
import os, subprocess, sys, yaml
if sys.argv[1] == 'create':
    job = yaml.safe_load(sys.stdin)
    todo = job['spec']['template']['spec']['containers'][0]
    env = os.environ | dict((e['name'], e['value']) for e in todo['env'])
    code = subprocess.run(todo['command'], cwd=todo['workingDir'], env=env, capture_output=True).returncode
    open('state', 'w').write('/1' if code else '1/')
    yaml.safe_dump(job, open('job.yaml', 'w'))
else: print(open('state').read())
"""


def one_job(folder, name, *words, **more):
    "A workflow of one job by a profile."
    (folder/'Snakefile').write_text(ONE)
    command = [sys.executable, '-m', 'snakemake', '--directory', str(folder), '--snakefile', str(folder/'Snakefile'), '--latency-wait', '5']
    env = os.environ | more
    done = subprocess.run([*command, '--profile', cluster_folder(f'profiles/{name}'), *words], capture_output=True, text=True, timeout=300,
                          env=env, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def test_the_profile_of_slurm_is_one_that_its_plugin_reads(tmp_path):
    pytest.importorskip('snakemake_executor_plugin_slurm')
    assert 'runtime=7' in one_job(tmp_path, 'slurm', '-n')


def test_a_job_becomes_one_of_kubernetes(tmp_path):
    "A stand-in for kubectl gets what was asked for, and runs it: a second Snakemake, as on another node."
    pytest.importorskip('snakemake_executor_plugin_cluster_generic')
    tool, where = tmp_path/'bin'/'kubectl', str(tmp_path)
    tool.parent.mkdir()
    tool.write_text(KUBECTL.format(python=sys.executable))
    tool.chmod(0o755)
    one_job(tmp_path, 'kubernetes', PATH=f'{tool.parent}:{os.environ["PATH"]}', FFD_PROFILE=cluster_folder('profiles/kubernetes'),
            FFD_IMAGE='image', FFD_CLAIM='claim', FFD_VOLUME='/mnt', FFD_CACHE=where, FFD_RESULTS=where)
    job = yaml.safe_load((tmp_path/'job.yaml').read_text())['spec']
    asked = job['template']['spec']['containers'][0]['resources']['limits']
    assert asked == {'cpu': '1', 'memory': '321Mi', 'nvidia.com/gpu': '1'} and job['activeDeadlineSeconds'] == 7*60
    assert (tmp_path/'made').exists() and (tmp_path/'threads').read_text() == '1\n'


def test_a_batch_by_the_stand_in(placed):
    "Every run of the plan is there afterwards, made by the job that it was given to."
    work, written = placed
    command = [Path(sys.executable).parent/'ffd_reproduce', '--targets', TARGET, '--cluster', 'profiles/local', '--minutes', '60']
    done = subprocess.run([*command, '--tflops', '.05'], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    jobs = json.loads(Path(written).read_text())
    made = {p.stem for p in Path(os.environ['FFD_RESULTS']).rglob('runs/*.json')}
    assert set(work.todo) <= made and {p.name for p in (cache()/'marks'/'smoke'/'run').iterdir()} >= set(jobs)
    assert not Work('smoke', TARGET).todo


