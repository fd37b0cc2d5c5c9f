import os
import signal

import pytest

from mtv_jax.io import signals


@pytest.fixture
def handled():
    """The handlers are in place, and nothing has been received; afterwards all is as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    restore = signals.handle()
    yield restore
    restore()
    assert {number: signal.getsignal(number) for number in before} == before
    signals._received.clear()


def raised_by(number):
    with pytest.raises(signals.SignalExit) as caught:
        os.kill(os.getpid(), number)
    return caught.value.code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_raises_with_the_shells_exit_status(number, code, handled, capfd):
    assert signals.exit_code() is None
    assert raised_by(number) == code == signals.exit_code()
    os.kill(os.getpid(), signal.SIGTERM)  # at once again: the same wish, which does not stop the clean-up
    assert signals.exit_code() == code
    assert capfd.readouterr().err == {143: "terminated\n", 130: "interrupted\n"}[code]


def test_what_the_parent_ignores_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        restore = signals.handle()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        restore()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_command_is_distinguished_from_a_use_of_the_package(monkeypatch):
    for arguments, is_one in (
        (["python", "-m", "mtv_jax.train", "--config", "x"], True),
        (["python", "-X", "dev", "-m", "mtv_jax.sample"], True),
        (["python", "-m", "pytest", "mtv_jax.train"], False),
        (["python", "script.py", "mtv_jax.train"], False),
    ):
        monkeypatch.setattr("sys.orig_argv", arguments)
        assert signals.is_command() == is_one
