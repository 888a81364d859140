#!/usr/bin/env node
/**
 * Drives the page in headless Chromium and takes pictures of it:
 *
 *   node e2e/screenshot.mjs URL OUT.png [--cpu]
 *
 * OUT.png is the wide page, OUT-narrow.png a phone's, in dark colours. With --cpu the browser has no WebGPU.
 * Ends with 1 if anything is not as it must be. WEFT_CHROMIUM names the browser (default /usr/bin/chromium).
 */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SAMPLE = fileURLToPath(new URL("../public/sample.wav", import.meta.url));
const MINUTES = 60_000;

const [url, out, ...flags] = process.argv.slice(2);
if (!url || !out || flags.some((flag) => flag !== "--cpu")) {
  console.error("usage: node e2e/screenshot.mjs URL OUT.png [--cpu]");
  process.exit(2);
}
const cpu = flags.includes("--cpu");
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "weft-chromium-"));
// Chromium has a software adapter of its own; a driver of the system would only be refused.
const { VK_DRIVER_FILES: _, VK_ICD_FILENAMES: __, ...env } = process.env;
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.WEFT_CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
  env,
  viewport: { width: 1280, height: 900 },
  colorScheme: "light",
  args: [
    ...(cpu ? [] : ["--enable-unsafe-webgpu"]),
    ...["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
    // A microphone that plays the sample.
    ...["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${SAMPLE}`],
  ],
});
const page = await browser.newPage();
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("request", (request) => {
  const { protocol, origin } = new URL(request.url());
  if (!["blob:", "data:"].includes(protocol) && origin !== new URL(url).origin) complaints.push(`asked another server: ${request.url()}`);
});

function assert(fact, what) {
  if (!fact) throw new Error(what);
}

/** Does something, and waits until the page says this of itself. */
async function reached(state, action) {
  await page.evaluate(() => delete document.documentElement.dataset.state);
  await action();
  await page.waitForFunction((wanted) => [wanted, "failed"].includes(document.documentElement.dataset.state), state, { timeout: 4 * MINUTES });
  const [found, notice] = await page.evaluate(() => [document.documentElement.dataset.state, document.querySelector("#notice").textContent]);
  assert(found === state, `the page is ${found}, not ${state}: ${notice}`);
}

const segments = () => page.locator("#segments li").allTextContents();
const shown = (id) => page.locator(`#${id}`).textContent();

/** Pixels of the canvas that have the colour of this style variable. */
const pixels = (variable) =>
  page.evaluate((name) => {
    const canvas = document.querySelector("#picture");
    const pen = document.createElement("canvas").getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).getPropertyValue(`--${name}`);
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24 && data[i + 3] > 200;
    return count;
  }, variable);

async function sampleRecording() {
  await page.goto(url);
  await reached("done", () => page.goto(new URL("?sample=1", url).href));
  assert((await segments()).length > 0, "no segments in the sample recording");
  assert(Number(await page.locator("html").getAttribute("data-frames")) > 100, "hardly any probabilities");
  const backend = await page.locator("html").getAttribute("data-backend");
  assert(backend === (cpu ? "cpu" : "webgpu"), `it ran on ${backend}`);
  const notice = await shown("notice");
  assert(cpu === notice.includes("CPU"), `the notice is "${notice}"`);
  assert(/real time/.test(await shown("speed")), `speed: ${await shown("speed")}`);
  assert((await pixels("probability")) > 200, "no curve of probabilities in the picture");
  assert((await pixels("speech")) > 200, "no speech in the picture");
  console.log(`${await shown("device")}: ${await shown("speed")}; speech ${await shown("share")}; ${(await segments()).join(", ")}`);
}

async function pictures() {
  const narrow = out.replace(/(\.[a-z]+)?$/i, "-narrow$1");
  await page.screenshot({ path: out, fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(300);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert(overflow <= 0, `the narrow page is ${overflow} pixels too wide`);
  await page.screenshot({ path: narrow, fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

async function otherBackend() {
  const before = await segments();
  await page.locator("input[value=cpu]").focus();
  await reached("done", () => page.keyboard.press("Space"));
  assert((await page.locator("html").getAttribute("data-backend")) === "cpu", "the CPU was not used");
  assert(JSON.stringify(await segments()) === JSON.stringify(before), `the CPU found ${await segments()}, not ${before}`);
  console.log(`${await shown("device")}: ${await shown("speed")}; the same segments`);
}

async function keyboardPlays() {
  await page.locator("#timeline").focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => Number(document.querySelector("#timeline").getAttribute("aria-valuenow")) >= 1, undefined, { timeout: MINUTES });
}

async function microphone() {
  await reached("live", () => page.locator("#microphone").click());
  await page.waitForFunction(() => document.querySelectorAll("#segments li").length > 0, undefined, { timeout: 4 * MINUTES });
  assert((await pixels("probability")) > 50, "no live curve");
  await page.screenshot({ path: out.replace(/(\.[a-z]+)?$/i, "-live$1"), fullPage: true });
  await reached("done", () => page.locator("#microphone").click());
  assert((await segments()).length > 0, "the segments are gone");
  console.log(`microphone: ${await shown("speed")}; ${(await segments()).join(", ")}`);
}

async function noRecording() {
  await page.locator("#file").setInputFiles({ name: "letter.txt", mimeType: "text/plain", buffer: Buffer.from("Dear page,") });
  await page.waitForFunction(() => document.documentElement.dataset.state === "failed", undefined, { timeout: MINUTES });
  const notice = await shown("notice");
  assert(notice.includes("letter.txt") && notice.includes("10 bytes"), `the notice is "${notice}"`);
  await reached("done", () => page.locator("#sample").click());
  assert((await segments()).length > 0, "the page is no longer usable");
}

let failure;
try {
  for (const step of [sampleRecording, pictures, otherBackend, keyboardPlays, microphone, noRecording]) {
    await step();
    assert(complaints.length === 0, `${step.name}: ${complaints.join("\n")}`);
  }
} catch (error) {
  failure = error;
  await page.screenshot({ path: out.replace(/(\.[a-z]+)?$/i, "-failed$1"), fullPage: true }).catch(() => {});
} finally {
  await browser.close();
  fs.rmSync(profile, { recursive: true, force: true });
}
if (failure) {
  console.error(`${failure.message}${complaints.length ? `\nthe page complained:\n${complaints.join("\n")}` : ""}`);
  process.exit(1);
}
