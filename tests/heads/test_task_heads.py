import torch
import torch.nn.functional as F

from lossbench.heads.task_heads import task_heads


def test_a_layer_for_each_task():
    head, features = task_heads(num_features=6, num_outputs=4), torch.randn(5, 6)
    outputs = head(features)
    assert outputs.shape == (5, 2, 4)
    for q in range(2):
        torch.testing.assert_close(outputs[:, q], F.linear(features, head.weight[q], head.bias[q]))
