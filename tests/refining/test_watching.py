"""What hears how training goes: it tells steps once each, and says what is missing."""

from __future__ import annotations

import sys
import types

import pytest

from coldstart.errors import AdapterError
from coldstart.refining.watching import Watch, board


class Writer:
    """Stands in for TensorBoard's writer."""

    def __init__(self, folder: str) -> None:
        if folder.endswith("forbidden"):
            raise PermissionError("not here")
        self.folder, self.scalars, self.closed = folder, [], False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))


@pytest.fixture
def installed(monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


def test_steps_are_told_once_each_also_after_a_run_goes_on():
    told = []
    watch = Watch("training", 20, progress=lambda *args: told.append(args))
    for step in (21, 22, 25):
        watch(step, 30, 0.5, 0.6)
    assert [(task, steps) for task, _, steps in told] == [("training", 30)] * 3
    assert sum(done for _, done, _ in told) == 25


@pytest.mark.usefixtures("installed")
def test_curves_hold_each_loss_and_what_was_held_out_when_it_was_asked(tmp_path):
    with board(tmp_path / "curves") as writer:
        watch = Watch("training", 2, progress=None, board=writer)
        for step in (1, 2, 3):
            watch(step, 3, 1.0 / step, 0.7)
    assert writer.closed
    assert [(name, step) for name, _, step in writer.scalars] == [
        ("training/loss", 1),
        ("training/loss", 2),
        ("training/held out", 2),
        ("training/loss", 3),
    ]


def test_no_folder_opens_nothing():
    with board(None) as writer:
        assert writer is None


def test_what_isnt_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(AdapterError, match=r"pip install 'coldstart\[tensorboard\]'"):
        board(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_folder_that_cant_be_written_is_named(tmp_path):
    with pytest.raises(AdapterError, match="forbidden"):
        board(tmp_path / "forbidden")
