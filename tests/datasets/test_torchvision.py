"""The one import of torchvision; in processes of their own, because an import happens once."""

import textwrap

from tests.datasets.support import run_python


def test_it_works_here_whatever_the_build():
    code = """
        import sys
        from lossbench.torchvision import torchvision
        assert "torchvision" not in sys.modules, "it must be imported only when it is used"
        import torch
        module = torchvision()
        assert module is torchvision() is sys.modules["torchvision"]
        assert module.__file__ != sys.modules["lossbench.torchvision"].__file__
        from torchvision.transforms import v2
        assert module.models.resnet18(num_classes=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
        assert v2.functional.horizontal_flip(torch.tensor([[[1, 2]]])).tolist() == [[[2, 1]]]
        print(module.datasets.CIFAR10.__name__)
    """
    assert run_python(textwrap.dedent(code)) == "CIFAR10"


def fake(folder, body):
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(textwrap.dedent(body))
    (folder / "torchvision" / "part.py").write_text("value = 1")
    return f"import sys; sys.path.insert(0, {str(folder)!r}); from lossbench.torchvision import torchvision\n"


def test_schemas_are_declared_on_that_error_only(tmp_path):
    start = fake(
        tmp_path,
        """
        import torch
        from torchvision import part  # stays in sys.modules when the import fails
        part.value += 1
        try:
            torch.ops.torchvision.nms
        except AttributeError:
            raise RuntimeError("operator torchvision::nms does not exist")
        assert torch.ops.torchvision.qnms
        """,
    )
    # part was imported anew in the second attempt: nothing half-made is left
    assert run_python(start + "print(torchvision().part.value)") == "2"


def test_where_the_import_works_nothing_is_declared(tmp_path):
    start = fake(tmp_path, "import torch")
    code = "torchvision(); import torch; print(hasattr(torch.ops.torchvision, 'nms'))"
    assert run_python(start + code) == "False"


def test_another_error_is_passed_on_at_once(tmp_path):
    start = fake(tmp_path, "print('attempt'); raise RuntimeError('something else')")
    code = "try: torchvision()\nexcept RuntimeError as error: print(error)"
    assert run_python(start + code).splitlines() == ["attempt", "something else"]
