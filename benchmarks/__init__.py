"""The speed targets of the design as figures: `make bench`, or `python -m benchmarks`; see benchmarks/__main__.py."""
