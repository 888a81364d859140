import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  // A missing file is an error here, not the page itself under another name.
  appType: "mpa",
  // Pre-bundled, the package would not find its .wasm and its worker beside itself.
  optimizeDeps: { exclude: ["weft-gpu"] },
  server: { fs: { allow: [".."] } },
  worker: { format: "es" },
  build: { target: "es2022", assetsInlineLimit: 0 },
});
