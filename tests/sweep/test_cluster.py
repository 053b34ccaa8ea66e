"""Engines other than our own start the jobs of a frozen plan: the same records, skips and exit codes."""

import dataclasses
import os
import shutil
import signal
import sys
import textwrap
import time
import uuid
from importlib.util import find_spec

import pytest
from hydra.types import HydraContext
from omegaconf import OmegaConf

from lossbench import cli
from lossbench.sweep import cluster
from lossbench.sweep import plan as plans
from tests.sweep.support import family, records, stamps, sweep, user  # noqa: F401
from tests.sweep.test_plan import Loader, make

has_submitit = pytest.mark.skipif(find_spec("hydra_plugins.hydra_submitit_launcher") is None, reason="no [cluster]")

ARGUMENTS = ["loss=misbehaving", "loss.kind=0,3,5,11", "budget.steps=1"]


@pytest.fixture
def mark(user, monkeypatch):  # noqa: F811
    """Jobs find the user's module, and what is left of them at the end is found and killed."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("LOSSBENCH_TEST", mark)
    monkeypatch.setenv("PYTHONPATH", str(user))
    yield mark
    deadline = time.monotonic() + 15  # an engine's processes end a moment after the last job has its record
    while (left := family(mark) if sys.platform == "linux" else []) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def four_runs_two_of_which_fail(user, outputs, capfd, monkeypatch, *launcher):  # noqa: F811
    """One raises and one crashes; the command after it does those alone, and finds nothing to do in the end."""
    assert sweep(user, outputs, *ARGUMENTS, *launcher) == 1
    printed = capfd.readouterr()
    assert "2 completed, 2 failed" in printed.out, printed
    by_kind = {record["config"]["loss"]["kind"]: record for record in records(outputs)}
    assert [by_kind[kind]["status"] for kind in (0, 3, 5, 11)] == ["completed", "failed", "completed", "failed"]
    assert by_kind[3]["error"]["type"] == "ValueError"
    assert by_kind[11]["error"]["message"] == "the process ended with signal SIGSEGV"
    assert sum(line.startswith("[") for line in printed.out.splitlines()) == 4
    before = stamps(outputs)
    monkeypatch.setenv("HARMLESS", "1")
    assert sweep(user, outputs, *ARGUMENTS, *launcher, "retry=failed") == 0
    printed = capfd.readouterr()
    assert "2 finished before, 2 to do" in printed.out and "4 completed" in printed.out
    assert before.items() <= stamps(outputs).items()
    assert sweep(user, outputs, *ARGUMENTS, *launcher) == 0
    assert "4 finished before, 0 to do" in capfd.readouterr().out


@has_submitit
def test_submitit_on_this_machine(user, mark, tmp_path, capfd, monkeypatch):  # noqa: F811
    four_runs_two_of_which_fail(user, tmp_path / "out", capfd, monkeypatch, "hydra/launcher=submitit_local")


def test_basic_runs_them_in_this_process(user, tmp_path, capfd):  # noqa: F811
    assert sweep(user, tmp_path, "loss=misbehaving", "loss.kind=0,3", "budget.steps=1", "hydra/launcher=basic") == 1
    assert "1 completed, 1 failed" in capfd.readouterr().out
    assert sweep(user, tmp_path, "loss=misbehaving", "loss.kind=0", "budget.steps=1", "hydra/launcher=basic") == 0


def test_a_job_is_a_line_of_the_plan_and_nothing_is_composed(tmp_path, monkeypatch):
    from hydra._internal.callbacks import Callbacks
    from hydra.types import RunMode

    loader = Loader()
    master = loader.load_configuration("train", ["hydra/launcher=basic"], run_mode=RunMode.MULTIRUN)
    plan = make("seed=0,1,2", "budget.steps=1", f"outputs={tmp_path}")
    path = plans.write(plan, tmp_path / "plan = 1")  # a name that would need quoting
    composed = cluster.FrozenLoader().load_sweep_config(master, [f"+plan.file={path}", "+plan.index=2"])
    assert (composed.plan.file, int(composed.plan.index)) == (str(path), 2)
    assert set(composed) == {"hydra", "plan"} and OmegaConf.get_type(composed, "hydra").__name__ == "HydraConf"
    assert cluster.job_here(composed) == "completed"
    assert [prepared.finished for prepared in plan.runs] == [False, False, True]
    assert HydraContext(config_loader=cluster.FrozenLoader(), callbacks=Callbacks()).config_loader  # type: ignore


@has_submitit
def test_what_the_plan_knows_is_filled_in(tmp_path):
    from hydra.types import RunMode

    loader = Loader()
    plan = make("seed=0,1", "threads=4", "device=cuda", f"outputs={tmp_path}", here=False)
    assert [prepared.config["device"] for prepared in plan.runs] == ["cuda", "cuda"]  # though there is none here
    overrides = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.mem_gb=8"]
    config = loader.load_configuration("train", overrides, run_mode=RunMode.MULTIRUN)
    cluster._fill_in(config, plan.runs)
    launcher = config.hydra.launcher
    assert (launcher.cpus_per_task, launcher.gpus_per_node, launcher.partition, launcher.mem_gb) == (4, 1, "gpu", 8)
    assert launcher.submitit_folder == f"{tmp_path}/sweeps/.submitit/%j"
    config = loader.load_configuration(
        "train", [*overrides, "hydra.launcher.cpus_per_task=2"], run_mode=RunMode.MULTIRUN
    )
    cluster._fill_in(config, plan.runs)
    assert config.hydra.launcher.cpus_per_task == 2


@has_submitit
@pytest.mark.parametrize("name, schema", [("submitit_slurm", "SlurmQueueConf"), ("submitit_local", "LocalQueueConf")])
def test_our_keys_are_the_plugin_s(name, schema):
    from hydra_plugins.hydra_submitit_launcher import config as plugin

    from lossbench.locations import configs

    ours = OmegaConf.load(configs() / "hydra" / "launcher" / f"{name}.yaml")
    assert set(ours) <= {field.name for field in dataclasses.fields(getattr(plugin, schema))}


@pytest.mark.parametrize("name", ["submitit_slurm", "submitit_local", "ray"])
def test_without_the_extra_it_is_said_what_to_install(name, monkeypatch, capsys, tmp_path):
    from lossbench.sweep import command

    monkeypatch.setattr(command, "_installed", lambda target: False)
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", f"hydra/launcher={name}", "seed=0,1", f"outputs={tmp_path}"])
    assert caught.value.code == 2
    assert "pip install 'lossbench[cluster]'" in capsys.readouterr().err


def test_slurm_that_is_not_there_is_said_and_leaves_everything_to_do(tmp_path, capfd):
    if find_spec("hydra_plugins.hydra_submitit_launcher") is None or shutil.which("sbatch"):
        pytest.skip("needs [cluster], and a machine without Slurm")
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", "hydra/launcher=submitit_slurm", "seed=0,1", "budget.steps=1", f"outputs={tmp_path}"])
    printed = capfd.readouterr()
    assert caught.value.code == 1
    assert "submitit_slurm: " in printed.err and "2 not run" in printed.out


# Slurm's commands as submitit uses them: a job array whose tasks are done one after another, in the background.
SLURM = {
    "sbatch": """
        import os, re, subprocess, sys
        from pathlib import Path
        text = Path(sys.argv[-1]).read_text()
        Path(os.environ["SUBMITTED"]).write_text(text)
        first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", text).groups())
        print("Submitted batch job 4711", flush=True)
        if os.fork() == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            for i in range(first, last + 1):
                names = {"JOB_ID": 5000 + i, "ARRAY_JOB_ID": 4711, "ARRAY_TASK_ID": i, "NTASKS": 1,
                         "JOB_NUM_NODES": 1, "NODEID": 0, "PROCID": 0, "LOCALID": 0, "JOB_NODELIST": "here"}
                own = {f"SLURM_{name}": str(value) for name, value in names.items()}
                subprocess.run(["bash", sys.argv[-1]], env={**os.environ, **own})
    """,
    "srun": """
        import os, sys
        arguments = sys.argv[1:]
        while arguments[0].startswith("--"):
            arguments = arguments[1 if arguments[0] == "--unbuffered" else 2:]
        os.dup2(os.open(os.environ["PRINTED"], os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)
        os.dup2(1, 2)
        os.execvp(arguments[0], arguments)
    """,
    "sacct": """
        print("JobID|State|NodeList")
        for i in range(4):
            print(f"4711_{i}|RUNNING|here")
    """,
}


@has_submitit
def test_slurm_through_stand_ins_for_its_commands(user, mark, tmp_path, capfd, monkeypatch):  # noqa: F811
    for name, text in SLURM.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(tmp_path / "submitted"))
    monkeypatch.setenv("PRINTED", str(tmp_path / "printed"))
    arguments = ["loss=misbehaving", "loss.kind=0,3", "budget.steps=1", "hydra/launcher=submitit_slurm"]
    assert sweep(user, tmp_path / "out", *arguments, "hydra.launcher.partition=gpu", "hydra.launcher.mem_gb=4") == 1
    printed = capfd.readouterr()
    assert "1 completed, 1 failed" in printed.out, (printed, (tmp_path / "printed").read_text())
    submitted = (tmp_path / "submitted").read_text()
    for line in ("array=0-1%2", "cpus-per-task=1", "partition=gpu", "mem=4GB", "job-name=lossbench", "time=60"):
        assert f"#SBATCH --{line}\n" in submitted
    assert sweep(user, tmp_path / "out", *arguments, "loss.kind=0") == 0
    assert "1 finished before, 0 to do" in capfd.readouterr().out
