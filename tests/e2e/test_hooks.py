#!/usr/bin/env python3
"""The order of hooks, written out: fit with sanity check, validation and accumulation; validate, test, predict; runs that fail or are
told to skip or stop. The order is that of sdk/include/lt/hooks.h, which is Lightning's."""
import harness

TRANSFER = ["data on_before_batch_transfer", "model on_before_batch_transfer", "data on_after_batch_transfer", "model on_after_batch_transfer"]


def both(*hooks):
    """Each hook: the callback, then (a callback that runs last, then) the model."""
    return [f"{who} {hook}" for hook in hooks for who in ("callback", "last", "model")]


def opening():
    return ["model configure", "data prepare_data", "model prepare_data", "data setup", *both("setup")]


def validation_pass(batches, sanity=False):
    out = [] if sanity else ["model on_validation_model_zero_grad"]
    out += ["model on_validation_model_eval"]
    out += both("on_validation_start", "on_validation_epoch_start")
    for _ in range(batches):
        out += TRANSFER + both("on_validation_batch_start") + ["model validation_step"] + both("on_validation_batch_end")
    return out + both("on_validation_epoch_end", "on_validation_end") + ["model on_validation_model_train"]


def train_batch(first, stepping):
    out = TRANSFER + both("on_train_batch_start") + ["model training_step"]
    if first:
        out += both("on_before_zero_grad")
    out += both("on_before_backward", "on_after_backward")
    if stepping:
        out += both("on_before_optimizer_step") + ["model configure_gradient_clipping"]
    return out + both("on_train_batch_end")


EPOCH_END = ["callback on_train_epoch_end", "model on_train_epoch_end", "last on_train_epoch_end"]
TEARDOWN = ["data teardown", *both("teardown")]


class RecordedBase(harness.Test):
    def setUp(self):
        super().setUp()
        self.log = self.path("hooks.txt")

    def settings(self, callback=None, **trainer):
        log = self.log
        return self.config(
            model={"class_path": "RecorderModel", "init_args": {"path": log}}, data={"class_path": "RecorderData", "init_args": {"path": log}},
            trainer={"max_epochs": 1, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
                     "callbacks": [{"class_path": "RecorderLast", "init_args": {"path": log, "name": "last"}},
                                   {"class_path": "Recorder", "init_args": {"path": log, "name": "callback", **(callback or {})}}], **trainer})

    def heard(self):
        with open(self.log, encoding="utf-8") as file:
            return [line.split() for line in file]

    def names(self):
        return [" ".join(words[:2]) for words in self.heard()]

    def check(self, expected):
        found = self.names()
        for i, (one, other) in enumerate(zip(found, expected)):
            if one != other:
                self.fail(f"call {i} is {one}, expected {other}\nfound:    {found[max(0, i - 6):i + 6]}\nexpected: {expected[max(0, i - 6):i + 6]}")
        self.assertEqual(len(found), len(expected), f"found then {found[len(expected):]}, expected then {expected[len(found):]}")


class Fit(RecordedBase):
    def test_with_sanity_validation_and_accumulation(self):
        self.lthost("fit", "-c", self.settings(accumulate_grad_batches=2, limit_train_batches=3))
        expected = opening() + ["data train_dataloader", "data val_dataloader", "model configure_optimizers"] + both("on_fit_start")
        expected += ["callback on_sanity_check_start", "last on_sanity_check_start"] + validation_pass(2, sanity=True)
        expected += ["callback on_sanity_check_end", "last on_sanity_check_end"] + both("on_train_start", "on_train_epoch_start")
        expected += train_batch(True, False) + train_batch(False, True) + train_batch(True, True)
        expected += validation_pass(2) + EPOCH_END + both("on_train_end", "on_fit_end") + TEARDOWN
        self.check(expected)

    def test_steps_and_epochs_that_hooks_see(self):
        self.lthost("fit", "-c", self.settings(accumulate_grad_batches=2, limit_train_batches=3, max_epochs=2, num_sanity_val_steps=0))
        seen = {hook: [tuple(map(int, words[2:5])) for words in self.heard() if words[:2] == ["model", hook]]
                for hook in ("on_train_epoch_start", "training_step", "on_train_batch_end", "on_train_epoch_end", "on_train_end")}
        self.assertEqual(seen["on_train_epoch_start"], [(0, 0, 0), (1, 2, 0)])
        self.assertEqual(seen["training_step"], [(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 0), (1, 2, 1), (1, 3, 2)])
        self.assertEqual(seen["on_train_batch_end"], [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 2, 0), (1, 3, 1), (1, 4, 2)])
        self.assertEqual([epoch for epoch, _, _ in seen["on_train_epoch_end"]], [0, 1])
        self.assertEqual(len(seen["on_train_end"]), 1)

    def test_validation_in_mid_epoch(self):
        self.lthost("fit", "-c", self.settings(val_check_interval=0.5, num_sanity_val_steps=0, limit_val_batches=1))
        expected = opening() + ["data train_dataloader", "data val_dataloader", "model configure_optimizers"]
        expected += both("on_fit_start", "on_train_start", "on_train_epoch_start")
        for _ in range(2):
            expected += train_batch(True, True) * 2 + validation_pass(1)
        self.check(expected + EPOCH_END + both("on_train_end", "on_fit_end") + TEARDOWN)

    def test_skip_ends_the_epoch(self):
        self.lthost("fit", "-c", self.settings({"skip_in": "on_train_batch_start", "at_batch": 1}, num_sanity_val_steps=0))
        names = self.names()
        self.assertEqual(names.count("model training_step"), 1)
        self.assertEqual(names.count("model on_train_batch_start"), 2)  # the others still hear of it
        self.assertNotIn("model on_validation_start", names)
        self.assertEqual(names[-len(EPOCH_END + both("on_train_end", "on_fit_end") + TEARDOWN):], EPOCH_END + both("on_train_end", "on_fit_end") + TEARDOWN)

    def test_stop_request(self):
        self.lthost("fit", "-c", self.settings({"stop_in": "on_train_batch_end", "at_batch": 1}, num_sanity_val_steps=0, max_epochs=3),
                    says="stopped early: asked to stop in on_train_batch_end")
        self.assertEqual(self.names().count("model training_step"), 2)

    def test_stop_waits_for_min_steps(self):
        self.lthost("fit", "-c", self.settings({"stop_in": "on_train_batch_end"}, num_sanity_val_steps=0, max_epochs=3, min_steps=6))
        self.assertEqual(self.names().count("model training_step"), 6)

    def test_fast_dev_run(self):
        self.lthost("fit", "-c", self.settings(fast_dev_run=True))
        expected = opening() + ["data train_dataloader", "data val_dataloader", "model configure_optimizers"]
        expected += both("on_fit_start", "on_train_start", "on_train_epoch_start") + train_batch(True, True) + validation_pass(1)
        self.check(expected + EPOCH_END + both("on_train_end", "on_fit_end") + TEARDOWN)


