import assert from "node:assert/strict";
import { test } from "node:test";

import { CurvesModel, label } from "../../../web/js/curves_model.js";
import { RunModel } from "../../../web/js/run_model.js";
import { refusal } from "../../../web/js/server_texts.js";
import { t, useTranslations } from "../../../web/js/texts.js";

test("a text is in the language of the moment, and in English where it has no translation", () => {
  let language = "zh";
  useTranslations({ zh: { "Saved {file}": "已保存 {file}" } }, () => language);
  assert.equal(t("Saved {file}", { file: "a.safetensors" }), "已保存 a.safetensors");
  assert.equal(t("Balance"), "Balance");
  for (language of ["en", "fr", "undefined"]) assert.equal(t("Saved {file}", { file: 0 }), "Saved 0");
});

test("braces without a value stay as they are, and a value is not read again", () => {
  assert.equal(t("{a} {b}", { a: "{b}" }), "{b} {b}");
});

test("models speak it, too, at the moment they are asked", () => {
  let language = "en";
  const zh = { "Step {step} / {steps}": "第 {step} / {steps} 步", Cosine: "余弦" };
  useTranslations({ zh }, () => language);
  const run = Object.assign(new RunModel(), { status: "running", step: 3, steps: 9 });
  const curves = new CurvesModel();
  curves.add(1, { cosine: 0.5 });
  assert.deepEqual([run.headline, curves.groups()[0].title], ["Step 3 / 9", "Cosine"]);
  language = "zh";
  assert.deepEqual([run.headline, curves.groups()[0].title], ["第 3 / 9 步", "余弦"]);
});

test("names of curves and refusals of the server are translated where they are known", () => {
  const text = "No such run in this output folder.";
  useTranslations({ zh: { "λ shape": "λ 形状", [text]: "没有这次运行。" } }, () => "zh");
  assert.deepEqual(["lambda_shape", "loss_new_term"].map(label), ["λ 形状", "new term"]);
  assert.deepEqual([refusal(text), refusal("Anything else.")], ["没有这次运行。", "Anything else."]);
});
