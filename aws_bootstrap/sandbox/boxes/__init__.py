"""The box side: for each running instance a small machine of its own, reached by real SSH.

A box is a file tree, a set of processes that see nothing else, and login ports on an address of its own.
What it does, it does to its own tree: nothing outside the sandbox's folder ever changes.
"""
