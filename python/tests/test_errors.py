import pytest

from lodestore import errors

KINDS = [name for name in errors.__all__ if name != "LodestoreError"]


@pytest.mark.parametrize("name", KINDS)
def test_every_error_shows_its_message_as_it_is(name):
    error = getattr(errors, name)("unknown view 'x'")
    assert isinstance(error, errors.LodestoreError)
    assert str(error) == "unknown view 'x'"
    assert error.args == ("unknown view 'x'",)


def test_errors_are_what_python_calls_them_too():
    assert issubclass(errors.InvalidError, ValueError)
    assert issubclass(errors.NotFoundError, KeyError)
    assert issubclass(errors.PermissionDeniedError, PermissionError)
