"""Where a judge's server is: as configured, or as a file says that the server's job wrote."""

from pathlib import Path

from workflow.lib.runtime.errors import UserError
from workflow.lib.settings.judges import FILE, Ollama, OpenAI, check_address


def at_its_address(judge: Ollama | OpenAI) -> Ollama | OpenAI:
    """The judge with the address it has now.

    A server that is a job of its own has another address every time. Settings, records and the keys
    of its answers keep the name of the file, so that moving it asks nothing again.

    Raises:
        UserError: the file is not there yet, or holds no address.
    """
    key = "url" if isinstance(judge, Ollama) else "base_url"
    address: str = getattr(judge, key)
    if not address.startswith(FILE):
        return judge
    path = Path(address.removeprefix(FILE)).expanduser()
    try:
        found = check_address(path.read_text("utf-8").strip())
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not there, so no server has written its address yet; start it with "
            "`sbatch profiles/slurm/judge-server.sbatch` and wait for the file"
        ) from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: holds no address of a server ({error})") from error
    return judge.model_copy(update={key: found})
