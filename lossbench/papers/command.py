"""`lossbench paper`: runs the claims of papers and says whether they hold."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from lossbench.papers.claims import Claim


def run(arguments: Sequence[str]) -> int:
    """0: every verdict is there, whatever it is; 1: runs failed, diverged or have not ended; 130: interrupted."""
    options = _parser().parse_args(arguments)
    if options.table:
        if options.slugs or options.all or options.family:
            raise UsageError(
                "--table makes the table of the verdicts that are there; it goes with no paper. Run them first."
            )
        return _publish(options.outputs, options.reference or options.outputs / "reference")
    if options.seeds is not None and options.seeds < 1:
        raise UsageError(f"--seeds {options.seeds} must be a whole number >= 1.")

    from lossbench.display import say
    from lossbench.papers import claims
    from lossbench.results.tables import show

    loader = config_loader(options.config_dir)
    common = claims.overrides({"outputs": str(options.outputs)})
    chosen = []
    for slug in _slugs(options):
        try:
            chosen.append(
                claims.load(
                    slug, loader, seeds=options.seeds, scale=options.scale, common=common, own=options.config_dir
                )
            )
        except UsageError as error:
            if not options.all:
                raise
            say(f"left out: {error}")
        except Exception as error:
            raise _worded(slug, error) from error
    if not chosen:
        raise UsageError(
            "none of these papers can be run like this. 'lossbench list papers --hosted' has those with a preset."
        )
    code = _launch(chosen, options.dry_run)
    if options.dry_run:
        return 0

    verdicts = []
    for claim in chosen:
        if missing := claims.unfinished(claim):
            say(f"{claim.slug}: not decided, {missing} of {len(claim.runs)} runs have not ended")
            continue
        verdict = claims.judge(claim)
        path = claims.write(verdict, options.outputs)
        verdicts.append(verdict)
        if len(chosen) == 1 or options.format == "table":
            show(claims.table([verdict]), options.format)
        if options.format == "table":
            for line in claims.explanation(verdict):
                say(line)
            say(f"  written: {path}\n")
    if len(chosen) > 1 and verdicts:
        show(claims.table(verdicts), options.format)
    records = [prepared.record for claim in chosen for prepared in claim.runs]
    completed = all(record is not None and record["status"] == "completed" for record in records)
    return max(code, 0 if completed else 1)


def _parser() -> Any:
    import argparse

    parser = argparse.ArgumentParser(
        prog="lossbench paper",
        description="Run the claims of papers, method against baselines over seeds, and say whether they hold: "
        "supported, contradicted or inconclusive. Finished runs are not run again.",
    )
    add = parser.add_argument
    add("slugs", nargs="*", metavar="paper", help="such as polyloss; see lossbench list papers --hosted")
    add("--all", action="store_true", help="every hosted paper")
    add("--family", help="with --all: only of this family, such as classification")
    add("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (default: as many as the preset says)")
    add("--scale", choices=("cpu", "gpu"), default="cpu", help="the preset, or its variant for a GPU (default: cpu)")
    add("--dry-run", action="store_true", help="only say what would run")
    add("--table", action="store_true", help="write verdicts.md and verdicts.csv from all verdicts that were run")
    add("--reference", type=Path, metavar="FOLDER", help="where --table writes (default: reference in --outputs)")
    add("--config-dir", type=Path, metavar="FOLDER", help="your own configs, presets in its folder paper")
    outputs = Path(os.environ.get("LOSSBENCH_OUTPUTS", "outputs"))
    add("--outputs", type=Path, default=outputs, help="folder of the runs (default: LOSSBENCH_OUTPUTS, or outputs)")
    add("--format", default="table", help="table, csv, json, latex or markdown (default: table)")
    return parser


def _slugs(options: Any) -> list[str]:
    from lossbench.papers import catalogue

    if options.all and options.slugs:
        raise UsageError("--all runs every hosted paper; it goes with no single paper. Leave one of them out.")
    if options.family and not options.all:
        raise UsageError("--family goes with --all: lossbench paper --all --family classification")
    if not (options.all or options.slugs):
        raise UsageError(
            "which paper? Give its name, such as polyloss, or --all; 'lossbench list papers --hosted' has them."
        )
    if not options.all:
        return list(dict.fromkeys(options.slugs))
    papers = catalogue.papers()
    families = sorted({paper.family for paper in papers})
    if options.family and options.family not in families:
        near = nearest(options.family, families) or "."
        raise UsageError(f"--family {options.family}: there is no such family{near} There are: {', '.join(families)}.")
    found = [p.slug for p in papers if p.status == "hosted" and options.family in (None, p.family)]
    if not found:
        raise UsageError(f"no paper of the family {options.family} is hosted yet. See lossbench list papers.")
    return found


def config_loader(own: Path | None = None) -> Any:
    """Hydra's loader over lossbench's configs, and a folder of the user's before them; outside of hydra.main."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    from lossbench import hydra_configs

    if own is not None and not own.is_dir():
        raise UsageError(f"--config-dir {own}: there is no such folder.")
    hydra_configs.register()
    return ConfigLoaderImpl(create_config_search_path(None if own is None else str(own.absolute())))


def _worded(slug: str, error: Exception) -> Exception:
    """Hydra's error of composing a preset as a UsageError; any other as it is."""
    from lossbench.hydra_errors import worded

    message = worded(error)
    return error if message is None else UsageError(f"paper={slug}: {message}")


def _launch(chosen: "Sequence[Claim]", dry_run: bool) -> int:
    """Run what is not finished, all claims in one plan; returns the exit code of the sweep."""
    from lossbench.display import say
    from lossbench.papers import claims
    from lossbench.sweep import command as sweeping
    from lossbench.sweep import plan as plans

    plan = claims.plan_of(chosen)
    found = [prepared.record for prepared in plan.runs]
    pending = sweeping.select(plan, found)
    waiting = {prepared.run for prepared in pending.values()}
    for claim in chosen:
        ended = sum(prepared.run not in waiting for prepared in claim.runs)
        arms = f"method and {len(claim.baselines)} baseline{'s' if len(claim.baselines) > 1 else ''}"
        trials = len(claim.method.options())
        tuned = f", {trials} settings each" if trials > 1 else ""
        say(f"{claim.slug}: {arms}, {len(claim.seeds)} seeds{tuned}: {len(claim.runs)} runs, {ended} finished before")
    say(f"{len(plan.runs)} runs in all, {len(plan.runs) - len(pending)} finished before, {len(pending)} to do")
    for line in sweeping.estimate(pending) if pending else ():
        say(line)
    if dry_run or not pending:
        return 0
    path = plans.write(plan, plan.runs[0].outputs / "sweeps" / plan.name)
    code = sweeping.launch(path, plan, pending, {"_target_": sweeping.LOCAL}, None, None, None)  # type: ignore[arg-type]
    for line in sweeping.closing(plan, [record for p in plan.runs if (record := p.record) is not None]):
        say(line.replace("retry=failed runs just the failed ones again", "the same command runs the failed ones again"))
    return code


def _publish(outputs: Path, folder: Path) -> int:
    from lossbench.display import say
    from lossbench.papers import claims

    verdicts = claims.read_all(outputs)
    if not verdicts:
        raise UsageError(f"there are no verdicts in {outputs / 'papers'}. Run a paper first: lossbench paper polyloss")
    paths, kept = claims.publish(verdicts, folder)
    say(f"{len(verdicts)} verdicts written: {', '.join(map(str, paths))}")
    if kept:
        say(f"kept from before, without a verdict here: {', '.join(kept)}")
    return 0
