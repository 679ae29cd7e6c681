"""For pgvector-python's tests, whose sdist lacks this file: they import numpy
from here, and pg8000 alone reads neither PGPORT nor PGUSER."""

import os

import numpy  # noqa: F401
import pg8000.core

_init = pg8000.core.CoreConnection.__init__


def _init_by_environment(self, user, host="localhost", database=None, port=5432, *args, **kwargs):
    _init(self, os.environ["PGUSER"], "localhost", database, int(os.environ["PGPORT"]), *args, **kwargs)


pg8000.core.CoreConnection.__init__ = _init_by_environment
