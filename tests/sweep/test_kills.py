"""SIGKILL of the parent, of the server and of workers at random moments: nothing is lost and nothing is done twice.

LOSSBENCH_KILLS=20 pytest tests/sweep/test_kills.py -s    the long form, which tells of every kill
"""

import os
import random
import signal
import sys
import time
import uuid

import pytest

from tests.sweep.support import family, records, results, same_results, stamps, train, until, user  # noqa: F401

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

KILLS = int(os.environ.get("LOSSBENCH_KILLS", "4"))
RUNS = 40
STEPS = 30 if KILLS > 10 else 12
SWEEP = [f"seed=range(0,{RUNS})", "loss=slow", "loss.seconds=0.01", f"budget.steps={STEPS}", "evaluation.steps=5",
         "hydra.launcher.slots=2"]  # fmt: skip


def test_random_kills(user, tmp_path):  # noqa: F811
    outputs, mark, chance = tmp_path / "outputs", uuid.uuid4().hex, random.Random(KILLS)
    finished: dict[str, tuple] = {}
    done, commands = 0, 0
    running = None
    try:
        while done < KILLS and len(finished) < RUNS:
            if running is None or running.process.poll() is not None:
                running = train(user, outputs, *SWEEP, "checkpoint.seconds=0", mark=mark)
                commands += 1
            until(lambda: running.workers() or running.process.poll() is not None)  # noqa: B023
            time.sleep(chance.uniform(0, 0.8))
            workers = running.workers()
            servers = [pid for pid in running.family() if pid != running.process.pid and pid not in workers]
            whom = chance.choices(["parent", "worker", "server"], [0.45, 0.45, 0.1])[0]
            victims = {"parent": [running.process.pid], "worker": workers, "server": servers}[whom]
            if running.process.poll() is not None or not victims:
                continue
            os.kill(chance.choice(victims), signal.SIGKILL)
            done += 1
            if whom == "parent":
                seconds = until(lambda: family(mark) == [], 2)
                running.process.communicate()
                running = None
                left = f", the last process was gone after {seconds:.2f} s"
            else:
                left = ""
            now = stamps(outputs)
            assert finished.items() <= now.items(), "a finished run was done again"
            finished = now
            print(f"kill {done}: the {whom}; {len(finished)} of {RUNS} finished{left}", flush=True)
        if running is not None:
            running.wait()
        code, printed = train(user, outputs, *SWEEP, "checkpoint.seconds=0", mark=mark).wait()
        commands += 1
    finally:
        for pid in family(mark):
            os.kill(pid, signal.SIGKILL)
    assert code == 0, printed
    assert f"{RUNS} completed" in printed.splitlines()
    assert finished.items() <= stamps(outputs).items() and len(stamps(outputs)) == RUNS
    assert (
        len(records(outputs)) == RUNS and not list(outputs.rglob("checkpoint-*")) and not list(outputs.rglob(".*.tmp"))
    )

    undisturbed = train(user, tmp_path / "undisturbed", *SWEEP, mark=mark)
    code, printed = undisturbed.wait()
    assert code == 0, printed
    assert same_results(results(outputs), results(tmp_path / "undisturbed"))
    resumed = sum(record["resumed"] for record in records(outputs))
    print(f"{done} kills, {commands} commands, {resumed} resumptions: {RUNS} runs, equal to an undisturbed sweep")
    assert done == KILLS and family(mark) == []
