"""Where Hydra finds the configs, and the one name: ``loss=focal`` for configs/loss/classification/focal.yaml.

Importing this module imports Hydra and nothing heavy.
"""

import warnings
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lossbench.locations import configs


class NamedConfigSource(FileConfigSource):
    """Files, where ``group/name`` also finds ``group/<any folder>/name``."""

    @staticmethod
    def scheme() -> str:
        return "lossbench"

    def _located(self, config_path: str) -> str:
        """The file's path relative to the source, found one folder deeper where it is not there itself."""
        path = Path(self._normalize_file_name(config_path))
        if path.parent.name and not (Path(self.path) / path).is_file():
            deeper = sorted((Path(self.path) / path.parent).glob(f"*/{path.name}"))
            if deeper:
                return str(deeper[0].relative_to(self.path))
        return config_path

    def load_config(self, config_path: str) -> ConfigResult:
        return super().load_config(self._located(config_path))

    def is_config(self, config_path: str) -> bool:
        return super().is_config(self._located(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The short names, whatever folder they lie in."""
        here = Path(self.path) / config_path
        names = super().list(config_path, results_filter)
        if config_path and results_filter in (None, ObjectType.CONFIG) and here.is_dir():
            names += [path.stem for path in here.glob("*/*.yaml")]
        return sorted(set(names))


class LossbenchSearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("lossbench", f"lossbench://{configs()}")


def register() -> None:
    """Teach this process's Hydra both; may be called again."""
    # A launcher's plugin registers its schema under the name of its config, which validates ours. Hydra warns that this
    # is the old way; the new one would take a second name.
    warnings.filterwarnings("ignore", message="\n'hydra/launcher/.*' is validated against ConfigStore schema")
    plugins = Plugins.instance()  # must exist before the registry, which it fills
    SourcesRegistry.instance().register(NamedConfigSource)
    if LossbenchSearchPath not in plugins.discover(SearchPathPlugin):
        plugins.register(LossbenchSearchPath)
