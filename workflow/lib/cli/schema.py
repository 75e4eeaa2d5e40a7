"""`python -m workflow schema`: the JSON schema of config.yaml."""

import json

from workflow.lib.cli.program import Parser
from workflow.lib.settings.schema import config_schema

EPILOG = """\
It is kept in workflow/config.schema.json, which an editor with support for YAML reads if the first
line of a file names it: `# yaml-language-server: $schema=workflow/config.schema.json`

example:
  python -m workflow schema > workflow/config.schema.json"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: of the command line, after `schema`; it takes none.
    """
    parser = Parser(
        prog="python -m workflow schema",
        description="Print the JSON schema of config.yaml and of the files laid over it.",
        epilog=EPILOG,
    )
    parser.parse_args(arguments)
    print(json.dumps(config_schema(), indent=2, ensure_ascii=False))
