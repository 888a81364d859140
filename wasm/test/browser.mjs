/** The checks in headless Chromium, on WebGPU and on the CPU, in the page and in a worker. */

import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { adapterName } from "./harness.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
const FLAGS = ["--enable-unsafe-webgpu", "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

/** Serves `folders` ({ "/prefix/": folder or { name: bytes } }) on this machine. */
export async function serve(folders, page) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const body = pathname === "/" ? Buffer.from(page) : found(folders, pathname);
    if (!body) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": pathname === "/" ? "text/html" : (TYPES[path.extname(pathname)] ?? "application/octet-stream"), "content-length": body.length });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

function found(folders, pathname) {
  for (const [prefix, content] of Object.entries(folders)) {
    if (!pathname.startsWith(prefix)) continue;
    const rest = decodeURIComponent(pathname.slice(prefix.length));
    if (typeof content !== "string") return content[rest];
    const file = path.join(content, path.normalize(`/${rest}`));
    if (fs.existsSync(file) && fs.statSync(file).isFile()) return fs.readFileSync(file);
  }
  return undefined;
}

/** A browser with or without WebGPU, and a page of it that has loaded. */
export async function open(url, { webgpu }) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "weft-chromium-"));
  // Chromium has a software adapter of its own; a driver of the system would only be refused.
  const { VK_DRIVER_FILES: _, VK_ICD_FILENAMES: __, ...env } = process.env;
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.WEFT_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    chromiumSandbox: false,
    args: webgpu ? FLAGS : FLAGS.slice(1),
    env,
    viewport: { width: 900, height: 700 },
  });
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  await page.waitForFunction("globalThis.ready", undefined, { timeout: 60_000 }).catch(() => {
    throw new Error(`the page did not load: ${complaints.join("\n")}`);
  });
  const close = async () => {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { page, complaints, close };
}

/** Runs everything; gives rows of { where, variant, adapter, results }. */
export async function browserChecks(modules, material, screenshot) {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const { exports } = JSON.parse(fs.readFileSync(path.join(modules, "weft-gpu/package.json"), "utf8"));
  const address = (subpath) => path.posix.join("/node_modules/weft-gpu", exports[subpath].import);
  const imports = { "weft-gpu": address("."), "weft-gpu/worker": address("./worker") };
  const html = `<!doctype html><meta charset="utf-8"><title>weft-gpu tests</title><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module" src="/test/page.mjs"></script><body style="font: 14px system-ui; margin: 1.5rem"><h1>weft-gpu in Chromium</h1><pre id="report"></pre>`;
  const server = await serve({ "/node_modules/": modules, "/test/": here, "/material/": material ?? {} }, html);
  const rows = [];
  const add = (where, variant, { info, results }) => rows.push({ where, variant, adapter: adapterName(info), info, results });
  try {
    const { page, close } = await open(server.url, { webgpu: true });
    try {
      add("Chromium", "package", await page.evaluate("packageChecks(true)"));
      const variants = { "webgpu plain": { backend: "webgpu" }, "webgpu subgroups": { backend: "webgpu", subgroups: true }, cpu: { backend: "cpu" } };
      for (const [variant, options] of Object.entries(variants)) {
        for (const place of ["page", "worker"]) {
          add(`Chromium, ${place}`, variant, await page.evaluate(([o, p]) => operationChecks(o, p), [options, place]));
        }
      }
      if (material) rows.push({ where: "Chromium, worker", variant: "fetch", adapter: "CPU", info: { backend: "cpu" }, results: await page.evaluate("fetchChecks()") });
      if (screenshot) {
        const text = rows.map(({ where, variant, adapter, results }) => `${where.padEnd(18)} ${variant.padEnd(17)} ${results.filter((r) => !r.error).length}/${results.length} passed  ${adapter}`);
        await page.evaluate((lines) => (document.querySelector("#report").textContent = lines.join("\n")), text);
        await page.screenshot({ path: screenshot });
      }
    } finally {
      await close();
    }
    const bare = await open(server.url, { webgpu: false });
    try {
      add("Chromium, no GPU", "package", await bare.page.evaluate("packageChecks(false)"));
    } finally {
      await bare.close();
    }
  } finally {
    server.close();
  }
  return rows;
}
