import torch

from lossbench.verifiers.exact_match import exact_match

END = 9


def test_hand():
    answers = torch.tensor([[1, 2, END]] * 5)
    completions = torch.tensor([[1, 2, END, END], [1, 2, 3, END], [1, END, END, END], [2, 1, END, END], [1, 2, END, 0]])
    assert exact_match(completions, answers, end=END).tolist() == [1, 0, 0, 0, 0]


def test_widths_may_differ():
    longer, shorter = torch.tensor([[1, 2, END, END, END]]), torch.tensor([[1, 2, END]])
    assert exact_match(longer, shorter, end=END) == exact_match(shorter, longer, end=END) == 1


def test_what_was_cut_off_is_not_the_answer():
    assert exact_match(torch.tensor([[1, 2]]), torch.tensor([[1, 2, END]]), end=END) == 0
    assert exact_match(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, END]]), end=END) == 0
