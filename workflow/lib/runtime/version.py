"""The version of this project, for everything that shows it."""

VERSION = "0.2.0"
