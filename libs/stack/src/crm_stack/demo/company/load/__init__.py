"""Loading the planned company through the public API, as its own people."""

from crm_stack.demo.company.load.loading import Loaded, find_company, load_company

__all__ = ["Loaded", "find_company", "load_company"]
