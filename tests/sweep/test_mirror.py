"""A sweep mirrored to wandb: every run, in a group of the sweep's name."""

from lossbench.loggers.run_files import read_marker
from lossbench.sweep import plan as plans
from tests.sweep.support import sweep, user  # noqa: F401


def test_every_run_of_a_sweep_is_mirrored(user, tmp_path, capfd):  # noqa: F811
    outputs = tmp_path / "outputs"
    arguments = ["loss=misbehaving", "loss.kind=0,3", "budget.steps=2", "logger=wandb", "logger.wandb.mode=offline"]
    assert sweep(user, outputs, *arguments) == 1
    assert "wandb: 2 offline runs in" in capfd.readouterr().out
    (path,) = outputs.rglob("plan.jsonl")
    for prepared in plans.read(path):
        marker = read_marker(prepared.folder)
        assert marker["mode"] == "offline" and marker["id"]
        files = list((outputs / "wandb").glob(f"*{marker['id']}*/*.wandb"))
        assert len(files) == 1 and path.parent.name.encode() in files[0].read_bytes()  # the group
