"""The process that workers are forked from: one thread, no CUDA, and all that a run needs in memory."""

import json
import os
import subprocess
import sys
import time

import pytest

from lossbench.sweep import plan as plans
from lossbench.sweep.server import LONGEST, send, targets
from lossbench.sweep.server_process import ServerProcess
from tests.sweep.test_plan import make

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

REHEARSAL = """
import gc, json, os, sys, threading
from pathlib import Path
from lossbench.sweep import plan, server

server.import_engine()
lines = Path(sys.argv[1]).read_bytes().splitlines()
server.warm(json.loads(lines[0])["config"])
server.rehearse(json.loads(lines[0])["config"])
import torch
print("threads", len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count())
print("cuda", torch.cuda.is_initialized())
print("dynamo", "torch._dynamo" in sys.modules)
before = set(sys.modules)
pid = os.fork()
if pid == 0:
    from lossbench.run import execute
    execute(plan.from_line(lines[0]))
    print("new", sorted(set(sys.modules) - before), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_worker_imports_nothing_and_starts_no_thread_in_the_server(tmp_path):
    plan = make("loss=focal", "budget.steps=1", f"outputs={tmp_path}", "augmentation=[mixup]", "schedule=cosine")
    path = plans.write(plan, tmp_path)
    done = subprocess.run([sys.executable, "-c", REHEARSAL, str(path)], capture_output=True, text=True, timeout=100)
    printed = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert printed["threads"] == "1", done.stdout + done.stderr
    assert printed["cuda"] == "False" and printed["dynamo"] == "False"
    assert printed["new"] == "[]"
    assert plan.runs[0].finished


def test_targets():
    config = {"loss": {"_target_": "a.b", "x": {"_target_": "c.d"}}, "l": [{"_target_": "e.f"}], "n": None, "s": "a.b"}
    assert targets(config) == {"a.b", "c.d", "e.f"}


def test_no_message_is_longer_than_a_pipe_takes_in_one_piece():
    receive, write = os.pipe()
    send(write, {"warn": 1, "text": "\u00e4" * 5000})
    content = os.read(receive, 65536)
    assert len(content) <= LONGEST and content.endswith(b"\n")
    message = json.loads(content)
    assert message["warn"] == 1 and message["text"].startswith("\u00e4" * 300) and message["text"].endswith("...")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux shows the environment of a process")
def test_workers_keep_freed_memory_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    server = ServerProcess()
    try:
        wanted, found, until = str(2**25), {}, time.monotonic() + 30
        while found.get("MALLOC_MMAP_THRESHOLD_") != wanted and time.monotonic() < until:  # it has to be there first
            with open(f"/proc/{server.process.pid}/environ") as file:
                found = dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)
    finally:
        server.close(at_once=True)
    assert found["MALLOC_TRIM_THRESHOLD_"] == "1000" and found["MALLOC_MMAP_THRESHOLD_"] == wanted
