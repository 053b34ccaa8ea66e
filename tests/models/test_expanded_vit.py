import torch

from lossbench.models.expanded_vit import expanded_vit, with_depth
from lossbench.models.vit import vit
from tests.models.support import built, check_model, images

SIZES = {"input_shape": (1, 8, 8), "num_outputs": 5, "width": 8, "heads": 2}


def expanded(depth=3):
    model = built(lambda: expanded_vit(**SIZES, depth=depth))
    with torch.no_grad():  # slopes of norms begin at 0, which would hide them
        for parameter in model.body.blocks.slope.parameters():
            parameter.add_(0.1)
    return model


def test_model():
    check_model(lambda: expanded_vit(**SIZES, depth=3), (1, 8, 8), 5)


def test_weights_of_two_blocks():  # whatever the depth, and the slopes of the norms begin at 0
    count = {d: sum(p.numel() for p in expanded(d).parameters()) for d in (1, 2, 7)}
    plain = built(lambda: vit(**SIZES, depth=2))
    assert len({*count.values(), sum(p.numel() for p in plain.parameters())}) == 1
    slope = built(lambda: expanded_vit(**SIZES)).body.blocks.slope
    assert slope.norm1.weight.abs().max() == 0 and slope.norm1.bias.abs().max() == 0
    assert slope.expand.weight.abs().max() > 0


def test_limit():  # made with its own depth it is the same function, as an ordinary vit; without slopes one block
    model, x = expanded(), images(4, 1, 8, 8)
    made = with_depth(model, 3)
    assert made.state_dict().keys() == vit(**SIZES, depth=3).state_dict().keys()
    torch.testing.assert_close(made(x), model(x))
    with torch.no_grad():
        for parameter in model.body.blocks.slope.parameters():
            parameter.zero_()
    tokens = torch.randn(2, 4, 8)
    block = model.body.blocks.base
    torch.testing.assert_close(model.body.blocks(tokens), block(block(block(tokens))))


def test_hand():  # block 2 of 4: base + slope / 2
    model = expanded()
    third = with_depth(model, 4).body.blocks[2]
    base, slope = model.body.blocks.base, model.body.blocks.slope
    torch.testing.assert_close(third.expand.weight, base.expand.weight + slope.expand.weight / 2)
    torch.testing.assert_close(third.norm2.bias, base.norm2.bias + slope.norm2.bias / 2)


def test_ordinary_blocks_are_repeated():  # 2 blocks for 5: the first for 0, 1, 2, the second for 3, 4
    model = built(lambda: vit(**SIZES, depth=2))
    made = with_depth(model, 5).body.blocks
    for place, source in enumerate((0, 0, 0, 1, 1)):
        assert torch.equal(made[place].expand.weight, model.body.blocks[source].expand.weight)
