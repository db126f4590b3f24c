"""The pytest plugin of this package: failures in the suites show the values that were compared."""

import pytest

pytest.register_assert_rewrite("connector.testing.provider_suite", "connector.testing.crm_suite")
