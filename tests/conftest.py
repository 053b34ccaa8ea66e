import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: several test processes share the cores

import torch

torch.set_num_threads(1)
