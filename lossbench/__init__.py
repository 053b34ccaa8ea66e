"""lossbench: does this loss really help? See README.md; read lossbench/vocabulary.py first."""

__version__ = "0.1.0"
