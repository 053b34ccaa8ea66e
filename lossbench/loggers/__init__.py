"""Mirrors of the runs' own files. The files are the truth; nothing here can stop or slow a training.

``run_files``      reads a run's folder, without torch       ``mirror``     what the training side holds
``wandb_mirror``   the process that feeds wandb              ``sync``       pushes what wandb does not have yet
``dashboard``      the saved workspace that compares losses
"""
