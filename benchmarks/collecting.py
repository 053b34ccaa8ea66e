"""Collecting the records of many runs: one real run, its record copied under other names, seeds and numbers."""

import json
from pathlib import Path

from benchmarks.measure import Row, now, spread
from benchmarks.workloads import prepared
from lossbench import run
from lossbench.results import collect


def collect_records(folder: Path, *, turns: int, records: int) -> Row:
    record = run.execute(prepared(["budget.steps=1"], folder / "one"))
    runs = folder / "many" / "runs"
    for i in range(records):
        name = f"{i:016x}"
        own = runs / f"digits/mlp/cross_entropy/seed{i}-{name[-8:]}"
        own.mkdir(parents=True)
        copy = {**record, "run": name, "folder": str(own.relative_to(runs)), "seed": i}
        copy["config"] = {**record["config"], "seed": i}
        copy["best"] = {key: value + i * 1e-9 for key, value in record["best"].items() if value is not None}
        (own / "record.json").write_text(json.dumps(copy, indent=1))
    read, whole = [], []
    for _ in range(turns):
        begun = now()
        rows, columns = collect.collect(folder / "many")
        collected = now()
        assert len(rows) == records
        collect.write(folder / "many", rows, columns)
        read.append(collected - begun)
        whole.append(now() - begun)
    scale = 10_000 / records
    wall = spread([t.wall * scale for t in read])
    files = spread([t.processor * scale for t in whole])
    note = f"wall {wall['value']:.2f} s; with writing results.csv and results.parquet {files['value']:.2f} s"
    return Row(
        "collect",
        "collect the records of 10,000 runs into rows",
        "s",
        **spread([t.processor * scale for t in read]),
        most=1.0,
        note=note + ("" if records == 10_000 else f"; extrapolated from {records} records"),
        details={"wall": wall, "with_files": files, "records": records},
    )
