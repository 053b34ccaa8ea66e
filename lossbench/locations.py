"""Where the files are: the file system is the registry, and every look-up begins here. Standard library only."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def configs() -> Path:
    """The folder of the configs: inside the package where a wheel is installed, else beside it in the repository."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def groups(folder: Path | None = None) -> list[str]:
    """The config groups: loss, model, paper ...; not Hydra's own settings."""
    return sorted(entry.name for entry in (folder or configs()).iterdir() if entry.is_dir() and entry.name != "hydra")


def config_files(group: str, folder: Path | None = None) -> dict[str, Path]:
    """The config files of a group by name, sorted; the group itself may have folders (families of losses)."""
    found = ((path.stem, path) for path in (folder or configs()).joinpath(group).rglob("*.yaml"))
    return dict(sorted(found))
