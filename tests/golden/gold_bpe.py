"""bpe.bin: a byte-pair vocabulary in GPT-2's format, texts, and the tokens that Hugging Face's `tokenizers` makes of them.

    vocab, merges    u8, the bytes of vocab.json and merges.txt: 600 tokens learnt from the texts below
    text/<i>, ids/<i>  u8 (UTF-8), i64: ByteLevelBPETokenizer(vocab, merges).encode(text).ids
Needs the package tokenizers, which `scripts/python_env.sh torch` installs.
"""
import os
import random
import tempfile

import numpy as np
import torch

TEXTS = [
    "", "a", " ", "\n", "  ", "Hello world", " Hello  world  ", "I'm you're he'll we've it's I'd don't 'tis 's 'S 'LL", "x'y''z'",
    "tabs\tand\nnew lines\n\n  \n end", "numbers 1 12 123 1234567890 3.14 1e-5 ½ ² ٣٤ Ⅷ",
    "punctuation!!! ... (a, b) [c] {d} \"e\" #f @g $h %i ^j &k *l",
    "ünïcödé straße naïve Ελληνικά кириллица 日本語テキスト 한국어 العربية עברית हिन्दी", "emoji 🙂🙃 👩‍👩‍👧 flags 🇨🇭", "a\u00a0b\u2003c\u3000d\u0085e",
    "mixed日本123abc４５", "e\u0301 combining n\u0303", "   leading", "trailing   ", "a  b   c    d", "\r\nwindows\r\n",
    "\u2028line\u2029", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "<|endoftext|> is text", "\x00\x01\x1c\x1f\x7f control", "l'été d'hiver qu'il s'il t'a",
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\nFirst Citizen:\n"
    "You are all resolved rather to die than to famish?\n",
]


def random_texts(rng):
    pool = "aabbeeee  \n\t'sdtmlvr.,!123é日\u00a0ßЖ٣🙂-_" + "the and "
    for _ in range(40):
        yield "".join(rng.choice(pool) for _ in range(rng.randrange(1, 120)))


def write_bpe(g):
    from tokenizers import ByteLevelBPETokenizer

    texts = TEXTS + list(random_texts(random.Random(1)))
    with tempfile.TemporaryDirectory() as folder:
        trainer = ByteLevelBPETokenizer()
        trainer.train_from_iterator(texts * 3, vocab_size=600, min_frequency=2, show_progress=False)
        trainer.save_model(folder)
        files = [os.path.join(folder, name) for name in ("vocab.json", "merges.txt")]
        encoder = ByteLevelBPETokenizer(*files)
        for name, path in zip(("vocab", "merges"), files):
            with open(path, "rb") as file:
                g.add(name, np.frombuffer(file.read(), np.uint8))
    for i, text in enumerate(texts):
        g.add(f"text/{i}", np.frombuffer(text.encode(), np.uint8))
        g.add(f"ids/{i}", torch.tensor(encoder.encode(text).ids, dtype=torch.int64))
