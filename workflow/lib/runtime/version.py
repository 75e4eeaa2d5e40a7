"""The version of this project, and the command that runs it, for everything that shows them."""

VERSION = "0.2.0"
COMMAND = "FINETUNING_COMMAND"  # the environment variable in which a job finds that command
