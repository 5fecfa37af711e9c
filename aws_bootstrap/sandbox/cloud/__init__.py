"""The EC2 side: moto's model of EC2, extended to take time, to refuse and to fail as EC2 does.

moto is extended by subclassing; the few names of its own that must be replaced are replaced in `backend`. Every
departure from moto carries the AWS page that it follows. `moto_settings.configure` comes before any import of moto.
"""
