"""Conformance suites for CRM adapters and providers: the requirements of the engine as tests, for adapter authors.

`provider_suite.ProviderSuite` and `crm_suite.CrmSuite` are classes of tests. The author of an adapter derives a class
and adds one fixture, `kit`, for a simulated site. See docs/extending.md.
"""
