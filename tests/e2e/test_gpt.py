#!/usr/bin/env python3
"""GPT against PyTorch (tests/golden/train_gpt.bin): the same initial weights bit for bit, the losses of 100 steps within 1e-5 on every instruction
set; the same bits for any number of threads; text that predict writes."""
import os
import struct

import harness
from test_golden import fnv1a, read_golden

SIZES = {"vocab_size": 0, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128, "lr": 1e-4, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99}
STEPS = 100


class Gpt(harness.Test):
    def setUp(self):
        super().setUp()
        self.golden = read_golden(os.path.join(harness.SOURCE, "tests", "golden", "train_gpt.bin"))
        text = bytes(self.golden["text"][1])
        self.text = self.path("text.txt")
        with open(self.text, "wb") as file:
            file.write(text)
        self.vocabulary = len(set(text.decode()))

    def settings(self, steps=STEPS, **options):
        data = {"path": self.text, "block_size": 64, "windows": "sequential", "batch_size": 8, "train_fraction": 1.0, "shuffle": False}
        return self.config(model={"class_path": "GPT", "init_args": {**SIZES, "vocab_size": self.vocabulary, **options}},
                           data={"class_path": "TextFile", "init_args": data},
                           trainer={"max_steps": steps, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0, "logger": "CSVLogger",
                                    "callbacks": [], "enable_progress_bar": False, "enable_model_summary": False})

    def losses(self, name, *extra, env=None, steps=STEPS):
        root = self.path(name)
        self.lthost("fit", "-c", self.settings(steps), f"--trainer.default_root_dir={root}", *extra, env=env)
        found = self.column("train_loss", self.run_dir(root=root))
        self.assertEqual(len(found), steps)
        return found

    def worst(self, found, key):
        return max(abs(a - b) / abs(b) for a, b in zip(found, self.golden[key][1]))

    def test_initial_weights_are_nanogpts(self):
        root = self.path("weights")
        self.lthost("fit", "-c", self.settings(0), f"--trainer.default_root_dir={root}", "--trainer.callbacks=[ModelCheckpoint]")
        checkpoint = self.last(self.run_dir(root=root))
        keys = [key[len("first/"):-len(".fnv")] for key in self.golden if key.startswith("first/")]
        self.assertEqual([path[len("state_dict/"):] for path in self.weights(checkpoint)], keys)
        for key in keys:
            self.assertEqual(fnv1a(self.entry(checkpoint, f"state_dict/{key}")), self.golden[f"first/{key}.fnv"][1][0] & 0xFFFFFFFFFFFFFFFF, key)

    def test_losses_of_100_steps(self):
        for isa in harness.instruction_sets("avx512", "avx2") if not harness.LIGHT else ("avx2",):
            with self.subTest(isa=isa):
                steps = 10 if harness.LIGHT else STEPS
                worst = self.worst(self.losses(f"f32-{isa}", env={"LTHOST_ISA": isa}, steps=steps), "loss")
                print(f"GPT f32 {isa}: worst difference {worst:.1e}")
                self.assertLessEqual(worst, 1e-5)

    def test_bf16_follows_autocast(self):
        """Weights stay f32; products are bf16. PyTorch's own bf16 run is as far from its f32 run."""
        steps = 10 if harness.LIGHT else STEPS
        for isa in harness.instruction_sets("avx512_bf16", "avx512", "avx2"):
            with self.subTest(isa=isa):
                found = self.losses(f"bf16-{isa}", "--trainer.precision=bf16-mixed", steps=steps, env={"LTHOST_ISA": isa})
                worst = self.worst(found, "loss_bf16")
                print(f"GPT bf16-mixed {isa}: worst difference {worst:.1e}")
                self.assertLessEqual(worst, 1e-2)

    def test_text_goes_on_beyond_the_context(self):
        """Prompts of 64 tokens fill the context at once: the older half is dropped, twice."""
        root = self.path("text")
        settings = self.settings(2, max_new_tokens=70, temperature=0.5, top_k=5)
        self.lthost("fit", "-c", settings, f"--trainer.default_root_dir={root}", "--data.train_fraction=0.9", "--trainer.callbacks=[ModelCheckpoint]")
        self.lthost("predict", "-c", settings, f"--trainer.default_root_dir={root}", "--data.train_fraction=0.9", "--ckpt_path", "last",
                    "--trainer.limit_predict_batches=1", says="predictions of 8 samples")

    def test_prompts_must_be_tokens(self):
        """The default of NpyDataset are floats."""
        tokens = self.path("tokens.npy")
        head = "{'descr': '<i8', 'fortran_order': False, 'shape': (4, 8), }"
        with open(tokens, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head.ljust(117).encode() + b"\n")
            file.write(struct.pack("<32q", *(k % 20 for k in range(32))))
        model = {"class_path": "GPT", "init_args": {**SIZES, "vocab_size": self.vocabulary, "max_new_tokens": 3}}

        def predict(says, status, **data):
            data = {"class_path": "NpyDataset", "init_args": {"input": tokens, "test_input": tokens, "batch_size": 2, **data}}
            config = self.config(model=model, data=data, trainer={})
            self.lthost("predict", "-c", config, "--ckpt_path", "none", f"--trainer.default_root_dir={self.path('npy')}", status=status, says=says)

        predict("a prompt must be tokens, (B, T) i64", 3)
        predict("predictions of 4 samples", 0, input_dtype="keep")

    def test_absurd_lengths_are_refused(self):
        settings = self.settings(1, max_new_tokens=4611686018427387904)
        self.lthost("predict", "-c", settings, "--ckpt_path", "none", status=2, says="max_new_tokens")

    def test_dropped_attention_keeps_f64(self):
        """Dropout so rare that it drops nothing takes the other way through attention; in f64 the loss is the same but for f64's rounding."""
        options = [f"--model.dropout={d}" for d in (0, 1e-15)]
        plain, dropping = (self.losses(f"f64-{k}", "--trainer.precision=64-true", option, steps=3) for k, option in enumerate(options))
        for a, b in zip(plain, dropping):
            self.assertLess(abs(a - b), 1e-12 * abs(a))

    def test_bits_do_not_depend_on_threads(self):
        first = self.losses("threads-1", "--trainer.num_threads=1", steps=10)
        for threads in (2, 3, 4):
            self.assertEqual(self.losses(f"threads-{threads}", f"--trainer.num_threads={threads}", steps=10), first, f"{threads} threads")

    def test_bits_of_bf16_do_not_depend_on_threads(self):
        for isa in harness.instruction_sets("avx512_bf16", "avx512"):
            found = [self.losses(f"{isa}-{threads}", f"--trainer.num_threads={threads}", "--trainer.precision=bf16-mixed", steps=10, env={"LTHOST_ISA": isa})
                     for threads in (1, 2, 3)]
            self.assertEqual(found[1:], found[:1] * 2, isa)


if __name__ == "__main__":
    harness.main()
