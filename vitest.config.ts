import { defineConfig } from "vitest/config"

/** `layer` of @effect/vitest changes `it` for everything in its process. */
const alone = ["test/corpus.test.ts", "test/timeline/chromium.test.ts"]

export default defineConfig({
  test: {
    testTimeout: 30_000,
    maxWorkers: "100%",
    // Loading Effect takes longer than most tests do, so the files of a project share what is loaded.
    poolOptions: { forks: { isolate: false } },
    projects: [
      ...alone.map((file) => ({ extends: true as const, test: { name: file, include: [file] } })),
      { extends: true, test: { name: "test", include: ["test/*.test.ts"], exclude: alone } },
      { extends: true, test: { name: "parts", include: ["test/*/**/*.test.ts"], exclude: alone } }
    ]
  }
})
