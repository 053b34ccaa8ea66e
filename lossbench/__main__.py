"""`python -m lossbench` is `lossbench`; so `torchrun -m lossbench train ...` trains one run on several devices."""

from lossbench.cli import main

main()
