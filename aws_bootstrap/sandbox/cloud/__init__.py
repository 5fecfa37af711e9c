"""The EC2 side: moto's model of EC2, made to take time, to refuse and to fail as AWS's own does.

moto is reached by subclassing; the two names of its own that must be replaced are replaced in `backend`.
Every departure from moto carries the AWS page that it follows.
"""
