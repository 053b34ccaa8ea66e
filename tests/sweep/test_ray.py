"""Ray on this machine starts the jobs of a frozen plan, and no process of it is left afterwards."""

import shutil
import sys
import tempfile
from importlib.util import find_spec

import pytest

from tests.sweep.support import user  # noqa: F401
from tests.sweep.test_cluster import four_runs_two_of_which_fail, mark  # noqa: F401


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_ray_launcher") is None, reason="no [cluster]")
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_ray_on_this_machine(user, mark, tmp_path, capfd, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HOME", str(tmp_path))  # ray keeps a token there
    short = tempfile.mkdtemp(dir="/tmp")  # the path of a socket must be short
    launcher = [
        "hydra/launcher=ray",
        f"+hydra.launcher.ray.init._temp_dir={short}",
        "hydra.launcher.ray.init.num_cpus=2",
    ]
    try:
        four_runs_two_of_which_fail(user, tmp_path / "out", capfd, monkeypatch, *launcher)
    finally:
        shutil.rmtree(short, ignore_errors=True)