class Evaluate(RecordedBase):
    def run_verb(self, verb, **more):
        self.lthost(verb, "-c", self.settings(**more), "--ckpt_path", "none")

    def test_validate(self):
        self.run_verb("validate")
        expected = validation_pass(2)
        expected.remove("model on_validation_model_zero_grad")
        self.check(opening() + ["data val_dataloader"] + expected + TEARDOWN)

    def test_test(self):
        self.run_verb("test", limit_test_batches=1)
        expected = opening() + ["data test_dataloader", "model on_test_model_eval"] + both("on_test_start", "on_test_epoch_start")
        expected += TRANSFER + both("on_test_batch_start") + ["model test_step"] + both("on_test_batch_end")
        self.check(expected + both("on_test_epoch_end", "on_test_end") + ["model on_test_model_train"] + TEARDOWN)

    def test_predict(self):
        self.run_verb("predict")
        expected = opening() + ["data predict_dataloader", "model on_predict_model_eval"] + both("on_predict_start", "on_predict_epoch_start")
        for _ in range(2):
            expected += TRANSFER + both("on_predict_batch_start") + ["model predict_step"] + both("on_predict_batch_end")
        self.check(expected + both("on_predict_epoch_end", "on_predict_end") + ["model on_predict_model_train"] + TEARDOWN)


class Failing(RecordedBase):
    def test_every_hook_can_fail(self):
        """Whatever hook fails: status 3, the message names plugin, component and hook, on_exception and teardown follow."""
        hooks = ["setup", "on_fit_start", "on_sanity_check_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_before_backward",
                 "on_before_optimizer_step", "on_train_batch_end", "on_validation_start", "on_validation_batch_end", "on_validation_end",
                 "on_train_epoch_end", "on_train_end", "on_fit_end"]
        for hook in hooks[::4] if harness.LIGHT else hooks:
            with self.subTest(hook=hook):
                self.log = self.path(f"hooks-{hook}.txt")
                self.lthost("fit", "-c", self.settings({"fail_in": hook}), status=3,
                            says=["org.lthost.test.recorder", "Recorder", hook, f"asked to fail in {hook}"])
                names = self.names()
                self.assertEqual(names[-8:], ["data on_exception", *both("on_exception"), *TEARDOWN])
                self.assertEqual(names[names.index("data on_exception") - 1], f"callback {hook}")
                self.assertTrue(all(words[-1] == "reason" for words in self.heard() if words[1] == "on_exception"))

    def test_failure_in_mid_epoch(self):
        self.lthost("fit", "-c", self.settings({"fail_in": "on_train_batch_start", "at_batch": 1}, num_sanity_val_steps=0), status=3)
        expected = opening() + ["data train_dataloader", "data val_dataloader", "model configure_optimizers"]
        expected += both("on_fit_start", "on_train_start", "on_train_epoch_start") + train_batch(True, True) + TRANSFER
        self.check(expected + ["callback on_train_batch_start", "data on_exception"] + both("on_exception") + TEARDOWN)

    def test_failure_in_teardown_is_told_and_not_fatal(self):
        self.lthost("fit", "-c", self.settings({"fail_in": "teardown"}), says="asked to fail in teardown")
        self.assertEqual(self.names()[-4:], TEARDOWN)

    def test_failure_is_in_the_summary(self):
        self.lthost("fit", "-c", self.settings({"fail_in": "on_train_epoch_end"}), status=3)
        self.assertEqual(self.summary()["status"], "failed")


if __name__ == "__main__":
    harness.main()
