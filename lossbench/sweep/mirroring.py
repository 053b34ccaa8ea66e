"""The wandb mirror as a follower of a sweep."""

from collections.abc import Callable, Mapping
from typing import Any

from lossbench.loggers.mirror import Mirror
from lossbench.preparing import Prepared
from lossbench.sweep.local import Display


class SweepMirror(Display):
    """Each run is named to it when it starts, or when it is found ended."""

    def __init__(self, logger_config: Mapping[str, Any], say: Callable[[str], None]):
        self.say = say
        self.mirror = Mirror.start([], logger_config)

    def started(self, prepared: Prepared) -> None:
        self._follow(prepared)

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None:
        self._follow(prepared)

    def _follow(self, prepared: Prepared) -> None:
        if prepared.folder.absolute() not in self.mirror.folders:
            self.mirror.add(prepared.folder)

    def close(self) -> None:
        self.say(self.mirror.close())
