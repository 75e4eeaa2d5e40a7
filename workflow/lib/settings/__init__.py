"""The sections of config.yaml as objects, frozen, with a description for every field.

A module for each kind, so that a change to one reruns only the rules that read it.
`workflow.lib.config` reads the file into them.
"""
