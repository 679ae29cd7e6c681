"""Settings of Django's own test suite for a server that PG* variables name, and a
runner that writes each test's outcome as a line to $LH_RESULTS.

Django makes its test databases itself, out of template1."""

import os
import unittest

from django.test.runner import DiscoverRunner

SERVER = {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
          "USER": os.environ["PGUSER"]}
DATABASES = {"default": SERVER | {"NAME": "django"}, "other": SERVER | {"NAME": "django_other"}}
SECRET_KEY = "no secret"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "django_lakehouse.Runner"


class Result(unittest.TextTestResult):
    def note(self, outcome, test):
        with open(os.environ["LH_RESULTS"], "a") as file:
            file.write(f"{outcome}\t{test.id()}\n")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.note("failed", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note("failed", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note("failed", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", test)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note("skipped", test)


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result
