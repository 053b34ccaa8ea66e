"""The catalogue is complete and well-formed, and the status of each paper follows from the files."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from lossbench import locations
from lossbench.errors import UsageError
from lossbench.papers import catalogue

PAPERS = catalogue.papers()
ROWS = [json.loads(line) for line in catalogue.FILE.read_text(encoding="utf-8").splitlines()]
KNOWN = {"loss": set(), "dataset": set(), "model": set(), "variant": set(), "optimizer": set(), "paper": set()}


def test_all_papers_once_and_in_order():
    slugs = [row["slug"] for row in ROWS]
    assert len(slugs) == 491
    assert slugs == sorted(set(slugs))
    assert [paper.slug for paper in PAPERS] == slugs


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["slug"])
def test_row(row):
    assert set(row) == set(["slug", "title", "arxiv", "year", "family", "role", "priority", "summary", "reason"])
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["slug"])
    for key in ("title", "family", "role", "summary"):
        assert row[key] == row[key].strip() != ""
    assert row["priority"] in {"A", "B", "C", "D"}
    assert row["arxiv"] is None or re.fullmatch(r"\d{2}(0[1-9]|1[0-2])\.\d{4,5}", row["arxiv"])
    assert row["year"] is None or 1950 <= row["year"] <= 2026
    # One sentence: a capital, one full stop, at the end.
    assert len(row["summary"]) <= 200 and row["summary"][0].isupper() and row["summary"].endswith(".")
    assert not re.search(r"[.!?]\s+[A-Z]", row["summary"])
    if row["reason"] is not None:
        assert len(row["reason"]) <= 400 and row["reason"][0].isupper() and row["reason"].endswith(".")
    assert row["reason"] is not None or row["priority"] != "D"


def test_arxiv_ids_and_summaries_are_of_one_paper_each():
    for key in ("arxiv", "summary", "title"):
        counts = Counter(row[key] for row in ROWS if row[key])
        assert [value for value, count in counts.items() if count > 1] == []


def test_arxiv_ids_fit_the_years():
    for row in ROWS:
        if row["arxiv"] and row["year"]:
            assert abs(2000 + int(row["arxiv"][:2]) - row["year"]) <= 3, row["slug"]


def test_every_preset_has_a_row():
    assert set(locations.config_files("paper")) <= {paper.slug for paper in PAPERS}


def test_status_follows_from_the_files():
    for paper in PAPERS:
        path = locations.configs() / "paper" / f"{paper.slug}.yaml"
        assert paper.preset == (path if path.exists() else None)
        if path.exists() and not paper.missing:
            assert paper.status == "hosted" and paper.reason is None, paper.slug  # no reason why it is not
        else:
            assert paper.status == ("not_hosted" if paper.priority == "D" else "planned")


def test_status_of_a_preset_with_a_missing_name(tmp_path):
    for path, text in {
        "loss/classification/polyloss.yaml": "",
        "paper/polyloss.yaml": "defaults:\n  - override /loss: classification/polyloss\n",
        "paper/squentropy.yaml": "defaults:\n  - override /loss: squentropy\n",
        "paper/plt.yaml": "defaults:\n  - override /loss: looped\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = {paper.slug: paper for paper in catalogue.papers(tmp_path)}
    assert found["polyloss"].status == "hosted"
    assert (found["squentropy"].status, found["squentropy"].missing) == ("planned", ("loss/squentropy",))
    assert found["plt"].status == "not_hosted" and found["sam"].status == "planned"


PRESETS = {
    "- override /loss: classification/polyloss  # dataset: wine": {("loss", "classification/polyloss")},
    "# loss: focal\nloss: null\nmodel: mlp": {("model", "mlp")},
    "variant: [long_tailed, noisy]": {("variant", "long_tailed"), ("variant", "noisy")},
    "  - override /variant:\n    - long_tailed\n    - noisy": {("variant", "long_tailed"), ("variant", "noisy")},
    "baselines: [{loss: cross_entropy}, {loss: focal, model: mlp}]": {
        ("loss", "cross_entropy"),
        ("loss", "focal"),
        ("model", "mlp"),
    },
    "gpu: [dataset=cifar10, 'model=resnet18', loss=a,b,optimizer=sgd]": {
        ("dataset", "cifar10"),
        ("model", "resnet18"),
        ("loss", "a"),
        ("loss", "b"),
        ("optimizer", "sgd"),
    },
    "[optimizer@optimizer.base=sgd, model=mlp]\n- override /optimizer@optimizer.base: adam": {
        ("optimizer", "sgd"),
        ("model", "mlp"),
        ("optimizer", "adam"),
    },
    "loss:\n  epsilon: 1.0\noptimizer: {lr: 0.1}\nloss.gamma: 2": set(),
    "  optimizer: SGD with momentum, section 4": set(),
    "paper:\n  claim: A loss that is lower.": set(),
}


@pytest.mark.parametrize("text", PRESETS)
def test_choices(text):
    assert catalogue.choices(text, KNOWN) == PRESETS[text]


@pytest.mark.parametrize("path", locations.config_files("paper").values(), ids=lambda path: path.stem)
def test_choices_of_the_defaults_lists_against_a_yaml_parser(path):
    text = path.read_text(encoding="utf-8")
    known = {group: set() for group in locations.groups()}
    for entry in yaml.safe_load(text).get("defaults", []):
        for key, names in entry.items() if isinstance(entry, dict) else ():
            group = key.split()[-1].lstrip("/").split("@")[0]
            for name in [names] if isinstance(names, str) else names or []:
                assert (group, name) in catalogue.choices(text, known)


def test_find():
    assert catalogue.find("polyloss").arxiv == "2204.12511"
    with pytest.raises(UsageError, match="did you mean 'polyloss'"):
        catalogue.find("polylos")
    with pytest.raises(UsageError, match="lossbench list papers"):
        catalogue.find("qqqqqqqqqqqq")


def test_listing_loads_nothing_heavy():
    code = (
        "import sys; from lossbench.papers import catalogue; catalogue.papers();"
        "print([m for m in ('torch', 'numpy', 'hydra', 'omegaconf', 'yaml', 'rich', 'jaxtyping') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
