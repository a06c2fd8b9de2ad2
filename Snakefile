# corpus -> faces -> run -> page -> report, generated from the declared targets.
# `make reproduce` and `ffd_reproduce` call it; alone: snakemake -j2 --config profile=smoke targets=ldfnet/table-3
import os
import shlex
import sys
from pathlib import Path
from ffd_repro.base.warm import ADDRESS, PYTHON
from ffd_repro.pages.batch import Work

PROFILE = config.get("profile", "smoke")
work = Work(PROFILE, config.get("targets", "all"), config.get("plan", "")) # plan: which runs make up a job of a cluster
PY = shlex.join(PYTHON) # python, or a fork of a process that has its imports where one is kept
BIN = f"{PY} {shlex.quote(str(Path(sys.executable).parent))}"

onstart: # the limit of jobs a second starts a timer for every finished job, and each wakes the scheduler once a second: for clusters only
    if os.environ.get(ADDRESS): workflow.scheduler.job_rate_limiter = None

rule all:
    input: work.report

rule corpus:
    output: touch(work.mark("corpus", "{corpus}"))
    log: work.log("corpus", "{corpus}")
    threads: work.workers
    shell: "{BIN}/ffd_corpus {wildcards.corpus:q} --profile {PROFILE:q} --workers {threads} > {log:q} 2>&1"

rule faces:
    input: lambda w: work.corpora(w.store)
    output: touch(work.mark("faces", "{store}"))
    log: work.log("faces", "{store}")
    params: command=lambda w: work.requests[w.store].command
    threads: work.workers
    shell: "{BIN}/{params.command} > {log:q} 2>&1"

rule run:
    input: lambda w: [work.mark("faces", store) for store in work.stores(w.run)]
    output: touch(work.mark("run", "{run}"))
    log: work.log("run", "{run}")
    params: command=lambda w: work.script(w.run, BIN)
    resources:
        runtime=lambda w: work.asks(w.run)["runtime"],
        mem_mb=lambda w: work.asks(w.run)["mem_mb"],
        gpu=lambda w: work.asks(w.run)["gpu"]
    shell: "({params.command}) > {log:q} 2>&1"

rule page:
    input: lambda w: work.inputs(f"{w.paper}/{w.item}")
    output: work.page("{paper}/{item}")
    log: work.log("page", "{paper}_{item}")
    shell: "{BIN}/ffd_page {wildcards.paper:q}/{wildcards.item:q} --profile {PROFILE:q} > {log:q} 2>&1"

rule report:
    input: [work.page(key) for key in work.targets]
    output: work.report
    log: work.log("report", "all")
    shell: "{BIN}/ffd_report --profile {PROFILE:q} > {log:q} 2>&1"
