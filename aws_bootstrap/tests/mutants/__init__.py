"""The mutation tier: small slips made in the code one at a time, to see which of them no test notices.

`.ci/mutants` runs it. mutmut and cosmic-ray were looked at first: neither can pick tests that start the program as a
process of its own, neither knows shell, and both pay for a fresh start of pytest with every mutant.
"""
