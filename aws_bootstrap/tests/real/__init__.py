"""A box's life with the real program, in the sandbox or in a real account: `.ci/real`.

worlds.py    where it runs: a sandbox of its own, or the account of the environment
account.py   refuses every account that was not named
policies.py  what it may do there, and what it may end
steps.py     runs commands, and keeps how long each step took
life.py      the life, step by step
sweep.py     ends what carries the run's id, and proves that nothing with that id is left
"""
