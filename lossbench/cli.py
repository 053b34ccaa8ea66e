"""The command line: parses, calls, prints. Heavy imports happen in the commands that need them.

Exit codes: 0 done; 1 runs failed or diverged; 2 usage: nothing was done; 130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import RunError, UsageError, nearest

if TYPE_CHECKING:
    from lossbench.run import Prepared

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
        raise UsageError(f"there is no command '{command}'{nearest(command, COMMANDS) or '.'} See lossbench --help.")
    return COMMANDS[command](rest)


def train(arguments: list[str]) -> int:
    """An ordinary Hydra application: groups, overrides, -m, --cfg job, --info, --config-dir."""
    import hydra

    from lossbench import hydra_configs

    hydra_configs.register()
    if "--dry-run" in arguments:
        arguments = [a for a in arguments if a != "--dry-run"] + ["hydra.sweeper.dry_run=true"]
        if not {"-m", "--multirun"} & set(arguments):
            arguments.insert(0, "-m")
    if {"-m", "--multirun"} & set(arguments):
        arguments = [_deferred(argument) for argument in arguments]
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["lossbench train", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us, and are worded here
    outcomes.clear()
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
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return max((code for code in outcomes if isinstance(code, int)), default=0)


outcomes: list[int | Exception] = []  # exit codes of this command's runs; Hydra does not hand on what a job returns


def _deferred(argument: str) -> str:
    """An override as a choice of one, which Hydra leaves to the sweeper: the first composition of a sweep would refuse
    a key that only some of its runs have."""
    key, sign, value = argument.partition("=")
    if not sign or not value or key.startswith(("-", "+", "~", "hydra.", "hydra/")):
        return argument
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if OverridesParser.create().parse_override(argument).is_sweep_override():
        return argument
    return f"{key}=choice({value})"


def job(config: Any) -> None:
    """What Hydra calls: for a single run, and on a cluster for one run of a frozen plan."""
    try:
        if "plan" in config:
            from lossbench.sweep import plan

            outcomes.append(train_prepared(plan.read(Path(config.plan.file))[config.plan.index]))
        else:
            outcomes.append(train_one(config))
    except Exception as error:  # kept from Hydra, which would print it in its own way
        outcomes.append(error)


def train_one(config: Any) -> int:
    """One composed config, trained in this process."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from lossbench import run

    settings = HydraConfig.get()
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    choices = {key: run.one_name(value) for key, value in settings.runtime.choices.items() if not _is_hydra(key)}
    return train_prepared(run.prepare({**plain, "choices": choices}, tuple(settings.overrides.task)))


def _is_hydra(key: str) -> bool:
    return key.startswith("hydra/") or key == "search"


def train_prepared(prepared: "Prepared") -> int:
    """A run in this process, unless it is finished already."""
    from lossbench import run
    from lossbench.display import Terminal, say
    from lossbench.interrupts import StopOnSignal
    from lossbench.trainer import Interrupted

    found = prepared.record
    if found is not None and prepared.finished:
        say(f"{prepared.folder}\nalready {found['status']}, nothing to do; remove the folder to run it again")
        say(summary(found))
        return 0 if found["status"] == "completed" else 1
    terminal = Terminal(metric=prepared.config["selection"]["metric"] or run.default_metric(prepared.config))
    with StopOnSignal() as stop:
        try:
            record = run.execute(prepared, terminal, stop)
        except Interrupted as interrupted:
            print(f"lossbench: {interrupted}", file=sys.stderr)
            return 130
        finally:
            terminal.close()
    say(summary(record))
    return 0 if record["status"] == "completed" else 1


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
