"""A model saved as a TensorFlow checkpoint in OpenAI's layout."""

import json
from pathlib import Path

import numpy as np

from workflow.lib.model.gpt import GPTModel
from workflow.lib.model.openai_checkpoint import import_tensorflow


def write_tf_checkpoint(folder: Path, model: GPTModel, dtype: str = "float16") -> None:
    """Save a model as OpenAI saved GPT-2: checkpoint, model.ckpt.*, hparams.json.

    The layout has no output head: its reader copies the token embedding.

    Args:
        folder: made if it does not exist.
        model: the model whose weights are written.
        dtype: NumPy name of the stored type.
    """
    tf = import_tensorflow()
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        fed = {}
        for name, array in _openai_arrays(model).items():
            # Fed in, because .meta would hold a copy of an array that is a constant of the graph.
            value = tf.compat.v1.placeholder(dtype, array.shape)
            tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
            fed[value] = array.astype(dtype)
        session.run(tf.compat.v1.global_variables_initializer(), fed)
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(folder / "model.ckpt"), write_meta_graph=True)
    # TensorFlow writes the folder's path into this file; without it the folder can be moved.
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n',
        encoding="utf-8",
    )
    config = model.config
    hparams = {
        "n_vocab": config.vocab_size,
        "n_ctx": config.context_length,
        "n_embd": config.emb_dim,
        "n_head": config.n_heads,
        "n_layer": config.n_layers,
    }
    (folder / "hparams.json").write_text(json.dumps(hparams, indent=2) + "\n", encoding="utf-8")


def _openai_arrays(model: GPTModel) -> dict[str, np.ndarray]:
    """Return arrays by OpenAI's variable names, with matrices as (1, in, out), not (out, in)."""
    weights = {name: tensor.float().cpu().numpy() for name, tensor in model.state_dict().items()}
    arrays = {"model/wte": weights["tok_emb.weight"], "model/wpe": weights["pos_emb.weight"]}
    for layer in range(model.config.n_layers):
        ours, theirs = f"trf_blocks.{layer}.", f"model/h{layer}/"
        attention = [f"{ours}att.W_{part}" for part in ("query", "key", "value")]
        rows = np.concatenate([weights[name + ".weight"] for name in attention])  # (3D, D)
        arrays[theirs + "attn/c_attn/w"] = rows.T[None]  # (1, D, 3D)
        arrays[theirs + "attn/c_attn/b"] = np.concatenate(
            [weights[name + ".bias"] for name in attention]
        )
        for our_name, their_name in (
            ("att.out_proj", "attn/c_proj"),
            ("ff.layers.0", "mlp/c_fc"),
            ("ff.layers.2", "mlp/c_proj"),
        ):
            arrays[f"{theirs}{their_name}/w"] = weights[f"{ours}{our_name}.weight"].T[None]
            arrays[f"{theirs}{their_name}/b"] = weights[f"{ours}{our_name}.bias"]
        for our_name, their_name in (("norm1", "ln_1"), ("norm2", "ln_2")):
            arrays[f"{theirs}{their_name}/g"] = weights[f"{ours}{our_name}.scale"]
            arrays[f"{theirs}{their_name}/b"] = weights[f"{ours}{our_name}.shift"]
    arrays["model/ln_f/g"] = weights["final_norm.scale"]
    arrays["model/ln_f/b"] = weights["final_norm.shift"]
    return arrays
