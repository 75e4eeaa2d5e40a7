"""A Slurm of a login node and three nodes, each in namespaces of its own on this machine.

Nothing of it lies outside: its network, host names, users, processes and mounts are those of its
namespaces, and end with the process that started it, however that ends. Only a folder stays behind
then, which the next cluster removes.
"""
