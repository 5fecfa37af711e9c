"""The box side: for each running instance a small machine of its own, reached by real SSH.

A box is a file tree, a set of processes that see nothing else, and SSH ports on an address of its own.
A box changes only its own tree: nothing outside the sandbox's folder ever changes.
"""
