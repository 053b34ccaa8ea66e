"""The tables of `lossbench list` and the text of `lossbench show` say what the files and the code say."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lossbench import contract, listing, locations
from lossbench.errors import UsageError
from lossbench.papers import catalogue

KINDS = ["losses", "papers", "datasets", "models", "optimizers", "schedules", "reductions", "regularizers", "variants"]
KINDS += ["augmentations", "tasks"]
FUNCTIONS = [
    pytest.param(path, id=f"{group}/{name}")
    for group in ("loss", "regularizer")
    for name, path in locations.config_files(group).items()
]
CONFIGS = [
    pytest.param(group, path, id=f"{group}/{name}")
    for group in locations.groups()
    for name, path in locations.config_files(group).items()
    if group != "paper"
]


def column(table, name):
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_lists_its_files(kind):
    table = listing.table(kind)
    assert all(len(row) == len(table.columns) for row in table.rows)
    names = column(table, "name")
    assert names == sorted(set(names))
    if kind != "papers":
        assert set(names) == {path.stem for path in (locations.configs() / listing.kinds()[kind]).rglob("*.yaml")}
    assert all(column(table, "summary"))


def test_losses_by_family():
    table = listing.table("losses", family="regression")
    assert set(column(table, "family")) == {"regression"}
    assert set(column(table, "name")) == {path.stem for path in (locations.configs() / "loss/regression").iterdir()}
    everything = listing.table("losses")
    assert column(everything, "family")[column(everything, "name").index("polyloss")] == "classification"


@pytest.mark.parametrize("path", FUNCTIONS)
def test_tensors_read_without_import_are_those_of_the_function(path):
    assert tuple(listing.tensor_names(path)) == contract.tensor_names(listing.load(path))


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression", "distillation"])
def test_losses_by_task(task):
    from lossbench.tasks import tasks

    has = {name for name in dir(tasks()[task]) if not name.startswith("_")} - {"metrics", "batch", "selection"}
    has |= {*tasks()[task].batch, "forward", "model_parameters", "progress"}
    hosted = []
    for name, path in locations.config_files("loss").items():
        module = sys.modules[listing.load(path).__module__]
        own = {word for word in ("params", "state") if hasattr(module, f"init_{word}")}
        if has | own >= set(listing.tensor_names(path)) and "T" not in _axes_of_targets(listing.load(path)):
            hosted.append(name)
    assert column(listing.table("losses", task=task), "name") == listing.compatible(task) == hosted


def _axes_of_targets(loss) -> list[str]:
    """A loss for [B, T] alone does not fit a task with one target an example."""
    parameters = contract.signature(loss)
    return parameters["targets"].annotation.dim_str.split() if "targets" in parameters else []


def test_losses_by_task_by_name():
    assert "cross_entropy" in listing.compatible("classification")
    assert "cross_entropy" in listing.compatible("distillation")
    assert "cross_entropy" not in listing.compatible("regression")
    assert "mean_squared_error" in listing.compatible("regression")
    assert "mean_squared_error" not in listing.compatible("classification")
    assert "l2_norm" in listing.compatible("regression", "regularizer")
    assert "confidence_penalty" not in listing.compatible("regression", "regularizer")


def test_datasets_by_task():
    names = {
        t: column(listing.table("datasets", task=t), "name") for t in ("classification", "distillation", "regression")
    }
    assert "digits" in names["classification"] and "diabetes" not in names["classification"]
    assert names["distillation"] == names["classification"]  # it is classification with a teacher
    assert "diabetes" in names["regression"] and "digits" not in names["regression"]


def test_papers():
    papers = {paper.slug: paper for paper in catalogue.papers()}
    for status in catalogue.STATUSES:
        names = column(listing.table("papers", status=status), "name")
        assert names == [slug for slug, paper in papers.items() if paper.status == status]
    not_hosted = listing.table("papers", status="not_hosted")
    for name, text in zip(column(not_hosted, "name"), column(not_hosted, "summary"), strict=True):
        assert text == f"{papers[name].summary} Not hosted: {papers[name].reason}"
    both = listing.table("papers", family="distillation", status="planned")
    assert set(column(both, "family")) <= {"distillation"} and set(column(both, "status")) <= {"planned"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "losess"}, "did you mean 'losses'"),
        ({"kind": "losses", "family": "clasification"}, "did you mean 'classification'"),
        ({"kind": "losses", "task": "regresion"}, "did you mean 'regression'"),
        ({"kind": "papers", "status": "host"}, "did you mean 'hosted'"),
        ({"kind": "losses", "status": "hosted"}, "--status does not apply to 'losses'.*papers"),
        ({"kind": "models", "task": "regression"}, "--task does not apply to 'models'.*datasets"),
        ({"kind": "schedules", "family": "cosine"}, "--family does not apply to 'schedules'"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(UsageError, match=message):
        listing.table(**arguments)


def test_show_a_loss():
    text = listing.show("polyloss")
    path = locations.configs() / "loss/classification/polyloss.yaml"
    assert listing.docstring(path) in text
    assert "\n  epsilon  2.0  a number >= -1\n" in text
    for line in path.read_text().splitlines():
        assert f"\n  {line}\n" in text
    hosts = text.partition("\nTasks that can host it\n")[2].partition("\n\n")[0].split(", ")
    assert {"classification", "distillation"} <= {host.strip() for host in hosts} and "regression" not in hosts
    for file in (
        "lossbench/losses/classification/polyloss.py",
        "configs/loss/classification/polyloss.yaml",
        "tests/losses/classification/test_polyloss.py",
    ):
        assert f"\n  {file}\n" in text
    assert text.endswith("lossbench show paper/polyloss")
    assert text == listing.show("loss/polyloss") == listing.show("loss/classification/polyloss")
    assert text == listing.show("classification/polyloss")


@pytest.mark.parametrize(("group", "path"), CONFIGS)
def test_show_has_a_summary_and_the_range_of_every_hyperparameter(group, path):
    text = listing.show(f"{group}/{path.stem}")
    assert text.startswith(f"{group}/{path.stem}\n\n{(listing.docstring(path) or listing.summary(path))[:20]}")
    if listing.target(path):
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        node = next(v for v in (values, *values.values()) if isinstance(v, dict) and "_target_" in v)
        keys = [key for key in node if not key.startswith("_") and key != "defaults"]
        section = text.partition("\nHyper-parameters\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section] == keys
        for key, line in zip(keys, section, strict=True):
            assert line.endswith("  " + contract.describe(contract.signature(listing.load(path))[key].annotation))


def test_show_a_task():
    text = listing.show("multilabel")
    assert "  x, labels, ids, class_counts, " in text and "logits, " in text
    assert "binary_cross_entropy" in text and "mean_squared_error" not in text


def test_show_a_paper():
    text = listing.show("paper/polyloss")
    assert "PolyLoss: A Polynomial Expansion Perspective" in text
    assert "https://arxiv.org/abs/2204.12511" in text
    assert "Why it is not hosted\n  An architecture" in listing.show("plt")
    assert "Why" not in text


def test_show_refuses():
    with pytest.raises(UsageError, match="did you mean 'polyloss'"):
        listing.show("polylos")
    with pytest.raises(UsageError, match="did you mean 'polyloss'"):
        listing.show("loss/polylos")
    with pytest.raises(UsageError, match="loss/distillation and task/distillation have this name"):
        listing.show("distillation")


@pytest.fixture
def house(tmp_path: Path, monkeypatch):
    """Another house, with a loss that two presets and a baseline name, and a name in two groups."""
    target = "_target_: lossbench.losses.classification.polyloss.polyloss\n_partial_: true\nepsilon: 5\n"
    for path, text in {
        "train.yaml": "defaults:\n  - task: classification\n  - dataset: a\n",
        "loss/classification/polyloss.yaml": f"# @package loss\n# Poly: summary\n{target}",
        "loss/classification/other.yaml": f"# Other\n{target}",
        "reduction/other.yaml": "# Reduction\n",
        "reduction/multi_similarity.yaml": "# Named like the paper multi-similarity\n",
        "dataset/a.yaml": "# A\n",
        "dataset/b.yaml": "# B\ndefaults:\n  - override /task@_global_.task: regression\n",
        "paper/polyloss.yaml": "defaults:\n  - override /loss: classification/polyloss\n",
        "paper/squentropy.yaml": "paper:\n  baselines: [{loss: polyloss}, {loss: other}]\n",
        "paper/sam.yaml": "defaults:\n  - override /loss: nowhere\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(locations, "configs", lambda: tmp_path)


def test_show_names_the_papers_that_use_it(house):
    papers = listing.show("polyloss").partition("\nPapers\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[:2] for line in papers] == [["polyloss", "hosted"], ["squentropy", "hosted"]]
    assert "  epsilon  5  a number >= -1" in listing.show("polyloss")
    assert "lossbench paper polyloss" in listing.show("paper/polyloss")
    assert "Named by its preset, but not here yet\n  loss/nowhere" in listing.show("sam")
    assert "Papers" in listing.show("loss/other") and "Papers" not in listing.show("reduction/other")
    assert listing.show("multi_similarity").endswith("lossbench show paper/multi-similarity")
    with pytest.raises(UsageError, match="loss/other and reduction/other"):
        listing.show("other")


def test_summary_and_tasks_of_configs(house):
    assert column(listing.table("losses"), "summary") == ["Other", "Poly: summary"]
    assert listing.table("datasets").rows == [["a", "classification", "A"], ["b", "regression", "B"]]
    assert "Its preset still lacks loss/nowhere." in str(listing.table("papers", status="planned").rows)


def test_configs_are_found_beside_and_inside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "PACKAGE", tmp_path / "lossbench")
    assert locations.configs() == tmp_path / "configs"
    (tmp_path / "lossbench/configs").mkdir(parents=True)
    assert locations.configs() == tmp_path / "lossbench/configs"


def test_tables_load_nothing_heavy():
    code = (
        f"import sys; from lossbench import listing; [listing.table(kind) for kind in {KINDS}];"
        "print([m for m in ('torch', 'numpy', 'hydra', 'omegaconf', 'yaml', 'rich', 'jaxtyping') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
