"""The checks that every loss and regularizer passes; tests/test_properties.py runs them.

methods.py  what is checked, found by walking the folders         inputs.py  what it is called with
checks.py   the properties of values and gradients                files.py   the properties of configs, tests, docs
"""
