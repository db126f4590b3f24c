"""Conformance suites for CRM adapters and providers: what the engine relies on, as tests that anybody can run.

`provider_suite.ProviderSuite` and `crm_suite.CrmSuite` are classes of tests. The author of an adapter derives a class
and gives it one fixture, `kit`, made of a simulated site. See docs/extending.md.
"""
