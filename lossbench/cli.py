"""The command line: parses, calls, prints. Heavy imports happen in the commands that need them.

Exit codes: 0 done; 1 runs failed or diverged; 2 usage: nothing was done; 130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import RunError, UsageError, nearest
from lossbench.frozen import replacing

if TYPE_CHECKING:
    from lossbench.preparing import Prepared

USAGE = """lossbench: does this loss really help?

  lossbench train [key=value ...]       train one run; -m for a sweep over comma-separated values
  lossbench collect                     all runs into one table: results.csv, results.parquet
  lossbench compare --by loss           differences, paired by seed, with intervals and a verdict
  lossbench report                      one self-contained HTML file: tables and plots
  lossbench paper SLUG                  run a paper's claim: method against baseline over seeds, and the verdict
  lossbench sample FOLDER               text from the language model of a finished run
  lossbench list losses|papers|...      what there is
  lossbench show NAME                   one method: documentation, config, papers, tests, files
  lossbench sync | dashboard            wandb: push what is not there yet; build the workspace that compares losses

`lossbench train --help` shows the config groups; `lossbench COMMAND --help` the options of a command.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; exits with a code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = run_command(arguments)
    except UsageError as error:
        complain(error)
        code = 2
    except RunError as error:
        complain(error)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # such as `lossbench list losses | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def complain(error: Exception) -> None:
    """Once, however many processes train together and see it."""
    if not ranks() or os.environ["RANK"] == "0":
        print(f"lossbench: {error}", file=sys.stderr)


