"""What Hydra finds by itself: the config source, the sweeper and the local launcher of lossbench.

Hydra imports this module at every start, also of other applications in the same environment: it must stay light, and it
does nothing until a config chooses it.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from lossbench.hydra_configs import NamedConfigSource  # noqa: F401  (found here by Hydra, in every process)


class LossbenchSweeper(Sweeper):
    """Expands, freezes, checks and runs a plan; see lossbench/sweep/plan.py."""

    def __init__(self, **options: Any):
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        from lossbench import cli
        from lossbench.sweep.server_process import ServerProcess

        assert self.hydra_context is not None and self.config is not None
        forks = self.config.hydra.launcher._target_ in (f"{__name__}.LocalLauncher", f"{__name__}.VectorizedLauncher")
        # Before torch is imported here, which it does at the same time.
        server = ServerProcess() if forks and not self.options.get("dry_run") else None
        try:
            from lossbench.sweep.command import sweep

            everything = [*arguments, *cli.deferred]
            return sweep(everything, self.hydra_context, self.config, server=server, **self.options)
        finally:
            if server is not None:
                server.close(at_once=True)


class LocalLauncher(Launcher):
    """A name for the config; the sweeper runs plans on this machine itself, through lossbench/sweep/local.py."""

    def __init__(self, **options: Any):
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None: ...

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        raise NotImplementedError("hydra/launcher=local needs hydra/sweeper=lossbench")


class VectorizedLauncher(LocalLauncher):
    """A name for the config, too: many runs as one program, through lossbench/vectorized/launcher.py."""
