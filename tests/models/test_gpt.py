import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from lossbench.errors import UsageError
from lossbench.models.gpt import gpt, rotate
from lossbench.models.model import Model
from tests.models.support import built

T, C = 9, 11
SMALL = {"depth": 2, "width": 12, "heads": 3}
VARIANTS = {
    "default": {},
    "swiglu": {"activation": "swiglu"},
    "relu_squared": {"activation": "relu_squared", "qk_norm": False},
    "silu": {"activation": "silu", "rotary_base": 100.0},
    "tied": {"tied": True, "activation": "relu"},
    "mup": {"mup_base_width": 6},
    "scaled": {"start": "small", "embedding": "scaled"},
    "normalized": {"embedding": "normalized"},
}


def make(seed=0, **options) -> Model:
    return built(lambda: gpt(input_shape=(T,), num_outputs=C, **{**SMALL, **options}), seed).eval()


def tokens(*shape, seed=0):
    return torch.randint(C, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_model(options):
    model, x = make(**options), tokens(5, T)
    features = model.body(x)
    assert features.shape == (5, T, model.num_features) and model(x).shape == (5, T, C)
    assert_close(model(x), features @ model.head.weight.T)  # the head is one linear layer without bias
    assert not [name for name, _ in model.named_parameters() if name.endswith("bias")]
    other = make(seed=1, **options)
    assert_close(functional_call(model, dict(other.named_parameters()), (x,)), other(x), rtol=0, atol=0)
    assert not torch.equal(model(x), other(x))
    assert_close(model(x.float()), model(x), rtol=0, atol=0)  # whole numbers, however they are kept
    F.cross_entropy(model(x).mT, tokens(5, T, seed=1)).backward()
    without = [n for n, p in model.named_parameters() if not p.grad.any() or not p.grad.isfinite().all()]
    assert not without
    again = make(**options).state_dict()
    assert all(torch.equal(again[name], value) for name, value in make(**options).state_dict().items())


@pytest.mark.parametrize("options", [VARIANTS["default"], VARIANTS["swiglu"]], ids=["default", "swiglu"])
def test_vmap(options):  # three models as one program: outputs and gradients of each
    models = [make(seed, **options) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    x = tokens(3, 4, T)
    outputs = vmap(lambda p, b, own: functional_call(models[0], (p, b), (own,)))(parameters, buffers, x)
    outputs.square().sum().backward()
    for i, model in enumerate(models):
        alone = model(x[i])
        assert_close(outputs[i], alone, rtol=1e-4, atol=1e-5)
        alone.square().sum().backward()
        for name, parameter in model.named_parameters():
            scale = parameter.grad.abs().max().item()
            assert_close(parameters[name].grad[i], parameter.grad, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_no_token_sees_a_later_one(options):
    model, x = make(**options), tokens(2, T)
    before = model(x)
    for place in range(T):
        changed = x.clone()
        changed[:, place] = (x[:, place] + 1) % C
        after = model(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        moved = (after - before).abs().amax(-1)[:, place:]
        assert (moved > 1e-7).all()  # and every later one sees it


def reference(model, x, options):
    """The formula of one sequence [T], place by place, in complex numbers; nothing of the model but its weights."""
    weights = dict(model.double().state_dict())
    depth, width, heads = (SMALL[key] for key in ("depth", "width", "heads"))
    size, base = width // heads, options.get("rotary_base", 10000.0)
    growth = width / options["mup_base_width"] if "mup_base_width" in options else 1.0
    scale = math.sqrt(32) / size if "mup_base_width" in options else 1 / math.sqrt(size)

    def norm(v, weight=1.0):
        return v / ((v * v).mean() + 1e-6).sqrt() * weight

    def turned(v, place):
        planes = torch.complex(v[: size // 2], v[size // 2 :])
        angles = torch.tensor([place * base ** (-2 * i / size) for i in range(size // 2)], dtype=torch.float64)
        planes = planes * torch.exp(1j * angles)
        return torch.cat([planes.real, planes.imag])

    def activated(v):
        name = options.get("activation", "gelu")
        if name == "swiglu":
            gate, v = v.chunk(2)
            return gate / (1 + torch.exp(-gate)) * v
        gaussian = v * (1 + torch.erf(v / math.sqrt(2))) / 2
        relu = torch.where(v > 0, v, 0.0)
        return {"gelu": gaussian, "relu": relu, "relu_squared": relu**2, "silu": v / (1 + torch.exp(-v))}[name]

    h = [weights["body.embedding.weight"][t] for t in x]
    if options.get("embedding") == "scaled":
        h = [v * math.sqrt(width) for v in h]
    if options.get("embedding") == "normalized":
        h = [norm(v, weights["body.embedding_norm.weight"]) for v in h]
    for block in range(depth):
        w = {k.removeprefix(f"body.blocks.{block}."): v for k, v in weights.items() if f"blocks.{block}." in k}
        keys, values, mixed = [], [], []
        for place, v in enumerate(h):
            query, key, value = (w["query_key_value.weight"] @ norm(v, w["norm1.weight"]) / growth).view(3, heads, size)
            if options.get("qk_norm", True):
                query, key = (torch.stack([norm(head) for head in each]) for each in (query, key))
            keys.append([turned(head, place) for head in key])
            values.append(value)
            out = []
            for head in range(heads):
                scores = torch.stack([turned(query[head], place) @ k[head] * scale for k in keys])
                p = torch.exp(scores - scores.max())
                out.append(sum(q * value[head] for q, value in zip(p / p.sum(), values, strict=True)))
            mixed.append(w["projection.weight"] @ torch.cat(out) / growth)
        h = [v + m for v, m in zip(h, mixed, strict=True)]
        inner = [activated(w["expand.weight"] @ norm(v, w["norm2.weight"]) / growth) for v in h]
        h = [v + w["contract.weight"] @ i / growth for v, i in zip(h, inner, strict=True)]
    features = torch.stack([norm(v, weights["body.norm.weight"]) / growth for v in h])
    return features @ weights["head.weight"].T


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_oracle(options):
    model, x = make(**options), tokens(T)
    for i, parameter in enumerate(model.parameters()):  # norms start at 1: move all, so that each is seen
        parameter.data.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)), alpha=0.1)
    expected = reference(model, x, options)
    assert_close(model(x.unsqueeze(0))[0], expected, rtol=1e-6, atol=1e-6)  # the angles are float32


def test_rotation_hand():  # a quarter turn takes (1, 0) to (0, 1); lengths stay
    quarter = torch.tensor([math.pi / 2])
    assert_close(rotate(torch.tensor([1.0, 0.0]), quarter.cos(), quarter.sin()), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("pieces", [[1] * T, [4, 1, 3, 1], [T]], ids=str)
def test_cache(options, pieces):  # reading piece by piece gives what reading the whole gives
    model, x = make(**options), tokens(2, T)
    cache, found = model.body.cache(), []
    with torch.no_grad():
        for piece in x.split(pieces, 1):
            found.append(model.head(model.body(piece, cache)))
        assert_close(torch.cat(found, 1), model(x), rtol=1e-4, atol=1e-5)
    assert cache.length == T
    with pytest.raises(ValueError, match=f"{T + 1} tokens; this model reads at most {T}"):
        model.body(x[:, :1], cache)


def test_shorter_inputs_are_read():
    model, x = make(), tokens(2, T)
    assert_close(model(x[:, :4]), model(x)[:, :4])
    with pytest.raises(ValueError, match=f"at most {T}"):
        model(tokens(1, T + 1))


def test_tied():
    tied, free = make(tied=True), make()
    assert tied.head.weight is tied.body.embedding.weight
    count = [sum(p.numel() for p in model.parameters()) for model in (tied, free)]
    assert count[1] - count[0] == C * SMALL["width"]


def test_activation_checkpointing():  # the same numbers from fewer kept tensors
    found, kept = [], []
    for option in (False, True):
        model, x = make(checkpoint_activations=option).train(), tokens(4, T)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: (sizes.append(t.numel()), t)[1], lambda t: t
        ):
            loss = F.cross_entropy(model(x).mT, x)
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
        kept.append(sum(sizes))
    for own, expected in zip(*found, strict=True):
        assert_close(own, expected, rtol=0, atol=0)
    assert kept[1] < kept[0] / 3


def test_dropout():
    model, x = built(lambda: gpt(input_shape=(T,), num_outputs=C, dropout=0.5, **SMALL)), tokens(2, T)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_autocast():
    model, x = make(width=48), tokens(2, T)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(x)
    assert half.dtype == torch.bfloat16
    assert_close(half.float(), model(x), rtol=0.1, atol=0.05)


def test_start():  # near the uniform distribution, so that no training begins by unlearning
    for options in VARIANTS.values():
        x = tokens(20, T)
        loss = F.cross_entropy(make(width=48, **options)(x).mT, tokens(20, T, seed=1)).item()
        assert abs(loss - math.log(C)) < 0.1, options


def coordinates(width, base, steps=4):
    """How far a few steps of Adam move what a block writes, and the logits: root mean square over their entries."""
    torch.manual_seed(0)
    model = gpt(input_shape=(16,), num_outputs=32, depth=2, width=width, heads=4, mup_base_width=base)
    x, y = (torch.randint(32, (8, 16), generator=torch.Generator().manual_seed(i)) for i in range(2))
    seen = {}
    for name, module in model.named_modules():
        if name.endswith(("projection", "contract", "query_key_value")) or name == "head":
            module.register_forward_hook(lambda m, i, output, name=name: seen.__setitem__(name, output.detach()))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model(x)
    before = dict(seen)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x).mT, y).backward()
        optimizer.step()
    model(x)
    return {name: (seen[name] - before[name]).square().mean().sqrt().item() for name in seen}


def test_mup_coordinate_check():  # with muP the size of the changes does not depend on the width; without, it grows
    narrow, wide = coordinates(32, 32), coordinates(512, 32)
    plain = coordinates(512, None)
    for name, size in narrow.items():
        assert 1 / 2 < wide[name] / size < 2, name
    assert sum(plain[name] > 3 * size for name, size in narrow.items()) >= 5


def test_mup_at_its_base_width_is_the_plain_model():  # but for the scale of attention, which is that of heads of 32
    options = {"width": 64, "heads": 2}
    model, plain, x = make(mup_base_width=64, **options), make(**options), tokens(2, T)
    assert torch.equal(model(x), plain(x))


def test_refusals():
    with pytest.raises(UsageError, match=r"model=gpt reads tokens.*\[1, 8, 8\]"):
        gpt(input_shape=(1, 8, 8), num_outputs=5)
    with pytest.raises(UsageError, match=r"model\.heads=5.*model\.width=12"):
        gpt(input_shape=(T,), num_outputs=5, width=12, heads=5)
    with pytest.raises(UsageError, match=r"even size"):
        gpt(input_shape=(T,), num_outputs=5, width=6, heads=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_compiled_on_cuda():
    model, x = make(width=48).cuda(), tokens(4, T).cuda()
    compiled = torch.compile(model.body)
    assert_close(compiled(x), model.body(x), rtol=1e-3, atol=1e-3)


def test_small_start():  # deviations as the paper has them, and what enters the first block
    x = torch.randint(500, (20, T), generator=torch.Generator().manual_seed(0))
    options = {"input_shape": (T,), "num_outputs": 500, "depth": 8, "width": 64, "heads": 2, "start": "small"}
    small = math.sqrt(2 / (5 * 64))
    for embedding, entering in (("unit", 1.0), ("small", small), ("scaled", small * 8), ("normalized", 1.0)):
        torch.manual_seed(0)
        model = gpt(**options, embedding=embedding)
        entered = []
        model.body.blocks[0].register_forward_pre_hook(lambda module, inputs, seen=entered: seen.append(inputs[0]))
        model(x)
        assert entered[0].std().item() == pytest.approx(entering, rel=0.03)
        for name, parameter in model.body.blocks.named_parameters():
            if parameter.ndim == 2:
                writes = name.endswith(("projection.weight", "contract.weight"))
                assert parameter.std().item() == pytest.approx(small / 4 if writes else small, rel=0.03), name
    for refused in ({"tied": True, "embedding": "scaled"}, {"mup_base_width": 8}):
        with pytest.raises(UsageError, match="an embedding of its own"):
            gpt(**(options | refused))
