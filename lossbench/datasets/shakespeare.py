"""Shakespeare: eight plays, 1.0 MB, 76 different characters; in the package, no download.

Source    the plays of William Shakespeare, public domain
"""

from importlib import resources


def text() -> str:
    """All of it, with its line ends as they are in the file."""
    return resources.files("lossbench").joinpath("data", "shakespeare.txt").read_bytes().decode()
