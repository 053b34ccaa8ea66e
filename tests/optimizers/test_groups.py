import torch
from torch import nn

from lossbench.models.vit import vit
from lossbench.optimizers.groups import is_decayed, parameter_groups, roles, roles_of
from lossbench.torchvision import torchvision


def names_of(model, groups):
    names = {id(p): name for name, p in model.named_parameters()}
    return [{names[id(p)] for p in group["params"]} for group in groups]


def test_vit():
    model = vit(input_shape=(1, 8, 8), num_outputs=3, width=8, depth=1, heads=2)
    decayed, others = parameter_groups(model, weight_decay=0.1)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    block = "body.blocks.0."
    matrices = {block + name for name in ("query_key_value", "projection", "expand", "contract")}
    matrices = {name + ".weight" for name in matrices | {"body.patch_embedding", "head"}}
    decayed, others = names_of(model, [decayed, others])
    assert decayed == matrices
    assert others == {name for name, _ in model.named_parameters()} - matrices
    assert {"body.class_token", "body.position_embedding", "body.norm.weight", "head.bias"} <= others


def test_same_rule_on_networks_of_others():  # what a check of the module types decays is what the names say
    for name in ("resnet18", "swin_t", "convnext_tiny"):
        model = torchvision().models.get_model(name)
        expected = {
            f"{path}.weight" for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
        }
        assert names_of(model, parameter_groups(model, weight_decay=0.1))[0] == expected
    attention = nn.MultiheadAttention(4, 2)
    assert {n for n, p in attention.named_parameters() if is_decayed(n, p.ndim)} == {
        "in_proj_weight",
        "out_proj.weight",
    }


def test_loss_parameters():  # proxies have two axes and may be called anything: never decayed, unless all is
    model = nn.Linear(3, 2)
    proxies = {"proxy_weight": torch.zeros(2, 3, requires_grad=True)}
    for given in (proxies, list(proxies.values())):
        decayed, others = parameter_groups(model, given, weight_decay=0.1)
        assert [len(decayed["params"]), len(others["params"])] == [1, 2]
        assert others["params"][-1] is proxies["proxy_weight"]
        (everything,) = parameter_groups(model, given, weight_decay=0.1, decay_norms_and_biases=True)
        assert len(everything["params"]) == 3 and everything["weight_decay"] == 0.1


def test_without_decay_there_is_one_group():  # L-BFGS takes no more
    model = nn.Linear(3, 2)
    for weight_decay in (0.0, None):
        (group,) = parameter_groups(model, weight_decay=weight_decay)
        assert len(group["params"]) == 2 and "weight_decay" not in group
        torch.optim.LBFGS([group])


def test_frozen_parameters_are_left_out():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    (group,) = parameter_groups(model, weight_decay=0.1)
    assert names_of(model, [group]) == [{"bias"}] and group["weight_decay"] == 0.0


def test_dictionary_of_parameters():
    model = nn.Linear(3, 2)
    assert parameter_groups(dict(model.named_parameters()), weight_decay=0.1) == parameter_groups(
        model, weight_decay=0.1
    )


def test_decay_reaches_only_the_first_group():  # a step without gradient shrinks the matrix alone
    model = nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(parameter_groups(model, weight_decay=0.5), lr=0.1, weight_decay=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(model.weight.data, before[0] * 0.95)
    assert torch.equal(model.bias.data, before[1])


def test_roles():
    model = vit(input_shape=(1, 8, 8), num_outputs=3, width=8, depth=1, heads=2)
    found = roles(model)
    block = "body.blocks.0."
    hidden = {block + name + ".weight" for name in ("query_key_value", "projection", "expand", "contract")}
    assert {name for name, role in found.items() if role == "hidden"} == hidden
    assert {name for name, role in found.items() if role == "head"} == {"head.weight"}
    assert (
        found["body.patch_embedding.weight"]
        == found["body.class_token"]
        == found["head.bias"]
        == found["body.norm.weight"]
        == "other"
    )
    for weight_decay in (0.1, 0.0):
        names = {id(p): name for name, p in model.named_parameters()}
        for group in parameter_groups(model, weight_decay=weight_decay):
            assert group["roles"] == [found[names[id(p)]] for p in group["params"]] == roles_of(group)


def test_roles_of_tables_kernels_and_proxies():
    model = nn.ModuleDict({"body": nn.ModuleList([nn.Embedding(5, 4), nn.Conv2d(1, 2, 3)]), "head": nn.Linear(4, 5)})
    assert roles(model)["head.weight"] == "head"
    model["head"].weight = model["body"][0].weight
    assert roles(model) == {"body.0.weight": "lookup", "body.1.weight": "other", "body.1.bias": "other",
                            "head.bias": "other"}  # fmt: skip
    (group,) = parameter_groups(nn.Linear(4, 4), [torch.zeros(4, 4, requires_grad=True)], weight_decay=0.0)
    assert group["roles"] == ["hidden", "other", "other"]


def test_roles_of_groups_that_say_nothing():
    assert roles_of({"params": [torch.zeros(2, 2), torch.zeros(2)]}) == ["hidden", "other"]
