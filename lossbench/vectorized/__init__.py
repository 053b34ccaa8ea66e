"""Many runs as one program.

grouping.py   which runs of a plan can share a program, and why the others cannot
stack.py      the tensors of many runs in one, and back: parameters, optimizers, data, objective, metrics
engine.py     trains a stack: the trainer's loop for many runs at once
launcher.py   the workers: stacks first, then the runs that go one by one
"""
