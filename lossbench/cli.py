"""The command line: parses, calls, prints. Heavy imports happen in the commands that need them.

Exit codes: 0 done; 1 runs failed or diverged; 2 usage: nothing was done; 130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lossbench.errors import RunError, UsageError, nearest

USAGE = """lossbench: does this loss really help?

  lossbench train [key=value ...]       train one run; -m for a sweep over comma-separated values
  lossbench collect                     all runs into one table: results.csv, results.parquet
  lossbench compare --by loss           differences, paired by seed, with intervals and a verdict
  lossbench list losses|papers|...      what there is
  lossbench show NAME                   one method: documentation, config, papers, tests, files

`lossbench train --help` shows the config groups; `lossbench COMMAND --help` the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; exits with a code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = run_command(arguments)
    except UsageError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        code = 2
    except RunError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # such as `lossbench list losses | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if arguments[0] == "--version":
        from lossbench import __version__

        print(f"lossbench {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        raise UsageError(f"there is no command '{command}'{nearest(command, COMMANDS)} See lossbench --help.")
    return COMMANDS[command](rest)


def train(arguments: list[str]) -> int:
    """An ordinary Hydra application: groups, overrides, -m, --cfg job, --info, --config-dir."""
    import hydra

    from lossbench import hydra_configs

    hydra_configs.register()
    codes: list[int] = []

    def job(config: Any) -> None:
        codes.append(train_one(config))

    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["lossbench train", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us, and are worded here
    try:
        hydra.main(version_base="1.3", config_path=None, config_name="train")(job)()
    except Exception as error:
        if full_error or isinstance(error, UsageError | RunError):
            raise
        from lossbench.hydra_errors import worded

        message = worded(error)
        if message is None:
            raise
        raise UsageError(message) from None
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full_error:
            os.environ["HYDRA_FULL_ERROR"] = full_error
    return max(codes, default=0)


def train_one(config: Any) -> int:
    """One composed config, trained in this process."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from lossbench import run
    from lossbench.display import Terminal, say
    from lossbench.interrupts import StopOnSignal
    from lossbench.trainer import Interrupted

    settings = HydraConfig.get()
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    choices = {key: _names(value) for key, value in settings.runtime.choices.items() if not key.startswith("hydra/")}
    prepared = run.prepare({**plain, "choices": choices}, tuple(settings.overrides.task))
    found = prepared.record
    if found is not None and prepared.finished:
        say(f"{prepared.folder}\nalready {found['status']}, nothing to do; remove the folder to run it again")
        say(summary(found))
        return 0 if found["status"] == "completed" else 1
    terminal = Terminal(metric=plain["selection"]["metric"] or run.default_metric(plain))
    with StopOnSignal() as stop:
        try:
            record = run.execute(prepared, terminal, stop)
        except Interrupted as interrupted:
            terminal.close()
            print(f"lossbench: {interrupted}", file=sys.stderr)
            return 130
        finally:
            terminal.close()
    say(summary(record))
    return 0 if record["status"] == "completed" else 1


def _names(choice: Any) -> Any:
    """The one name of a choice: the last part of its path, for each entry of a list."""
    if isinstance(choice, str):
        return choice.rsplit("/", 1)[-1]
    return choice if choice is None else [_names(entry) for entry in choice]


def summary(record: dict[str, Any]) -> str:
    """A run's outcome in a few lines."""
    if record["status"] == "diverged":
        return f"diverged after {record['steps']} steps: {record['error']['message']}"
    best = record["best"]
    tests = [f"{key} {value:.4g}" for key, value in best.items() if key.startswith("test/") and value is not None]
    rate = record["time"]["steps_per_second"]
    return (
        f"{record['status']}: {record['steps']} steps in {record['time']['train_seconds']:.2f} s "
        f"({rate:.0f} steps/s), best at step {best['step']}\n" + "  ".join(tests)
    )


COMMANDS: dict[str, Callable[[list[str]], int]] = {"train": train}

if __name__ == "__main__":
    main()
