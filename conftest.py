"""Fixtures that every test of the workspace can ask for."""

pytest_plugins = ["crm_testing.servers"]
