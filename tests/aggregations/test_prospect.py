import torch

from lossbench.aggregations.prospect import init_state, prospect
from lossbench.spectral import spectral_risk, spectral_weights, spectrum
from tests.engine import trainer
from tests.losses.support import near

SIGMA = spectrum(12, "superquantile", 0.5)


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    return x, x @ torch.ones(3, dtype=torch.float64) + torch.randn(12, generator=generator, dtype=torch.float64)


def double(state):
    return {name: value.double() for name, value in state.items()}


def of(x, y, w, i):
    residual = x[i] @ w - y[i]
    return (residual**2 / 2).reshape(1), (residual * x[i]).reshape(1, -1), torch.tensor([i])


def test_limit():  # a level of 0 is SAGA on the mean: one pass over one example after another, by its formula
    x, y = problem()
    state = double(init_state(num_examples=12, num_parameters=3))
    table, w = torch.zeros(12, 3).double(), torch.zeros(3).double()
    for i in [*range(12), 3, 3, 7]:
        losses, gradient, ids = of(x, y, w, i)
        v, state = prospect(gradient, losses, ids, state, level=0.0)
        near(v, gradient[0] - table[i] + table.mean(0), 1e-6)
        table[i] = gradient[0]
        w = w - 0.05 * v


def test_oracle():  # the paper's algorithm in a loop, with the whole tables recomputed
    x, y = problem()
    state, w = double(init_state(num_examples=12, num_parameters=3)), torch.zeros(3).double()
    losses_of, rho, table = torch.zeros(12).double(), torch.zeros(12).double(), torch.zeros(12, 3).double()
    order = torch.randint(12, (60,), generator=torch.Generator().manual_seed(1)).tolist()
    for i in order:
        losses, gradient, ids = of(x, y, w, i)
        v, state = prospect(gradient, losses, ids, state, smoothing=0.3)
        q = spectral_weights(losses_of, SIGMA, 0.3)
        near(v, 12 * q[i] * gradient[0] - 12 * rho[i] * table[i] + rho @ table, 1e-6)
        losses_of[i], rho[i], table[i] = losses[0], q[i], gradient[0]
        w = w - 0.05 * v


def test_hand():  # empty tables, two examples, weights 1/2 each: v = 2 * 1/2 * g; then again, from the table
    state = double(init_state(num_examples=2, num_parameters=1))
    g = torch.tensor([[3.0]]).double()
    v, state = prospect(g, torch.tensor([0.0]).double(), torch.tensor([0]), state)
    near(v, [3.0], 1e-6)
    near(state["sum"], [1.5], 1e-6)
    v, state = prospect(g + 1, torch.tensor([0.0]).double(), torch.tensor([0]), state)
    near(v, [4.0 - 3.0 + 1.5], 1e-6)


def test_reaches_the_least_risk():  # with a constant rate, where the biased estimate of mini-batches cannot
    x, y = problem()
    w = torch.zeros(3).double().requires_grad_()
    optimizer = torch.optim.LBFGS([w], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        risk = spectral_risk((x @ w - y) ** 2 / 2, SIGMA, 1.0)
        risk.backward()
        return risk

    optimizer.step(closure)
    best = w.detach()
    w, state = torch.zeros(3).double(), double(init_state(num_examples=12, num_parameters=3))
    for step in range(4000):
        losses, gradient, ids = of(x, y, w, int(torch.randint(12, (), generator=torch.Generator().manual_seed(step))))
        v, state = prospect(gradient, losses, ids, state)
        w = w - 0.02 * v
    near(w, best, 1e-5)


def test_in_a_run(
    tmp_path,
):  # the tables hold the losses and gradients of the first epoch, in the order of the examples
    chosen = ("dataset=diabetes", "model=linear", "loss=mean_squared_error", "optimizer=sgd", "optimizer.lr=0.0")
    examples = ("aggregation=prospect", "aggregation_of=examples", "batch_size=5", "budget.epochs=1")
    made = trainer(tmp_path, *chosen, *examples)
    made.fit()
    memory, split = made.state["prospect"], made.source._keep("train")
    used = memory["gradients"].abs().sum(1) > 0
    assert used.sum() == 5 * made.source.steps_per_epoch
    residual = made.model(split["x"]) - split["regression_targets"]
    torch.testing.assert_close(memory["losses"][used], residual.square().mean(-1)[used].detach(), rtol=1e-4, atol=1e-6)
    rows = torch.cat([2 * residual * split["x"], 2 * residual], 1).detach()
    torch.testing.assert_close(memory["gradients"][used], rows[used], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(memory["sum"], memory["rho"] @ memory["gradients"], rtol=1e-3, atol=1e-4)
