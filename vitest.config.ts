import { defineConfig } from "vitest/config"

/** `layer` of @effect/vitest changes `it` for everything in its process. */
const alone = ["test/corpus.test.ts", "test/timeline/chromium.test.ts"]

export default defineConfig({
  test: {
    testTimeout: 30_000,
    projects: [
      { extends: true, test: { name: "alone", include: alone } },
      // Loading Effect takes longer than most tests do, so files share what is loaded.
      { extends: true, test: { name: "together", include: ["test/**/*.test.ts"], exclude: alone, isolate: false } }
    ]
  }
})
