"""What strangers may send, and what must hold then: one module for each entrance to the box.

Each has `seeds()`, inputs to begin with, and a `Target`: a context manager that is called with one input after the
other, and raises AssertionError when the box did what it must not. tests/unit plays them with Hypothesis on each run;
run.py plays them with Atheris (libFuzzer) for as long as you like, outside CI.
"""
