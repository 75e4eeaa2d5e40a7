"""The address of a judge's server, from the settings or from a file that its job wrote."""

from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.addresses import FILE, check_address
from workflow.lib.settings.judges import ServerJudge


def current_address(judge: ServerJudge) -> str:
    """Return the address where requests go now.

    A server that runs as a job gets another address every time. Settings, records and cache keys
    keep the name of the file, so that moving the server sends no request again.

    Args:
        judge: its address is one, or `file:` and the path of a file that holds one.

    Raises:
        UserError: the file is missing or holds no address.
    """
    address = judge.address
    if not address.startswith(FILE):
        return address
    path = Path(address.removeprefix(FILE)).expanduser()
    try:
        return judge.is_of_the_server(check_address(path.read_text("utf-8").strip()))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: no server has written its address yet; start one with "
            "`sbatch profiles/slurm/judge-server.sbatch` and wait for the file"
        ) from error
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}: holds no address of a server ({error}); write one line such as "
            "http://node7:11434 into it"
        ) from error
