"""Every error a user can cause, each saying what was found, what was expected and what to do."""

from __future__ import annotations

from typing import ClassVar


class ColdstartError(Exception):
    """Base of all errors that bad input, a bad file or a missing model can cause.

    The message names the value, the expectation and the remedy. The command line prints it without a
    traceback and exits with :attr:`exit_code`.
    """

    exit_code: ClassVar[int] = 2


class CatalogueError(ColdstartError):
    """A catalogue or interactions file that can't be used: wrong columns, ids, encoding or rows."""


class UnknownItem(ColdstartError):
    """An item id that the catalogue doesn't hold."""


class ProfileError(ColdstartError):
    """A profile, context, filter or request option that can't be used."""


class TemplateError(ColdstartError):
    """A template that can't be read, checked or rendered."""


class ModelError(ColdstartError):
    """A model that can't be found, fetched, verified or loaded."""


class BadIndex(ColdstartError):
    """An index folder that is missing, damaged or unfinished."""


class IndexMismatch(BadIndex):
    """An index built with another model, template or catalogue than the one in use."""


class AdapterError(ColdstartError):
    """An adapter that can't be trained, read or used: of another model, damaged, or unknown."""


class DialogueError(ColdstartError):
    """A question, an answer or a dialogue of onboarding that can't be read."""


class EvaluationError(ColdstartError):
    """A protocol that the given data can't serve: no relevant items, no users, unknown name."""
