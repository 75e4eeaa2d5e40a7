"""Finetunings in processes of their own, killed or left to finish."""

import json
import logging
import multiprocessing
import os
import signal
from pathlib import Path

import torch

from tests.support.training_case import CPU, recipe_of
from workflow.lib.model.device import prepare_device
from workflow.lib.runtime.log import log
from workflow.lib.settings.computing import Computing
from workflow.lib.settings.recipe import Evaluation
from workflow.lib.training import train as loop
from workflow.lib.training.arguments import Compute, FinetuneFiles
from workflow.lib.training.checkpoint import Checkpoint
from workflow.lib.training.finetune import finetune

# A new process for every run, so that it can be killed: by an alarm that nobody handles, which the
# kernel carries out as it does SIGKILL. CUDA does not survive a fork.
FORK, SPAWN = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")


def start(files, training, code="1", every=1, dies=None, tensorboard=False, device=CPU):
    """Start a finetuning in a process of its own."""
    settings = Computing(
        device=device.type, threads=1, checkpoint_every=every, tensorboard=tensorboard
    )
    context = FORK if device == CPU else SPAWN
    process = context.Process(target=_finetune, args=(files, training, settings, code, dies))
    process.start()
    return process


def _finetune(files, training, settings, code, dies):
    device = prepare_device(settings)
    if dies:
        die_after(*dies)
    recipe = recipe_of(training, Evaluation(every=2, batches=2))
    finetune(FinetuneFiles(*files), recipe, Compute(device, settings=settings, code=code))


def finish(files, training, **options):
    """Run to the end; return the bytes that no interruption may change, and the record."""
    process = start(files, training, **options)
    process.join()
    assert process.exitcode == 0
    outputs = files[1]
    made = [path.read_bytes() for path in (outputs.model, outputs.losses, outputs.samples)]
    return made, json.loads(outputs.training.read_text())


def die_after(checkpoints, delay):
    """Let the kernel end this process a little after so many checkpoints, whatever it then does."""
    save, written = Checkpoint.save, []

    def save_and_count(self, progress):
        save(self, progress)
        written.append(progress.step)
        if len(written) == checkpoints:
            signal.setitimer(signal.ITIMER_REAL, delay)

    Checkpoint.save = save_and_count
    if not checkpoints:
        signal.setitimer(signal.ITIMER_REAL, delay)


def kill_after(files, training, checkpoints, delay, **options):
    """Start a run that is killed a little after it has written that many checkpoints."""
    process = start(files, training, dies=(checkpoints, delay), **options)
    process.join()
    assert process.exitcode == -signal.SIGALRM, "it was finished before it could be killed"


def checkpoint_of(files) -> Path:
    """Return where the checkpoint of a run is."""
    return files[1].model.with_name("checkpoint.pt")


def interrupt_after(files, training, signals, steps=2):
    """Start a run that sends itself signals after so many steps; return how it ended.

    Returns:
        the exit code of the process, and what it logged.
    """
    lines = files[1].model.parent.with_name("log.txt")

    def body():
        torch.set_num_threads(1)
        handler = logging.FileHandler(lines, "w", "utf-8")
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        set_learning_rate, done = loop.set_learning_rate, []

        def counted(*arguments):  # in the midst of a step
            set_learning_rate(*arguments)
            done.append(1)
            if len(done) == steps:
                for number in signals:
                    os.kill(os.getpid(), number)

        loop.set_learning_rate = counted
        recipe = recipe_of(training, Evaluation(every=2, batches=2))
        try:
            finetune(FinetuneFiles(*files), recipe, Compute(CPU, code="1"))
        except KeyboardInterrupt:
            os._exit(130)

    process = FORK.Process(target=body)
    process.start()
    process.join()
    return process.exitcode, lines.read_text("utf-8")