def run_command(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if arguments[0] == "--version":
        from lossbench import __version__

        print(f"lossbench {__version__}")
        return 0
    if arguments[0] in COMPLETION:
        return complete(arguments)
    command, *rest = arguments
    if ranks() and command != "train":
        raise UsageError(f"torchrun trains one run on several devices; lossbench {command} is started without it.")
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
    deferred.clear()
    if {"-m", "--multirun"} & set(arguments):
        if ranks():
            raise UsageError("torchrun trains one run on several devices; a sweep (-m) is started without it.")
        # In front: Hydra's parser takes no option between two overrides.
        arguments = ["-m", *(argument for argument in arguments if argument not in ("-m", "--multirun"))]
        if not any(argument.startswith("hydra/sweeper=") for argument in arguments):
            deferred.extend(filter(_can_wait, arguments))
            arguments = [argument for argument in arguments if not _can_wait(argument)]
    arguments = replacing(arguments)
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["lossbench" if COMPLETION & set(arguments) else "lossbench train", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us, and are worded here
    outcomes.clear()
    try:
        hydra.main(version_base="1.3", config_path=None, config_name="train")(job)()
    except Exception as error:
        if full_error or isinstance(error, UsageError | RunError):
            raise
        from lossbench.hydra_errors import worded

        message = worded(error, arguments)
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


COMPLETION = {"-sc", "--shell-completion"}


def complete(arguments: list[str]) -> int:
    """Tab completion, once `eval "$(lossbench -sc install=bash)"` is in force: commands here, overrides by Hydra."""
    line = os.environ.get("COMP_LINE")
    if line is not None:
        words = line.split()
        if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
            print(" ".join(COMMANDS))
            return 0
        if words[1] != "train":
            return 0
        os.environ["COMP_LINE"] = line.replace("train", "", 1)  # Hydra knows one word before the overrides
    return train(arguments)


outcomes: list[int | Exception] = []  # exit codes of this command's runs; Hydra does not hand on what a job returns


# Overrides of a sweep that go to the sweeper directly: Hydra's first composition, which is only about its own settings,
# would refuse a key that only some of the runs have.
deferred: list[str] = []


def _can_wait(argument: str) -> bool:
    key, sign, _ = argument.partition("=")
    return bool(sign) and not key.startswith(("-", "+", "~", "hydra.", "hydra/"))


def job(config: Any) -> None:
    """What Hydra calls for a single run; for a sweep it calls the sweeper, hydra_plugins/lossbench_plugins.py."""
    try:
        outcomes.append(train_one(config))
    except Exception as error:  # kept from Hydra, which would print it in its own way
        outcomes.append(error)


def train_one(config: Any) -> int:
    """One composed config, trained in this process."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from lossbench import composing, preparing

    settings = HydraConfig.get()
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    choices = {key: preparing.one_name(value) for key, value in settings.runtime.choices.items() if not _is_hydra(key)}
    config = {str(key): value for key, value in plain.items()}
    loader = GlobalHydra.instance().config_loader()
    prepared = composing.prepare({**config, "choices": choices}, loader, tuple(settings.overrides.task))
    if ranks():
        from lossbench import distributed

        return distributed.train(prepared, train_prepared)
    return train_prepared(prepared)


def ranks() -> int:
    """How many processes train this run together: torchrun has started this one; 0 without it."""
    number = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
    return number if number > 1 else 0


def _is_hydra(key: str) -> bool:
    return key.startswith("hydra/") or key == "search"


def train_prepared(prepared: "Prepared", together: Any = None) -> int:
    """A run in this process, unless it is finished already.

    together   the processes that train it, this one is the first of; see lossbench/distributed.py
    """
    from lossbench import building, run
    from lossbench.display import Terminal, say
    from lossbench.interrupts import StopOnSignal
    from lossbench.loggers.mirror import mirrored
    from lossbench.trainer import Interrupted

    found = prepared.record
    if found is not None and prepared.finished:
        say(f"{prepared.folder}\nalready {found['status']}, nothing to do; remove the folder to run it again")
        say(summary(found))
        return 0 if found["status"] == "completed" else 1
    terminal = Terminal(metric=prepared.config["selection"]["metric"] or building.default_metric(prepared.config))
    signals = StopOnSignal(patient=together is not None)
    with mirrored([prepared.folder], prepared.config["logger"]["wandb"], say), signals as stop:
        try:
            record = run.execute(prepared, terminal, stop, together)
        except Interrupted as interrupted:
            print(f"lossbench: {interrupted}", file=sys.stderr)
            return 130
        finally:
            terminal.close()
    say(summary(record))
    if prepared.config["profile"]:
        say((prepared.folder / "profile.txt").read_text())
    return 0 if record["status"] == "completed" else 1


def summary(record: dict[str, Any]) -> str:
    """A run's outcome in a few lines."""
    if record["status"] == "diverged":
        return f"diverged after {record['steps']} steps: {record['error']['message']}"
    best = record["best"]
    measured = {key: value for key, value in best.items() if key.startswith("test/") and value is not None}
    tests = [f"{key} {value:.4g}" for key, value in measured.items() if key.count("/") == 1]
    further = len(measured) - len(tests)
    tests += [f"and {further} of further splits, in the record"] if further else []
    rate = record["time"]["steps_per_second"]
    return (
        f"{record['status']}: {record['steps']} steps in {record['time']['train_seconds']:.2f} s "
        f"({rate:.0f} steps/s), best at step {best['step']}\n" + _in_lines(tests)
    )


def _in_lines(words: Sequence[str], width: int = 120) -> str:
    """The words, two spaces between them, in lines of at most this width; none is split."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= width:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


# --- the commands that read -------------------------------------------------------------------------------------


def _parser(command: str, description: str) -> Any:
    import argparse

    return argparse.ArgumentParser(prog=f"lossbench {command}", description=description)


def _add_output_options(parser: Any) -> None:
    parser.add_argument("--outputs", type=Path, default=Path(os.environ.get("LOSSBENCH_OUTPUTS", "outputs")),
                        help="folder of the runs (default: LOSSBENCH_OUTPUTS, or outputs)")  # fmt: skip
    _add_format_option(parser)


def _add_format_option(parser: Any) -> None:
    parser.add_argument("--format", default="table", help="table, csv, json, latex or markdown (default: table)")


def collect(arguments: list[str]) -> int:
    """All runs into results.csv and results.parquet, and a short table."""
    from lossbench.display import say
    from lossbench.results import collect as collecting
    from lossbench.results.tables import Table, show

    parser = _parser("collect", "Gather every run of the outputs folder into results.csv and results.parquet.")
    _add_output_options(parser)
    options = parser.parse_args(arguments)
    rows, columns = collecting.collect(options.outputs)
    if not rows:
        raise UsageError(f"there are no finished runs in {options.outputs / 'runs'}. Run one: lossbench train")
    paths = collecting.write(options.outputs, rows, columns)
    table = Table(*collecting.overview(rows))
    show(table, options.format)
    if options.format == "table":
        running = collecting.unfinished(options.outputs)
        say(f"{len(rows)} runs, {len(running)} begun and not ended; written: {', '.join(map(str, paths))}")
    return 0


def compare(arguments: list[str]) -> int:
    """Differences to a baseline, paired by seed."""
    from lossbench.display import say
    from lossbench.results import collect as collecting
    from lossbench.results import comparing
    from lossbench.results.tables import show

    parser = _parser("compare", "Compare finished runs to a baseline: paired by seed, with t interval, exact sign-flip "
                     "test and Holm correction.")  # fmt: skip
    parser.add_argument("--by", default="loss", help="loss, optimizer, schedule, ... or a config key (default: loss)")
    parser.add_argument("--baseline", help="the value of --by to compare with (default: cross_entropy where present)")
    parser.add_argument("--metric", default="test/accuracy", help="such as test/accuracy (the default)")
    parser.add_argument("--where", action="append", default=[], metavar="KEY=VALUE",
                        help="only runs with this; may be repeated")  # fmt: skip
    parser.add_argument("--tuned", action="store_true", help="every method with its best setting by validation")
    parser.add_argument("--mix", action="store_true", help="allow runs that differ in data, model or budget")
    parser.add_argument("--direction", choices=("higher", "lower"), help="which values of the metric are better")
    _add_output_options(parser)
    options = parser.parse_args(arguments)
    everything = collecting.records(options.outputs)
    if not everything:
        raise UsageError(
            f"there are no finished runs in {options.outputs / 'runs'}. Run some: lossbench train -m loss=focal,brier"
        )
    records = comparing.where(everything, options.where)
    found = comparing.compare_runs(
        records,
        by=options.by,
        metric=options.metric,
        baseline=options.baseline,
        tuned=options.tuned,
        mix=options.mix,
        higher=None if options.direction is None else options.direction == "higher",
    )
    show(comparing.comparison_table(found, options.metric, options.by), options.format)
    overall = comparing.over_datasets_table(found, options.metric, options.by)
    if overall is not None and options.format != "json":  # JSON is one value
        show(overall, options.format)
    if options.format == "table":
        for line in comparing.explanation(found, options.metric, options.direction):
            say(line)
    return 0


def list_names(arguments: list[str]) -> int:
    """What there is, by kind."""
    from lossbench import listing
    from lossbench.display import say
    from lossbench.results.tables import show

    parser = _parser("list", "List what there is.")
    parser.add_argument("kind", help=", ".join(listing.kinds()))
    parser.add_argument("--task", help="only what this task can host")
    parser.add_argument("--family", help="only this family")
    for status in ("hosted", "planned", "not-hosted"):
        parser.add_argument(f"--{status}", dest="status", action="store_const", const=status.replace("-", "_"))
    _add_format_option(parser)
    options = parser.parse_args(arguments)
    table = listing.table(options.kind, task=options.task, family=options.family, status=options.status)
    show(table, options.format)
    if options.format == "table":
        say(f"{len(table.rows)} {options.kind}")
    return 0


def show_name(arguments: list[str]) -> int:
    """Everything about one name."""
    from lossbench import listing
    from lossbench.display import say

    parser = _parser("show", "Documentation, config, papers, tests and files of one name.")
    parser.add_argument("name", help="such as polyloss, or loss/distillation where several groups have the name")
    say(listing.show(parser.parse_args(arguments).name).rstrip("\n"))
    return 0


def report(arguments: list[str]) -> int:
    """One HTML file with everything."""
    from lossbench.results.report_command import run

    return run(arguments)


def paper(arguments: list[str]) -> int:
    """A paper's claim, run: method against baselines over seeds."""
    from lossbench.papers.command import run

    return run(arguments)


def sync(arguments: list[str]) -> int:
    """Push to wandb what is not there yet."""
    from lossbench.loggers.sync import main

    return main(arguments)


def dashboard(arguments: list[str]) -> int:
    """The wandb workspace whose panels compare losses."""
    from lossbench.loggers.dashboard import main

    return main(arguments)


def sample(arguments: list[str]) -> int:
    """Text from the language model of a finished run."""
    from lossbench.sampling import run

    return run(arguments)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "collect": collect,
    "compare": compare,
    "report": report,
    "paper": paper,
    "sample": sample,
    "list": list_names,
    "show": show_name,
    "sync": sync,
    "dashboard": dashboard,
}

if __name__ == "__main__":
    from lossbench import cli  # the module that the sweeper knows; this one is called __main__

    cli.main()
