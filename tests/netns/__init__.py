import pytest

# Their assertions are part of tests: a failing one shows its values.
pytest.register_assert_rewrite(
    "tests.netns.inside", "tests.netns.faulty_box", "tests.netns.scripted_pc", "tests.netns.served"
)
